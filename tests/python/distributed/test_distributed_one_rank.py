"""What goes wrong on one rank alone: in any function, on any device, without the first exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from rank_pool import Failed, Place, RankPool
from shard_cases import batch, cut, shard
from test_distributed_equality import same
from torch import Tensor

import fire_sampling as fire
import fire_sampling.distributed as sharded
from fire_sampling import _torch_entry
from fire_sampling.distributed import _header
from fire_sampling.distributed._ranks import Ranks

ROWS, VOCABULARY = 5, 24
CONFIG = fire.SamplingConfig(temperature=0.8, top_p=0.9, seed=1)


def arguments_of(place: Place, function: str = "sample") -> dict[str, Any]:
    logits = torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(0))
    mine = shard(logits, [VOCABULARY // place.size] * place.size, place.rank)
    arguments = {"logits": mine, "step": 0, "config": CONFIG, "group": place.group}
    if function == "log_prob":
        arguments["token"] = torch.arange(ROWS)
    return arguments


def call_with(place: Place, function: str, changes: dict[str, Any]) -> Tensor:
    """The function, with changes on rank 1."""
    arguments = arguments_of(place, function)
    if place.rank == 1:
        arguments.update(changes)
    result: Tensor = getattr(sharded, function)(**arguments)
    return result


@pytest.mark.parametrize(
    ("function", "changes", "kind", "text"),
    [
        ("log_prob", {"logits": None}, "TypeError", "logits is None, expected a torch.Tensor"),
        (
            "log_prob",
            {"token": torch.arange(ROWS) + 1},
            "ValueError",
            "token is not that of rank 0, expected the same on every rank",
        ),
        (
            "log_prob",
            {"token": torch.arange(ROWS - 1)},
            "RuntimeError",
            "fire::log_prob: token has shape [4], expected [5]",
        ),
        ("log_prob", {"token": 3}, "TypeError", "token is 3, expected a torch.Tensor"),
        ("process_logits", {"step": 1}, "ValueError", "step is not that of rank 0"),
        ("process_logits", {"config": None}, "TypeError", "config is None, expected a SamplingConfig"),
    ],
)
def test_no_function_leaves_ranks_waiting_for_one_that_refuses(
    ranks: RankPool, function: str, changes: dict[str, Any], kind: str, text: str
) -> None:
    failures = ranks.run(call_with, function, changes, size=2)
    assert len(set(failures)) == 1, failures
    assert failures[0].kind == kind, failures[0]
    assert failures[0].text.startswith(f"fire_sampling.distributed.{function}: rank 1 of 2: {text}"), (
        failures[0]
    )


def step_by_rank(place: Place) -> Tensor:
    dtype = (torch.int64, torch.int32)[place.rank]
    return sharded.sample(**{**arguments_of(place), "step": torch.arange(ROWS, dtype=dtype)})


def test_steps_of_equal_values_are_equal_whatever_integers_hold_them(ranks: RankPool) -> None:
    first, second = ranks.run(step_by_rank, size=2)
    assert isinstance(first, Tensor)
    assert torch.equal(first, second)


def call_without_operators(place: Place) -> Tensor:
    missing = ImportError("no operators here") if place.rank == 1 else None
    with mock.patch.object(_torch_entry, "unavailable", missing):
        return sharded.sample(**arguments_of(place))


def test_operators_missing_on_one_rank_are_an_error_on_every_rank(ranks: RankPool) -> None:
    for failure in ranks.run(call_without_operators, size=2):
        assert failure == Failed(
            "ImportError", "fire_sampling.distributed.sample: rank 1 of 2: no operators here"
        )


# ---- devices ----


def exchange_from(place: Place, kinds: tuple[str, str]) -> None:
    ranks = Ranks("sample", place.group, None)
    kind = torch.device(kinds[place.rank])
    _header.exchange(ranks, "sample", lambda: _header.Header(device=_header.device_word(kind)))


def test_logits_on_another_kind_of_device_are_refused_alike(ranks: RankPool) -> None:
    for failure in ranks.run(exchange_from, ("cuda:0", "cpu"), size=2):
        assert failure == Failed(
            "ValueError", "sample: rank 1 of 2: logits is on cpu, expected cuda, as on rank 0"
        )
    assert ranks.run(exchange_from, ("cuda:0", "cuda:1"), size=2) == [None, None]


def where(place: Place, backends: str) -> list[str]:
    """The device from which headers go, beside logits on several devices."""
    found = []
    with mock.patch.object(dist, "get_backend_config", return_value=backends):
        for beside in (None, torch.zeros(1), torch.zeros(1, device="meta")):
            found.append(str(Ranks("sample", place.group, beside)._device(torch.device("cpu"))))
    return found


def test_the_headers_backend_is_the_groups_and_not_that_of_a_ranks_own_logits(ranks: RankPool) -> None:
    """A rank whose logits are on the wrong device would wait at another backend than the others."""
    assert ranks.run(where, "cpu:gloo,meta:nccl", size=1) == [["cpu"] * 3]
    assert ranks.run(where, "meta:nccl", size=1) == [["meta"] * 3]


def in_a_crowd(place: Place) -> Tensor:
    with mock.patch.object(dist, "get_world_size", return_value=257):
        return sharded.sample(**arguments_of(place))


def test_more_ranks_than_a_state_can_count_are_refused(ranks: RankPool) -> None:
    for failure in ranks.run(in_a_crowd, size=2):
        assert failure == Failed(
            "ValueError", "fire_sampling.distributed.sample: group has 257 ranks, expected at most 256"
        )


# ---- no header ----

CHANGES: dict[str, tuple[str, Callable[[Tensor], Tensor], str]] = {
    "leaf": ("heat_logits_", lambda logits: logits.requires_grad_(), "logits requires grad, expected"),
    "float64": ("sample", lambda logits: logits.double(), "logits has dtype torch.float64, expected one of"),
    "one dimension": ("sample", lambda logits: logits[0], "logits has shape [12], expected [R, V_r]"),
    "apart": ("sample", lambda logits: logits[:, ::2], "logits has a stride of 2 along the vocabulary"),
}


def call_unchecked(place: Place, what: str) -> tuple[Failed, bool]:
    """How it fails, and whether the logits were left alone."""
    function, change, _ = CHANGES[what]
    arguments = {**arguments_of(place), "checked": False, "vocabulary": VOCABULARY}
    arguments["logits"] = change(arguments["logits"].clone())
    before = arguments["logits"].detach().clone()
    try:
        getattr(sharded, function)(**arguments, first_id=12 * place.rank)
    except Exception as error:
        return Failed(type(error).__name__, str(error)), torch.equal(before, arguments["logits"].detach())
    return Failed("nothing", ""), False


@pytest.mark.parametrize("what", CHANGES)
def test_an_unchecked_call_still_looks_at_its_own_logits(ranks: RankPool, what: str) -> None:
    function, _, text = CHANGES[what]
    for failure, untouched in ranks.run(call_unchecked, what, size=2):
        assert failure.kind == "RuntimeError", failure
        assert failure.text.startswith(f"fire_sampling.distributed.{function}: {text}"), failure
        assert untouched


def draw_no_rows(place: Place) -> Tensor:
    """Rank 1's own work would fail."""
    broken = mock.Mock(side_effect=RuntimeError("no memory is left"))
    kept = torch.ops.fire.shard_entries
    namespace: Any = torch.ops.fire
    namespace.shard_entries = broken if place.rank == 1 else kept
    try:
        return sharded.sample(torch.zeros(0, 4), 0, CONFIG, group=place.group)
    finally:
        namespace.shard_entries = kept
        assert not broken.called, "a failure that nobody is told"


