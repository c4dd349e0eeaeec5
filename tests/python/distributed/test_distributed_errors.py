"""What one rank does wrong is told to all of them, in the same words, and the group goes on working."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from rank_pool import Failed, Place, RankPool
from shard_cases import batch, shard
from torch import Tensor

import fire_sampling as fire
import fire_sampling.distributed as sharded

ROWS, VOCABULARY = 5, 24
NAME = "fire_sampling.distributed.sample"
CONFIG = fire.SamplingConfig(temperature=0.8, top_p=0.9, seed=1)


class Mistake(NamedTuple):
    """What rank 1 does instead."""

    change: Callable[[dict[str, Any]], dict[str, Any]]
    kind: str
    text: str  # begins with it, behind the rank that is named


def made(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda arguments: {**arguments, **changes}


MISTAKES = {
    "no tensor": Mistake(made(logits=None), "TypeError", "logits is None, expected a torch.Tensor"),
    "float64": Mistake(
        lambda a: {**a, "logits": a["logits"].double()}, "RuntimeError", "logits has dtype torch.float64"
    ),
    "one dimension": Mistake(made(logits=torch.zeros(3)), "RuntimeError", "logits has shape [3], expected"),
    "columns apart": Mistake(
        lambda a: {**a, "logits": torch.zeros(ROWS, 12)[:, ::2]},
        "RuntimeError",
        "logits has a stride of 2 along the vocabulary, expected 1",
    ),
    "fewer rows": Mistake(
        lambda a: {**a, "logits": a["logits"][:-1], "config": fire.pack(CONFIG, ROWS - 1)},
        "ValueError",
        "logits has 4 rows, expected 5, as on rank 0",
    ),
    "another dtype": Mistake(
        lambda a: {**a, "logits": a["logits"].bfloat16()},
        "ValueError",
        "logits has dtype bfloat16, expected float32, as on rank 0",
    ),
    "another step": Mistake(made(step=3), "ValueError", "step is not that of rank 0, expected the same on"),
    "steps of other rows": Mistake(
        made(step=torch.zeros(3, dtype=torch.int64)), "RuntimeError", "fire::sample: step has shape [3]"
    ),
    "another seed": Mistake(
        made(config=CONFIG.replace(seed=2)), "ValueError", "config is not that of rank 0"
    ),
    "records of other rows": Mistake(
        made(config=fire.pack(CONFIG, 2)), "RuntimeError", "fire::sample: cfg has S = 2 for R = 5"
    ),
    "no config": Mistake(made(config="hot"), "TypeError", "config is 'hot', expected a SamplingConfig"),
    "a seed is missing": Mistake(
        made(config=CONFIG.replace(seed=None)), "ValueError", "config lacks 1 seeds, expected 0, as on rank 0"
    ),
    "slots": Mistake(
        made(slot=torch.zeros(ROWS, dtype=torch.int32), config=[CONFIG] * ROWS),
        "ValueError",
        "config is not that of rank 0",
    ),
    "a wrong first id": Mistake(
        made(first_id=3),
        "ValueError",
        "first_id is 3, expected 6, as many columns as the ranks before it have",
    ),
    "a first id that is none": Mistake(
        made(first_id=-1), "ValueError", "first_id is -1, expected an integer from 0 to 2097152, or None"
    ),
    "another vocabulary": Mistake(
        made(vocabulary=20), "ValueError", "vocabulary is 20, expected None, as on rank 0"
    ),
    "other entries": Mistake(made(entries=3), "ValueError", "entries is 3, expected None, as on rank 0"),
    "a long text": Mistake(made(config="é" * 4000), "TypeError", "config is "),
}


def arguments_of(place: Place) -> dict[str, Any]:
    logits = torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(0))
    mine = shard(logits, [VOCABULARY // place.size] * place.size, place.rank)
    return {"logits": mine, "step": 0, "config": CONFIG, "group": place.group}


def call_with_mistake(place: Place, mistake: str) -> Tensor:
    arguments = arguments_of(place)
    if place.rank == 1:
        arguments = MISTAKES[mistake].change(arguments)
    return sharded.sample(**arguments)


def call_without(place: Place) -> Tensor:
    return sharded.sample(**arguments_of(place))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_one_rank_gets_wrong_is_the_same_error_on_every_rank(ranks: RankPool, mistake: str) -> None:
    kind, text = MISTAKES[mistake][1:]
    failures = ranks.run(call_with_mistake, mistake, size=4)
    assert len(set(failures)) == 1, failures
    assert isinstance(failures[0], Failed), failures
    assert failures[0].kind == kind, failures[0]
    assert failures[0].text.startswith(f"{NAME}: rank 1 of 4: {text}"), failures[0]
    first, *others = ranks.run(call_without, size=4)
    assert all(torch.equal(first, other) for other in others)


def call_something_else(place: Place) -> Tensor:
    arguments = arguments_of(place)
    if place.rank == 0:
        return sharded.log_prob(token=torch.zeros(ROWS, dtype=torch.int64), **arguments)
    return sharded.sample(**arguments)


def test_different_functions_do_not_meet_in_one_exchange(ranks: RankPool) -> None:
    failures = ranks.run(call_something_else, size=2)
    assert {failure.kind for failure in failures} == {"ValueError"}
    assert all(": rank 1 of 2: calls sample, expected log_prob, as rank 0" in f.text for f in failures)


def all_wrong(place: Place) -> Tensor:
    return sharded.sample(**{**arguments_of(place), "vocabulary": 25})


def no_columns(place: Place) -> Tensor:
    return sharded.sample(**{**arguments_of(place), "logits": torch.zeros(ROWS, 0)})


def test_shards_that_make_no_vocabulary_are_refused(ranks: RankPool) -> None:
    for failure in ranks.run(all_wrong, size=2):
        assert failure == Failed(
            "ValueError", f"{NAME}: vocabulary is 25, expected 1 to 24, the columns of all ranks"
        )
    for failure in ranks.run(no_columns, size=2):
        assert failure == Failed(
            "ValueError", f"{NAME}: logits have 0 columns on all ranks, expected 1 to 2097152"
        )


def fail_within(place: Place, operator: str) -> Tensor:
    """Rank 2's own work fails, as it would for want of memory."""

    def broken(*_: Any) -> Tensor:
        raise RuntimeError("no memory is left")

    namespace: Any = torch.ops.fire
    kept = getattr(namespace, operator)
    if place.rank == 2:
        setattr(namespace, operator, broken)
    try:
        return sharded.sample(**arguments_of(place), entries=1)
    finally:
        setattr(namespace, operator, kept)


