# python examples/llama_cpp_numpy.py model.gguf "Once upon a time" --samples 4 --tokens 32
"""Continuations of a prompt by llama.cpp, each token drawn by fire_sampling from llama.cpp's own logits.

Needs fire_sampling and `pip install llama-cpp-python`, no torch. The first token of each continuation is
drawn at a temperature of 30 among the 50 most probable, the rest as usual; every continuation has a seed of
its own.
"""

from __future__ import annotations

import argparse
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from fire_sampling import SamplingConfig
from fire_sampling import numpy as fire


def last_logits(model: Any) -> npt.NDArray[np.float32]:
    """float32 [V]: the logits of the next token, where llama.cpp has them; no copy."""
    pointer = llama_cpp.llama_get_logits_ith(model.ctx, -1)
    return np.ctypeslib.as_array(pointer, shape=(model.n_vocab(),))


def continuation(model: Any, prompt: list[int], record: npt.NDArray[np.uint32], count: int) -> list[int]:
    """At most `count` tokens that follow `prompt`, drawn with one record, uint32 [1, 16]."""
    model.reset()
    model.eval(prompt)
    drawn: list[int] = []
    for step in range(count):  # step 0 is hot; a step that stood still would draw every token hot
        token = int(fire.sample(last_logits(model), step, record))
        if token == model.token_eos():
            break
        drawn.append(token)
        model.eval([token])
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description="continuations by llama.cpp and fire_sampling")
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("prompt")
    parser.add_argument("--samples", type=int, default=4, help="continuations; 4 by default")
    parser.add_argument("--tokens", type=int, default=32, help="the longest; 32 by default")
    parser.add_argument("--seed", type=int, default=7, help="equal seeds draw alike; 7 by default")
    options = parser.parse_args()

    model = llama_cpp.Llama(options.model, n_ctx=0, verbose=False)
    prompt = model.tokenize(options.prompt.encode())
    config = SamplingConfig(temperature=0.8, top_k=50, top_p=0.95, hot_temperature=30.0, seed=options.seed)
    records = fire.pack(config, rows=options.samples)  # once: packing costs more than a draw
    for sample in range(options.samples):
        tokens = continuation(model, prompt, records[sample : sample + 1], options.tokens)
        print(f"{sample}: {model.detokenize(tokens).decode(errors='replace')!r}")


if __name__ == "__main__":
    main()