def test_a_batch_without_rows_has_no_work_whose_failure_could_be_lost(ranks: RankPool) -> None:
    for token in ranks.run(draw_no_rows, size=2):
        assert isinstance(token, Tensor), token
        assert token.shape == (0,)


# ---- inference mode ----


def call_all(place: Place) -> list[Tensor]:
    case = batch(3)
    with torch.inference_mode():
        mine = shard(case.logits, cut(3, case.logits.shape[1], place.size), place.rank)
        arguments: Any = (case.step, case.records, case.slot)
        keywords: Any = {"group": place.group}
        results = [
            sharded.sample(mine, *arguments, **keywords),
            *sharded.sample_with_logprobs(mine, *arguments, **keywords),
            sharded.log_prob(mine, case.token, *arguments, **keywords),
            sharded.process_logits(mine, *arguments, **keywords),
            sharded.heat_logits_(mine.float().clone(), *arguments, **keywords),
        ]
    return [result.clone() for result in results]


def test_inference_mode_changes_no_result(ranks: RankPool) -> None:
    case = batch(3)
    arguments: Any = (case.step, case.records, case.slot)
    results = ranks.run(call_all, size=3)
    assert all(isinstance(result, list) for result in results), results
    expected = [
        fire.sample(case.logits, *arguments),
        *fire.sample_with_logprobs(case.logits, *arguments),
        fire.log_prob(case.logits, case.token, *arguments),
    ]
    for result in results:
        assert all(same(*pair) for pair in zip(result[: len(expected)], expected, strict=True))
    processed, heated = (torch.cat([result[index] for result in results], 1) for index in (-2, -1))
    assert same(processed, fire.process_logits(case.logits, *arguments))
    assert same(heated, fire.heat_logits_(case.logits.float().clone(), *arguments))
