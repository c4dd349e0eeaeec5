"""`fire_after`: hot windows that open anew after certain tokens, in the real loop of transformers."""

from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import CONFIG, RECORDED, generate, one_thread  # noqa: F401

import fire_sampling as fire

AFTER = list(range(3, tiny_models.VOCABULARY, 3))
GREEDY: dict[str, Any] = {"do_sample": False, "top_k": None}
SETTINGS: dict[str, Any] = {"max_new_tokens": 24, "min_new_tokens": 24, "fire_after": AFTER, **RECORDED}


def begins(tokens: list[int], step: int, first: int, steps: int) -> int:
    """By definition: behind the latest opener whose window is still open at `step`, or else `first`."""
    opened = [place + 1 for place in range(step) if tokens[place] in AFTER and step < place + 1 + steps]
    return max(opened, default=first)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("first", [0, 5, 2**31 - 1])
@pytest.mark.parametrize("greedy", [False, True])
def test_every_token_is_drawn_with_the_window_behind_its_rows_latest_opener(
    steps: int, first: int, greedy: bool
) -> None:
    config = CONFIG.replace(hot_begin=first, hot_steps=steps)
    arguments: dict[str, Any] = GREEDY if greedy else {}
    output = generate(tiny_models.llama(), fire_config=config, **SETTINGS, **arguments)
    rows = len(output.sequences)
    generated = output.sequences[:, -len(output.logits) :]
    regular: dict[str, Any] = {"temperature": 0.0} if greedy else {"temperature": 1.0, "top_k": 5}
    whole = config.replace(**regular, order="hf", ties="keep_top_k")
    seeds = fire.pack(whole.replace(seed=3), rows=rows)
    moved = 0
    for step, scores in enumerate(output.scores):
        begin = [begins(tokens, step, first, steps) for tokens in generated.tolist()]
        moved += sum(each != first for each in begin)
        records = fire.pack([whole.replace(hot_begin=each, seed=0) for each in begin])
        records[:, fire.config.SEED_WORDS] = seeds[:, fire.config.SEED_WORDS]
        # min_new_tokens takes the end of the sequence out of the logits before the draw.
        logits = output.logits[step].index_fill(1, torch.tensor([tiny_models.EOS]), -torch.inf)
        assert torch.equal(fire.sample(logits, step, records), generated[:, step])
        hot = torch.tensor([each <= step < each + steps for each in begin])
        assert torch.equal(scores.isfinite().sum(1) == 16, hot)
    assert moved > 0


def test_windows_reopen_where_a_warper_stands_between_the_filters_and_the_draw() -> None:
    settings = {**SETTINGS, **GREEDY, "renormalize_logits": True, "fire_config": CONFIG.replace(hot_steps=1)}
    output = generate(tiny_models.llama(), **settings)
    generated = output.sequences[:, -len(output.logits) :]
    drawn = []
    for step, scores in enumerate(output.scores):
        begin = torch.tensor([begins(tokens, step, 0, 1) for tokens in generated.tolist()])
        best = generated[:, step] == scores.argmax(1)
        assert best[begin != step].all()
        drawn += best[begin == step].tolist()
    # One of 16 near equals is the most probable one with a probability near 1/16.
    assert sum(drawn) < len(drawn) / 3


def test_without_an_opener_among_the_tokens_nothing_changes() -> None:
    never = generate(tiny_models.llama(), **{**SETTINGS, "fire_after": [10**9]})
    plain = generate(tiny_models.llama(), **{**SETTINGS, "fire_after": ()})
    assert torch.equal(never.sequences, plain.sequences)


def test_the_prompts_own_tokens_open_no_window() -> None:
    prompts = torch.full((3, 4), AFTER[0])
    once = generate(tiny_models.llama(), prompts, **{**SETTINGS, "fire_after": AFTER[:1]})
    for row, tokens in enumerate(once.sequences[:, 4:].tolist()):
        wide = [step for step, scores in enumerate(once.scores) if scores[row].isfinite().sum() == 16]
        assert wide == [0, *(place + 1 for place, token in enumerate(tokens[:-1]) if token == AFTER[0])]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("7", TypeError, "fire_after: got '7', expected token ids"),
        (7, TypeError, "fire_after: got 7, expected token ids"),
        ([1.5], TypeError, "fire_after: got 1.5 among them, expected integers from 0"),
        ([True], TypeError, "fire_after: got True among them"),
        ([-1], ValueError, "fire_after: got -1 among them, expected integers from 0"),
    ],
)
def test_what_are_no_token_ids_is_refused_by_name(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        generate(tiny_models.llama(), fire_after=value)


def test_a_window_of_no_steps_cannot_open_anew() -> None:
    with pytest.raises(ValueError, match="fire_after: got token ids, expected none: hot_steps is 0"):
        generate(tiny_models.llama(), fire_after=[1], fire_config=CONFIG.replace(hot_steps=0))
