"""What the benchmark takes for a correct draw: a wrong token or log-probability is counted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from bench_runs import BENCH  # noqa: F401 (finds the next ones)

import contenders  # isort: skip
from harness import device, records, rows, session
from harness.cases import DTYPES, KINDS, Case
from harness.kept_set import LOGIT_TOLERANCE, MASS_TOLERANCE, Drawn, KeptSets, Order, bounds, joined
from harness.settings import SETTINGS, Filters

import fire_sampling as fire

LOG2 = math.log(2.0)
HALVES = -LOG2 * torch.arange(5.0)  # weights 1, 1/2, 1/4, 1/8, 1/16
VOCABULARY = 512
CPU = torch.device("cpu")


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
    found = bounds(HALVES[None], filters, order)
    assert (found.lowest <= HALVES).sum() == kept
    if not filters.greedy:
        weights = (HALVES[:kept].double() / filters.temperature).exp()
        assert found.least_mass.item() == pytest.approx(weights.sum().item())
        assert found.most_mass.item() == pytest.approx(weights.sum().item())


def test_ties_at_the_edge_may_be_kept_or_dropped() -> None:
    found = bounds(torch.tensor([[2.0, 1.0, 1.0, 1.0, 0.0]]), Filters(top_k=2))
    assert found.lowest.item() == 1.0
    assert found.least_mass.item() == pytest.approx(1 + math.exp(-1))
    assert found.most_mass.item() == pytest.approx(1 + 3 * math.exp(-1))


def drew(*tokens: int) -> Drawn:
    return Drawn(torch.tensor(tokens))


def test_a_token_outside_the_kept_set_the_mask_or_the_vocabulary_is_counted_as_wrong() -> None:
    logits = torch.tensor([[3.0, 2.0, -math.inf], [-math.inf, 2.0, 3.0]])
    for filters, tokens, wrong in (
        (Filters(top_k=1), (0, 2), 0),
        (Filters(top_k=1), (1, 2), 1),
        (Filters(top_k=1), (0, 3), 1),
        (Filters(), (-1, -1), 2),
        (Filters(), (1, 1), 0),
        (Filters(), (2, 0), 2),
    ):
        assert KeptSets(logits).wrong(drew(*tokens), 0, [filters]) == wrong


def test_each_row_is_held_to_filters_of_its_own_and_to_its_place_in_the_pool() -> None:
    kept_sets = KeptSets(torch.tensor([[3.0, 2.0, 1.0]] * 3))
    of_rows = [Filters(), Filters(temperature=0.0)]
    assert kept_sets.wrong(drew(2, 0, 2), 0, of_rows) == 0
    assert kept_sets.wrong(drew(2, 1, 2), 0, of_rows) == 1
    kept = KeptSets(torch.tensor([[4.0, 3.0, 2.0, -math.inf], [1.0, 1.0, 0.0, 0.0], [0.0, 9.0, 1.0, 2.0]]))
    of_rows = [Filters(top_k=2), Filters(top_k=1), Filters()]
    assert kept.wrong(drew(1, 1, 0), 0, of_rows) == 0
    assert kept.wrong(drew(2, 2, 0), 0, of_rows) == 2
    assert kept.wrong(drew(3, 0, 4), 0, [Filters()]) == 2
    assert kept.wrong(drew(-1, 0), 1, [Filters()]) == 1
    # Of the pool's third row, not its first.
    assert kept.wrong(drew(1), 2, [Filters(top_k=1)]) == 0


@pytest.mark.parametrize(("error", "wrong"), [(0.0, 0), (0.01, 1), (-0.01, 1), (math.nan, 1)])
def test_a_log_probability_that_is_off_by_a_hundredth_is_counted_as_wrong(error: float, wrong: int) -> None:
    right = math.log(0.5 / 1.5)  # the second of the two that top-k keeps
    whole = math.log(0.5 / 1.9375)
    kept_sets, of_rows, tokens = KeptSets(HALVES[None]), [Filters(top_k=2)], torch.tensor([1])
    assert kept_sets.wrong(Drawn(tokens, torch.tensor([right + error])), 0, of_rows) == wrong
    drawn = Drawn(tokens, torch.tensor([right]), torch.tensor([whole + error]))
    assert kept_sets.wrong(drawn, 0, of_rows) == wrong


def test_an_order_that_a_contender_does_not_follow_is_noticed() -> None:
    # Half of the row is 0.5 of 0.9 of the mass: alone it ends the nucleus, after top-k 2 it does not.
    kept, filters = KeptSets(torch.tensor([[0.45, 0.44, 0.11]]).log()), [Filters(top_k=2, top_p=0.5)]
    assert kept.wrong(drew(1), 0, filters, Order()) == 1
    assert kept.wrong(drew(1), 0, filters, Order(joint=True)) == 0


def test_a_row_of_ours_that_differs_in_a_token_or_a_log_probability_is_counted_once() -> None:
    tokens, second = torch.tensor([1, 2, 3]), torch.tensor([0.0, 1.0, 0.0])
    values = torch.tensor([-1.0, -2.0, -3.0])
    expected = Drawn(tokens, values, values)
    assert session.differing(expected, expected) == 0
    assert session.differing(Drawn(tokens), expected) == 0
    assert session.differing(Drawn(torch.tensor([1, 2, 4]), values, values), expected) == 1
    assert session.differing(Drawn(tokens, values + 5e-6 * second, values + 1e-5 * second), expected) == 1
    assert session.differing(Drawn(tokens, values + 1e-6 * second), expected) == 0


@pytest.mark.parametrize("outputs", ["token", "logprobs", "reference"])
def test_one_wrong_bit_of_ours_is_counted(outputs: str) -> None:
    case = Case(300, 6, "bfloat16", "mixed", outputs=outputs)
    logits = rows.make_rows("peaked", 6, 300, "bfloat16")
    ours: Any = contenders.load("fire")(case, CPU)
    right = device.as_outputs(ours.call(logits))
    assert session.differing(right, device.as_outputs(ours.call(logits))) == 0
    for place, output in enumerate(right):
        broken = [one.clone() for one in right]
        broken[place][4] = output[4] + (1e-4 if output.is_floating_point() else 1)
        unknown = bool(output[4].isnan()) if output.is_floating_point() else False
        assert session.differing(broken, right) == (0 if unknown else 1)


def kept_by_definition(row: list[float], filters: Filters, order: Order) -> set[int]:
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
    if order.joint:
        return top_k(whole) & top_p(whole) & min_p(whole)
    steps = (min_p, top_k, top_p) if order.min_p_first else (top_k, top_p, min_p)
    for step in steps:
        whole = step(whole)
    return whole


@pytest.mark.parametrize("order", [Order(), Order(joint=True), Order(min_p_first=True)], ids=str)
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
    filters: Filters, order: Order
) -> None:
    logits = torch.randn(40, 60, generator=torch.Generator().manual_seed(1)) * 2
    logits[::4] = logits[::4].round()  # ties
    lowest = bounds(logits, filters, order).lowest
    top_p = filters.top_p + MASS_TOLERANCE if filters.top_p < 1 else 1.0
    widened = replace(filters, top_p=top_p, min_p=filters.min_p * math.exp(-LOGIT_TOLERANCE))
    for row, found in zip(logits.tolist(), lowest.tolist(), strict=True):
        kept = kept_by_definition(row, widened, order)
        assert {token for token, value in enumerate(row) if value >= found} == kept


def wrong_of(name: str, case: Case) -> int:
    """Of 30 calls of a contender on two batches."""
    pool = rows.make_rows(case.kind, 2 * case.rows, case.vocabulary, case.dtype)
    contender: Any = contenders.load(name)(case, CPU)
    batches = rows.batches_of(pool, case)
    draws = [contender.drawn(contender.ready(batches[draw % 2], draw)()) for draw in range(30)]
    kept = KeptSets(pool)
    rounds = (joined(draws[first : first + 2]) for first in range(0, 30, 2))
    return sum(kept.wrong(drawn, 0, contender.of_rows, contender.order) for drawn in rounds)


@pytest.mark.parametrize("name", ["numpy", "hf"])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_peers_draws_are_those_of_its_kept_set(name: str, setting: str, dtype: str) -> None:
    for kind in KINDS:
        for outputs in sorted(contenders.load(name).outputs):
            assert wrong_of(name, Case(VOCABULARY, 5, dtype, setting, kind, outputs)) == 0, (kind, outputs)


def test_an_adapter_that_forgets_a_filter_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import contenders.hugging_face as adapter

    def without_top_k(filters: Filters, vocabulary: int) -> Any:
        return whole(Filters(filters.temperature, 0, filters.top_p, filters.min_p), vocabulary)

    whole = adapter.warpers
    monkeypatch.setattr(adapter, "warpers", without_top_k)
    assert wrong_of("hf", Case(VOCABULARY, 5, "bfloat16", "hot T=30 k=16")) > 0


def test_the_filters_of_a_hot_setting_are_those_of_the_hot_phase_alone() -> None:
    hot = fire.SamplingConfig(**SETTINGS["hot T=30 k=16"].of_row(0).arguments())
    assert (hot.hot_temperature, hot.hot_top_k, hot.temperature) == (30.0, 16, 1.0)
    assert hot.hot_steps == 2**31 - 1
    regular = fire.SamplingConfig(**SETTINGS["k=50 p=0.95 T=0.7"].of_row(0).arguments())
    assert (regular.temperature, regular.top_k, regular.top_p, regular.hot_steps) == (0.7, 50, 0.95, 0)


def test_rows_of_a_mixed_batch_have_settings_seeds_and_steps_of_their_own() -> None:
    case = Case(VOCABULARY, 7, "float32", "mixed")
    packed = records.records(case)
    temperatures = packed[:, 0].view(torch.float32).tolist()
    assert temperatures == pytest.approx([30.0, 0.7, 1.0, 1.0, 0.0, 30.0, 0.7])
    assert len(set(map(tuple, packed.tolist()))) == 7
    assert records.steps(case, 6).tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert not records.steps(Case(100, 64, "float32", "no filter")).any()


def test_records_are_those_that_pack_writes() -> None:
    of_rows = [Filters(0.7, 50, 0.95, 0.1), Filters(30.0, 16, hot=True), Filters(0.0)]
    configs = [fire.SamplingConfig(**one.arguments(seed)) for seed, one in enumerate(of_rows)]
    logits = torch.randn(3, 500, generator=torch.Generator().manual_seed(0))
    for step in (0, 7, 1000):
        drawn = torch.ops.fire.sample(logits, torch.tensor(step), records.pack(of_rows))
        assert torch.equal(drawn, torch.ops.fire.sample(logits, torch.tensor(step), fire.pack(configs)))
