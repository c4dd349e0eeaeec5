"""Whether bench/kernels.py notices a wrong token: of a peer, by its kept set; of ours, bit by bit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from bench_runs import BENCH  # noqa: F401 (finds the next ones)
from gpu.contenders.fire import Fire
from gpu.kept import (
    JOINT,
    LOGIT_TOLERANCE,
    MASS_TOLERANCE,
    MIN_P_FIRST,
    SEQUENTIAL,
    KeptSets,
    lowest_kept,
    wrong_references,
)
from gpu.logits import make_logits
from gpu.selection import Cell
from gpu.session import wrong_of_ours
from harness.settings import Filters
from torch import Tensor

CPU = torch.device("cpu")


def kept_by_definition(row: list[float], filters: Filters, order: str) -> set[int]:
    """Tokens in the kept set, ties included, in sets and plain sums."""
    weights = [math.exp(value / (filters.temperature or 1)) for value in row]
    tokens = sorted(range(len(row)), key=lambda token: -row[token])
    if filters.greedy:
        return {token for token in tokens if row[token] == max(row)}

    def top_k(kept: set[int]) -> set[int]:
        least = row[tokens[min(filters.top_k, len(row)) - 1]] if filters.top_k > 0 else -math.inf
        return {token for token in kept if row[token] >= least}

    def top_p(kept: set[int]) -> set[int]:
        found, mass = set(), 0.0
        for token in (token for token in tokens if token in kept):
            if mass < filters.top_p * sum(weights[other] for other in kept) or filters.top_p >= 1:
                found.add(token)
            mass += weights[token]
        return {token for token in kept if row[token] >= min(row[other] for other in found)}

    def min_p(kept: set[int]) -> set[int]:
        return {token for token in kept if weights[token] >= filters.min_p * max(weights)}

    whole = set(tokens)
    if order == JOINT:
        return top_k(whole) & top_p(whole) & min_p(whole)
    steps = (min_p, top_k, top_p) if order == MIN_P_FIRST else (top_k, top_p, min_p)
    for step in steps:
        whole = step(whole)
    return whole


@pytest.mark.parametrize("order", [SEQUENTIAL, JOINT, MIN_P_FIRST])
@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(0.0),
        Filters(top_k=5),
        Filters(top_p=0.83),
        Filters(min_p=0.07),
        Filters(0.7, 12, 0.77, 0.03),
        Filters(2.0, 9, 0.6),
        Filters(1.0, 500, 0.9, 0.2),
    ],
    ids=str,
)
def test_the_lowest_logit_that_may_be_drawn_is_the_lowest_kept_by_definition(
    filters: Filters, order: str
) -> None:
    rows = torch.randn(40, 60, generator=torch.Generator().manual_seed(1)) * 2
    rows[::4] = rows[::4].round()  # ties
    lowest = lowest_kept(rows, filters, order)
    top_p = filters.top_p + MASS_TOLERANCE if filters.top_p < 1 else 1.0
    widened = replace(filters, top_p=top_p, min_p=filters.min_p * math.exp(-LOGIT_TOLERANCE))
    for row, found in zip(rows.tolist(), lowest.tolist(), strict=True):
        kept = kept_by_definition(row, widened, order)
        assert {token for token, value in enumerate(row) if value >= found} == kept


def test_a_token_outside_the_kept_set_a_masked_one_and_none_at_all_are_wrong() -> None:
    logits = torch.tensor([[4.0, 3.0, 2.0, -math.inf], [1.0, 1.0, 0.0, 0.0], [0.0, 9.0, 1.0, 2.0]])
    kept = KeptSets(logits)
    of_rows = [Filters(top_k=2), Filters(top_k=1), Filters()]
    assert kept.wrong(torch.tensor([1, 1, 0]), 0, of_rows, SEQUENTIAL) == 0
    assert kept.wrong(torch.tensor([2, 2, 0]), 0, of_rows, SEQUENTIAL) == 2
    assert kept.wrong(torch.tensor([3, 0, 4]), 0, [Filters()] * 3, SEQUENTIAL) == 2
    assert kept.wrong(torch.tensor([-1, 0]), 1, [Filters()] * 2, SEQUENTIAL) == 1
    # Of the pool's third row, not its first.
    assert kept.wrong(torch.tensor([1]), 2, [Filters(top_k=1)], SEQUENTIAL) == 0


def test_an_order_that_a_contender_does_not_follow_is_noticed() -> None:
    # Half of the row is 0.5 of 0.9 of the mass: alone it ends the nucleus, after top-k 2 it does not.
    logits = torch.tensor([[0.45, 0.44, 0.11]]).log()
    filters = [Filters(top_k=2, top_p=0.5)]
    assert KeptSets(logits).wrong(torch.tensor([1]), 0, filters, SEQUENTIAL) == 1
    assert KeptSets(logits).wrong(torch.tensor([1]), 0, filters, JOINT) == 0


def test_a_reference_that_is_not_of_the_whole_softmax_is_wrong() -> None:
    logits = torch.randn(5, 30, generator=torch.Generator().manual_seed(2))
    token = torch.arange(5)
    right = logits.log_softmax(-1)[token, token]
    assert wrong_references(logits, token, right) == 0
    assert wrong_references(logits, token, right + torch.tensor([0, 0.01, 0, torch.nan, 0])) == 2


@pytest.mark.parametrize("outputs", ["token", "logprobs", "reference"])
def test_one_wrong_bit_of_ours_is_counted(outputs: str) -> None:
    cell = Cell(300, 6, "bfloat16", "mixed", outputs=outputs)
    logits = make_logits("peaked", 6, 300, "bfloat16", CPU)
    contender = Fire(cell, CPU)
    result = contender.call(logits)
    assert wrong_of_ours(contender, result, logits) == 0
    found = [result] if isinstance(result, Tensor) else list(result)
    for place, output in enumerate(found):
        broken = [one.clone() for one in found]
        broken[place][4] = output[4] + (1e-4 if output.is_floating_point() else 1)
        changed = broken[0] if outputs == "token" else tuple(broken)
        unknown = bool(output[4].isnan()) if output.is_floating_point() else False
        assert wrong_of_ours(contender, changed, logits) == (0 if unknown else 1)