@pytest.mark.parametrize("operator", ["shard_entries", "shard_answer"])
def test_a_failure_between_two_exchanges_ends_the_call_on_every_rank(ranks: RankPool, operator: str) -> None:
    for failure in ranks.run(fail_within, operator, size=4):
        assert failure == Failed("RuntimeError", f"{NAME}: rank 2 of 4: no memory is left")
    first, *others = ranks.run(call_without, size=4)
    assert all(torch.equal(first, other) for other in others)


def unchecked(place: Place, without: str) -> Tensor:
    arguments = {**arguments_of(place), "checked": False, "first_id": 0, "vocabulary": VOCABULARY}
    del arguments[without]
    return sharded.sample(**arguments)


def unchecked_seedless(place: Place) -> Tensor:
    arguments = {**arguments_of(place), "checked": False, "first_id": 0, "vocabulary": VOCABULARY}
    return sharded.sample(**{**arguments, "config": CONFIG.replace(seed=None)})


def test_an_unchecked_call_wants_what_the_first_exchange_would_tell(ranks: RankPool) -> None:
    for without in ("first_id", "vocabulary"):
        for failure in ranks.run(unchecked, without, size=2):
            assert failure == Failed(
                "ValueError",
                f"{NAME}: checked is False beside no first_id or no vocabulary, expected both of them",
            )
    for failure in ranks.run(unchecked_seedless, size=2):
        assert failure.kind == "ValueError"
        assert failure.text.startswith(f"{NAME}: checked is False and config lacks a seed, expected a seed")


def heat(place: Place, what: str) -> Tensor:
    case = batch(0)
    logits = case.logits.float().clone()
    if place.rank == 1 and what == "dtype":
        logits = logits.half()
    if place.rank == 1 and what == "grad":
        logits.requires_grad_()
    if place.rank == 1 and what == "overlap":
        logits = logits[:1].expand(len(logits), -1)
    return sharded.heat_logits_(logits, case.step, case.records, group=place.group)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("dtype", "logits has dtype torch.float16, expected float32 (it is written in place)"),
        ("grad", "logits requires grad, expected logits that do not while grad mode is on"),
        ("overlap", "logits has rows that overlap, expected none (it is written in place)"),
    ],
)
def test_logits_that_cannot_be_written_to_are_refused_on_every_rank(
    ranks: RankPool, what: str, text: str
) -> None:
    for failure in ranks.run(heat, what, size=2):
        assert failure.kind == "RuntimeError"
        assert failure.text.startswith(f"fire_sampling.distributed.heat_logits_: rank 1 of 2: {text}")


def test_without_a_process_group_the_call_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"sample: there is no process group, expected torch\.distributed"):
        sharded.sample(torch.zeros(1, 4), 0, CONFIG)


def as_a_stranger(place: Place) -> Tensor:
    return sharded.sample(**{**arguments_of(place), "group": -100})


def test_a_process_outside_the_group_is_refused(ranks: RankPool) -> None:
    (failure,) = ranks.run(as_a_stranger, size=1)
    assert failure.kind == "TypeError"
    assert failure.text.startswith(f"{NAME}: group is of type int, expected a ProcessGroup that this process")
