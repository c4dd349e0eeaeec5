# mypy: disable-error-code="no-untyped-call"
"""Models of a few thousand parameters, built on the spot, for tests of the transformers integration.

The real architectures are cached: a test that changes one takes a deep copy.
"""

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GenerationMixin,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    WhisperConfig,
    WhisperForConditionalGeneration,
)
from transformers.modeling_outputs import CausalLMOutput

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate

VOCABULARY = 96
PAD, BOS, EOS = 0, 1, 2
CONFIG = fire.SamplingConfig(hot_top_k=16)
RECORDED: dict[str, Any] = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
_SPECIAL_TOKENS: dict[str, Any] = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Imported by the tests: threads do not help models this small, and stall on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.cache
def llama(spread: float = 2.0) -> Any:
    """Decoder-only, rotary positions; logits of about `spread` standard deviation."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,
        **_SPECIAL_TOKENS,
    )
    return _scaled(LlamaForCausalLM(config), spread)


@functools.cache
def llama_bfloat16() -> Any:
    """Logits of 8 significant bits, many of them equal."""
    return copy.deepcopy(llama()).bfloat16()


@functools.cache
def gpt2(spread: float = 2.0) -> Any:
    """Decoder-only, learned positions."""
    torch.manual_seed(2)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=4,
        tie_word_embeddings=False,
        **_SPECIAL_TOKENS,
    )
    return _scaled(GPT2LMHeadModel(config), spread)


@functools.cache
def t5(spread: float = 2.0) -> Any:
    """Encoder-decoder that starts from the padding token."""
    torch.manual_seed(3)
    config = T5Config(  # type: ignore[call-arg]
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=4,
        tie_word_embeddings=False,
        decoder_start_token_id=PAD,
        pad_token_id=PAD,
        eos_token_id=EOS,
    )
    return _scaled(T5ForConditionalGeneration(config), spread)


@functools.cache
def bart(spread: float = 2.0) -> Any:
    """Encoder-decoder whose tokenizers want a forced first token."""
    torch.manual_seed(4)
    config = BartConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        decoder_start_token_id=EOS,
        forced_eos_token_id=None,
        **_SPECIAL_TOKENS,
    )
    return _scaled(BartForConditionalGeneration(config), spread)


@functools.cache
def whisper() -> Any:
    """Encoder-decoder from spectrograms [R, 8, 40], with a `generate` of its own."""
    torch.manual_seed(6)
    config = WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=8,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=20,
        max_target_positions=32,
        decoder_start_token_id=BOS,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        **_SPECIAL_TOKENS,
    )
    return WhisperForConditionalGeneration(config).eval()


class BigramConfig(PreTrainedConfig):
    model_type = "bigram"

    def __init__(self, vocab_size: int = VOCABULARY, **kwargs: Any) -> None:
        self.vocab_size = vocab_size
        super().__init__(**{**_SPECIAL_TOKENS, **kwargs})


class Bigram(PreTrainedModel, GenerationMixin):
    """The next token's logits are a row of a table, so they do not depend on the batch by a single bit."""

    config_class = BigramConfig
    main_input_name = "input_ids"

    def __init__(self, config: BigramConfig) -> None:
        super().__init__(config)
        self.table = torch.nn.Embedding(config.vocab_size, config.vocab_size)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> CausalLMOutput:
        return CausalLMOutput(logits=self.table(input_ids[:, -1:]))


def bigram(table: torch.Tensor | None = None, spread: float = 2.0, **special_tokens: Any) -> Any:
    """A bigram model over `table` [V, V], or over a random one."""
    if table is None:
        table = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(5)) * spread
    model = Bigram(BigramConfig(table.shape[1], **special_tokens)).eval()
    model.generation_config.use_cache = False
    with torch.no_grad():
        model.table.weight.copy_(table)
    return model


def tokenizer() -> PreTrainedTokenizerFast:
    """One character a token; token 3 is "!"."""
    specials = ["<pad>", "<s>", "</s>"]
    characters = [chr(ord("!") + index) for index in range(VOCABULARY - len(specials))]
    backend = Tokenizer(models.BPE({text: index for index, text in enumerate(specials + characters)}, []))
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def write_to_hub(cache: Path, name: str) -> None:
    """Puts the Llama and the tokenizer into a cache of the Hugging Face hub, as the model `name`."""
    commit = "0" * 40
    model = cache / f"models--{name.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit)
    llama().save_pretrained(model / "snapshots" / commit)
    tokenizer().save_pretrained(model / "snapshots" / commit)


def prompts(rows: int = 3, width: int = 4, seed: int = 0) -> torch.Tensor:
    """int64 [rows, width] of ordinary tokens."""
    return torch.randint(3, VOCABULARY, (rows, width), generator=torch.Generator().manual_seed(seed))


def generate(model: Any, inputs: torch.Tensor | None = None, **arguments: Any) -> Any:
    """`model.generate` with `fire_generate`, by default of `prompts()`, hot among 16 tokens, then among 5."""
    if inputs is None and "inputs_embeds" not in arguments:
        inputs = prompts()
    defaults: dict[str, Any] = {
        "do_sample": True,
        "max_new_tokens": 6,
        "top_k": 5,
        "fire_config": CONFIG,
        "fire_seed": 3,
    }
    return model.generate(inputs, custom_generate=fire_generate, **{**defaults, **arguments})


def _scaled(model: Any, spread: float) -> Any:
    """The model, its output weights scaled to give the logits of some prompts this standard deviation."""
    model.eval()
    inputs = {"input_ids": prompts()}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = prompts(seed=1)
    with torch.no_grad():
        logits = model(**inputs).logits
        model.get_output_embeddings().weight.mul_(spread / logits.std())
    return model
