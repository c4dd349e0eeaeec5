"""What the benchmark takes for a correct draw: a wrong token or log-probability is counted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from bench_runs import BENCH  # noqa: F401 (finds the next ones)

import peers  # isort: skip
from harness import rows, session
from harness.cases import DTYPES, KINDS, Case
from harness.kept_set import Drawn, KeptSets, Order, bounds
from harness.settings import SETTINGS, Filters

LOG2 = math.log(2.0)
HALVES = (-LOG2 * np.arange(5)).astype(np.float32)  # weights 1, 1/2, 1/4, 1/8, 1/16
VOCABULARY = 512


@pytest.mark.parametrize(
    ("filters", "order", "kept"),
    [
        (Filters(), Order(), 5),
        (Filters(top_k=2), Order(), 2),
        (Filters(top_p=0.9), Order(), 3),
        (Filters(temperature=1e6, top_p=0.7), Order(), 4),
        (Filters(temperature=1e6, top_p=0.7), Order(before_temperature=True), 2),
        (Filters(top_k=4, top_p=0.9), Order(), 3),
        (Filters(min_p=0.2), Order(), 3),
        (Filters(temperature=0.5, min_p=0.2), Order(), 2),
        (Filters(top_p=0.9, min_p=0.3), Order(), 2),  # of 1 + 1/2 + 1/4 + …, 0.9 takes three, of which two
        (Filters(top_p=0.6, min_p=0.3), Order(), 2),
        (Filters(top_p=0.6, min_p=0.3), Order(min_p_first=True), 1),  # 1 is 2/3 of what min-p leaves
        (Filters(temperature=0.0), Order(), 1),
    ],
)
def test_the_kept_set_ends_where_a_hand_calculation_says(filters: Filters, order: Order, kept: int) -> None:
    found = bounds(HALVES, filters, order)
    assert (found.lowest <= HALVES).sum() == kept
    if not filters.greedy:
        weights = np.exp(HALVES[:kept].astype(np.float64) / filters.temperature)
        assert found.least_mass == pytest.approx(weights.sum())
        assert found.most_mass == pytest.approx(weights.sum())


def test_ties_at_the_edge_may_be_kept_or_dropped() -> None:
    found = bounds(np.array([2.0, 1.0, 1.0, 1.0, 0.0], np.float32), Filters(top_k=2))
    assert found.lowest == 1.0
    assert found.least_mass == pytest.approx(1 + math.exp(-1))
    assert found.most_mass == pytest.approx(1 + 3 * math.exp(-1))


def test_a_token_outside_the_kept_set_the_mask_or_the_vocabulary_is_counted_as_wrong() -> None:
    logits = np.array([[3.0, 2.0, -np.inf], [-np.inf, 2.0, 3.0]], np.float32)
    for filters, tokens, wrong in (
        (Filters(top_k=1), (0, 2), 0),
        (Filters(top_k=1), (1, 2), 1),
        (Filters(top_k=1), (0, 3), 1),
        (Filters(), (-1, -1), 2),
        (Filters(), (1, 1), 0),
        (Filters(), (2, 0), 2),
    ):
        assert KeptSets([filters]).wrong(logits, 0, Drawn(np.array(tokens))) == wrong


def test_each_row_is_held_to_filters_of_its_own() -> None:
    logits = np.array([[3.0, 2.0, 1.0]] * 3, np.float32)
    kept_sets = KeptSets([Filters(), Filters(temperature=0.0)])
    assert kept_sets.wrong(logits, 0, Drawn(np.array([2, 0, 2]))) == 0
    assert kept_sets.wrong(logits, 0, Drawn(np.array([2, 1, 2]))) == 1


@pytest.mark.parametrize(("error", "wrong"), [(0.0, 0), (0.01, 1), (-0.01, 1)])
def test_a_log_probability_that_is_off_by_a_hundredth_is_counted_as_wrong(error: float, wrong: int) -> None:
    logits = HALVES[None]
    right = math.log(0.5 / 1.5)  # the second of the two that top-k keeps
    whole = math.log(0.5 / 1.9375)
    kept_sets = KeptSets([Filters(top_k=2)])
    tokens = np.array([1])
    assert kept_sets.wrong(logits, 0, Drawn(tokens, np.array([right + error]))) == wrong
    drawn = Drawn(tokens, np.array([right]), np.array([whole + error]))
    assert kept_sets.wrong(logits, 0, drawn) == wrong


def test_a_row_of_ours_that_differs_in_a_token_or_a_log_probability_is_counted_once() -> None:
    tokens, values, second = np.array([1, 2, 3]), np.array([-1.0, -2.0, -3.0]), np.array([0.0, 1.0, 0.0])
    expected = Drawn(tokens, values, values)
    assert session.differing(expected, expected) == 0
    assert session.differing(Drawn(tokens), expected) == 0
    assert session.differing(Drawn(np.array([1, 2, 4]), values, values), expected) == 1
    assert session.differing(Drawn(tokens, values + 5e-6 * second, values + 1e-5 * second), expected) == 1
    assert session.differing(Drawn(tokens, values + 1e-6 * second), expected) == 0


def drawn_by(name: str, setting: str, kind: str, dtype: str, outputs: str) -> tuple[Any, Any]:
    """A contender on two batches of five short rows, and 30 calls of it."""
    case = Case(VOCABULARY, dtype, setting, kind, 5, "out of cache", outputs)
    logits = torch.from_numpy(rows.make_rows(kind, 10, VOCABULARY, seed=1)).to(getattr(torch, dtype))
    contender: Any = peers.load(name)(case, logits.view(2, 5, VOCABULARY), None)  # type: ignore[arg-type]
    calls = []
    for draw in range(30):
        contender.prepare(draw % 2, draw)
        calls.append((draw % 2, contender.drawn(contender.call())))
    return contender, calls


@pytest.mark.parametrize("name", ["numpy", "hf"])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_peers_draws_are_those_of_its_kept_set(name: str, setting: str, dtype: str) -> None:
    for kind in KINDS:
        for outputs in sorted(peers.load(name).outputs):
            contender, calls = drawn_by(name, setting, kind, dtype, outputs)
            assert sum(contender.wrong(drawn, batch) for batch, drawn in calls) == 0, (kind, outputs)


def test_an_adapter_that_forgets_a_filter_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import peers.hugging_face as adapter

    def without_top_k(filters: Filters, vocabulary: int) -> Any:
        return whole(Filters(filters.temperature, 0, filters.top_p, filters.min_p), vocabulary)

    whole = adapter.warpers
    monkeypatch.setattr(adapter, "warpers", without_top_k)
    contender, calls = drawn_by("hf", "hot T=30 k=16", "peaked", "bfloat16", "token")
    assert sum(contender.wrong(drawn, batch) for batch, drawn in calls) > 0


def test_the_filters_of_a_hot_setting_are_those_of_the_hot_phase_alone() -> None:
    from peers.fire import configuration

    hot = configuration(SETTINGS["hot T=30 k=16"].of_row(0))
    assert (hot.hot_temperature, hot.hot_top_k, hot.temperature) == (30.0, 16, 1.0)
    assert hot.hot_steps == 2**31 - 1
    regular = configuration(SETTINGS["k=50 p=0.95 T=0.7"].of_row(0))
    assert (regular.temperature, regular.top_k, regular.top_p, regular.hot_steps) == (0.7, 50, 0.95, 0)


def test_rows_of_a_mixed_batch_have_configurations_seeds_and_steps_of_their_own() -> None:
    from peers.fire import configurations, steps

    case = Case(VOCABULARY, "float32", "mixed", "peaked", 7, "in cache")
    configs = configurations(case)
    assert isinstance(configs, list)
    assert [config.temperature for config in configs] == [1.0, 0.7, 1.0, 1.0, 0.0, 1.0, 0.7]
    assert len({config.seed for config in configs}) == 7
    assert steps(case, 6).tolist() == [2, 3, 4, 5, 6, 7, 8]
