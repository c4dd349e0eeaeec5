"""Thousands of first and later tokens of a real engine, against the contract's distribution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from engine import RUNNER, engine
from frequencies import assert_drawn_from
from tiny_llama import VOCABULARY
from watched import PROMPT, Watched, contract, watched_engine

import fire_sampling as fire

# vLLM's own Gumbel kernel on V2 needs 28 ms a row in Triton's interpreter: the bound follows from the number.
DRAWS = {1: 20_000, 2: 2_000}[RUNNER]
REGULAR: dict[str, Any] = {"temperature": 1.0}
# Two first tokens, so that the later ones are of two distributions alone.
HOT = {"fire_temperature": 4.0, "fire_top_k": 2}
CONFIG = fire.SamplingConfig(hot_temperature=4.0, hot_top_k=2)


def draw(llm: Any, **request: Any) -> list[list[int]]:
    """The tokens of `DRAWS` requests without seeds."""
    from vllm import SamplingParams

    params = SamplingParams(ignore_eos=True, **{**REGULAR, **request})
    outputs = llm.generate([{"prompt_token_ids": PROMPT}] * DRAWS, params, use_tqdm=False)
    return [list(output.outputs[0].token_ids) for output in outputs]


def distributions(watched: Watched) -> tuple[Any, Any, dict[int, Any]]:
    """Of the first token hot and regular, and the regular ones of the second after each hot first."""
    outputs, rows = watched.run([{**REGULAR, "max_tokens": 2, "ignore_eos": True, "fire": HOT}] * 16)
    first = contract(rows[0], CONFIG)
    later = {
        outputs[int(row.tag)].outputs[0].token_ids[0]: contract(row, CONFIG).numpy()
        for row in rows
        if row.generated == 1
    }
    assert set(later) == set(first.nonzero()[:, 0].tolist())
    return first.numpy(), contract(rows[0], CONFIG.replace(hot_steps=0)).numpy(), later


def test_first_tokens_are_hot_later_ones_regular_and_with_fire_off_all_are(tiny_llama: Path) -> None:
    with watched_engine(str(tiny_llama)) as watched:
        first, regular, later = distributions(watched)
    with engine(str(tiny_llama)) as llm:
        tokens = draw(llm, max_tokens=2, extra_args=HOT)
        assert_drawn_from([each[0] for each in tokens], first)
        # One test over both contexts: a token's cell is its place behind its own first token.
        contexts = sorted(later)
        share = np.bincount([each[0] for each in tokens], minlength=VOCABULARY)[contexts] / DRAWS
        cells = [contexts.index(each[0]) * VOCABULARY + each[1] for each in tokens]
        joint = np.concatenate([later[context] * part for context, part in zip(contexts, share, strict=True)])
        assert_drawn_from(cells, joint)
        assert_drawn_from([each[0] for each in draw(llm, max_tokens=1)], regular)
