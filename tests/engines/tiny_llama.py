# mypy: disable-error-code="no-untyped-call"
"""A tiny Llama with random weights and a byte-level tokenizer, written where an engine can load it."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 320
BOS, EOS, PAD = 0, 1, 2
_SPECIALS = ("<s>", "</s>", "<pad>")
_CHAT_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"


def random_llama(vocabulary: int, layers: int) -> Any:
    """Float32, the same weights each time; peaked like a model's logits: the best token has some percent."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=1024,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(12.0)
    return model


def write_model(folder: Path) -> None:
    """Saves model and tokenizer. Its distributions are peaked enough for heat to show in few draws."""
    model = random_llama(VOCABULARY, layers=2)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(40.0)
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token, so that any text and any grammar can be written; pairs of letters fill it up."""
    symbols = [*_SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pairs = [(a, b) for a in string.ascii_lowercase for b in "aeiou"][: VOCABULARY - len(symbols)]
    vocabulary = {symbol: index for index, symbol in enumerate([*symbols, *(a + b for a, b in pairs)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=_CHAT_TEMPLATE,
    )
