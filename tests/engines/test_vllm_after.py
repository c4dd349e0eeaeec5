"""`fire_after`: a hot window after each of the tokens it lists. On V2: V1 refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from spying import Row
from test_vllm_scheduling import FEW_BLOCKS, PROMPTS, SMALL
from tiny_llama import VOCABULARY
from vllm.exceptions import VLLMValidationError
from watched import Watched, watched_engine

AFTER = list(range(0, VOCABULARY, 5))
REQUESTS: list[dict[str, Any]] = [
    {
        "temperature": 0.0,
        "max_tokens": 24,
        "ignore_eos": True,
        "seed": number,
        "fire": {"fire_steps": 1 + number % 3, "fire_after": AFTER if number % 4 else [], "fire_top_k": 20},
    }
    for number in range(8)
]


def hot_steps(request: dict[str, Any], tokens: list[int]) -> set[int]:
    """By the definition: the first `fire_steps` steps, and as many after each of the tokens."""
    steps, after = request["fire"]["fire_steps"], request["fire"]["fire_after"]
    begins = [0, *(place + 1 for place, token in enumerate(tokens) if token in after)]
    return {step for begin in begins for step in range(begin, begin + steps) if step < len(tokens)}


def assert_windows(requests: list[dict[str, Any]], outputs: list[Any], rows: list[Row]) -> None:
    for number, (request, output) in enumerate(zip(requests, outputs, strict=True)):
        mine = [row for row in rows if row.tag == str(number) and not row.dropped]
        heated = {row.generated for row in mine if row.changed}
        assert heated == hot_steps(request, list(output.outputs[0].token_ids))
        assert all(torch.equal(row.before, row.after) for row in mine if row.generated not in heated)


@pytest.mark.parametrize("options", [{}, {**SMALL, **FEW_BLOCKS}], ids=["whole", "chunked and preempted"])
def test_a_window_opens_after_each_token_of_the_list(tiny_llama: Path, options: dict[str, Any]) -> None:
    with watched_engine(str(tiny_llama), **options) as watched:
        outputs, rows = watched.run(REQUESTS, PROMPTS[: len(REQUESTS)])
    assert_windows(REQUESTS, outputs, rows)
    later = {step for output in outputs for step in hot_steps(REQUESTS[1], list(output.outputs[0].token_ids))}
    assert later - {0, 1, 2}, "expected tokens of the list among those drawn"


def test_a_slot_taken_over_forgets_the_tokens_that_opened_windows(tiny_llama: Path) -> None:
    """Every fourth request has none, beside others that have some."""
    with watched_engine(str(tiny_llama), max_num_seqs=2) as watched:
        outputs, rows = watched.run(REQUESTS)
    assert_windows(REQUESTS, outputs, rows)


def test_tokens_of_the_prompt_open_no_window(processed: Watched) -> None:
    request = {**REQUESTS[1], "fire": {"fire_steps": 2, "fire_after": [77], "fire_begin": 9}}
    outputs, rows = processed.run([{**request, "max_tokens": 5}], [[77, 77, 77]])
    assert 77 not in outputs[0].outputs[0].token_ids, "expected greedy tokens that open no window either"
    assert not any(row.changed for row in rows)


REFUSED = [
    ({"fire_after": [10], "fire_steps": 17}, "fire_steps: got 17, expected at most 16 with fire_after"),
    ({"fire_after": [10, 320]}, "fire_after: got token id 320, expected ids below 320"),
]


@pytest.mark.parametrize(("keys", "message"), REFUSED)
def test_what_cannot_be_done_is_refused(processed: Watched, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(VLLMValidationError, match=f"^{message}"):
        processed.run([{"fire": keys}])
