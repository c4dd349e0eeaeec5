"""Estimates from groups: every expectation by enumeration of all that a design can draw, none by sampling."""

from __future__ import annotations

import functools
import itertools
import math
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fire_sampling as fire
from fire_sampling import rl
from fire_sampling.config import Design
from fire_sampling.metrics import distinct_answers, group_distinct_answers, group_pass_at_k, pass_at_k

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from examples import group_estimates as exact  # noqa: E402

# Three tokens, how often each comes and is right then: on no stratum's edge, in no order.
WEIGHTS, WRONG = (5, 9, 3), (4, 16, 8)
CHANCES = [Fraction(weight, sum(WEIGHTS)) for weight in WEIGHTS]
DESIGNS: tuple[Design, ...] = ("iid", "stratified", "lattice", "enumerated")
Block = tuple[int | None, ...]


@functools.cache
def outcomes(design: Design, n: int) -> dict[Block, Fraction]:
    """The chance of each block of answers: a right one's is its token, a wrong one's None."""
    merged: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for chance, tokens in exact.blocks_of(design, CHANCES, n):
        merged[tokens] += chance
    found: dict[Block, Fraction] = defaultdict(Fraction)
    for tokens, chance in merged.items():
        wrong = [Fraction(WRONG[token], exact.PARTS) for token in tokens]
        for missed in itertools.product((False, True), repeat=n):
            share = math.prod(
                (f if miss else 1 - f for f, miss in zip(wrong, missed, strict=True)), start=chance
            )
            if share:
                found[tuple(None if miss else t for t, miss in zip(tokens, missed, strict=True))] += share
    assert sum(found.values()) == 1
    return found


def expectation(design: Design, n: int, blocks: int, estimate: Callable[[list[Block]], float]) -> float:
    block = outcomes(design, n).items()
    return math.fsum(
        float(math.prod(share for _, share in drawn)) * estimate([answers for answers, _ in drawn])
        for drawn in itertools.product(block, repeat=blocks)
    )


def passes(design: Design, k: int, n: int, wrong: Sequence[int] = WRONG) -> float:
    """pass@k: of one group of k, or of k / n groups of n."""
    size, groups = (k, 1) if design == "iid" else (min(k, n), max(1, k // n))
    if design == "enumerated":
        order = sorted(range(len(WEIGHTS)), key=lambda token: -WEIGHTS[token])
        missed = math.prod(
            (Fraction(wrong[order[member % len(order)]], exact.PARTS) for member in range(size)),
            start=Fraction(1),
        )
    else:
        scale = (sum(WEIGHTS) * exact.PARTS) ** size
        missed = Fraction(exact.all_wrong(design, WEIGHTS, wrong, size), scale)
    return float(1 - missed**groups)


def told(design: Design, n: int, k: int) -> bool:
    """Whether pass@k can be told from blocks of n."""
    parts = {"iid": True, "stratified": k == 1, "lattice": n % k == 0, "enumerated": k < n}
    return k % n == 0 or parts[design]


def passed(blocks: Sequence[Block], k: int, design: Design) -> float:
    return group_pass_at_k(right(blocks), k, design=design)


def right(blocks: Sequence[Block]) -> list[list[bool]]:
    return [[answer is not None for answer in block] for block in blocks]


@pytest.mark.parametrize(
    ("design", "n", "blocks"),
    [
        *itertools.product(DESIGNS, (1, 4), (1,)),
        *itertools.product(DESIGNS, (2, 3), (2,)),
        ("lattice", 5, 1),
        ("lattice", 6, 1),
    ],
)
def test_pass_at_k_and_different_answers_of_groups_have_no_bias_and_what_would_have_one_is_refused(
    design: Design, n: int, blocks: int
) -> None:
    for k in range(1, n * blocks + 1):
        if told(design, n, k):
            passing = functools.partial(passed, k=k, design=design)
            found = expectation(design, n, blocks, passing)
            assert found == pytest.approx(passes(design, k, n), abs=1e-12), k
            differing = functools.partial(group_distinct_answers, k=k, design=design)
            found = expectation(design, n, blocks, differing)
            alone = [[w if t == token else exact.PARTS for t, w in enumerate(WRONG)] for token in range(3)]
            assert found == pytest.approx(sum(passes(design, k, n, wrong) for wrong in alone), abs=1e-12), k
        else:
            drawn = next(iter(outcomes(design, n)))
            for estimate in (group_pass_at_k, group_distinct_answers):
                rows: Any = [[1] * n] * blocks if estimate is group_pass_at_k else [drawn] * blocks
                with pytest.raises(
                    ValueError, match=rf"^{estimate.__name__}: k is {k}, .* multiple of {n}: "
                ):
                    estimate(rows, k, design=design)


@pytest.mark.parametrize(
    ("design", "n", "k"), [("stratified", 4, 2), ("stratified", 6, 3), ("lattice", 4, 3)]
)
def test_a_smaller_group_cannot_be_had_from_every_part_of_a_block(design: Design, n: int, k: int) -> None:
    """Every choice of k, the first k, every (n / k)-th: each is off by more than rounding."""
    parts: list[Callable[[list[bool]], float]] = [
        lambda block: pass_at_k(n, sum(block), k),
        lambda block: any(block[:k]),
        lambda block: any(block[:: n // k][:k]),
    ]
    for part in parts:
        found = expectation(design, n, 1, lambda drawn, part=part: part(right(drawn)[0]))  # type: ignore[misc]
        assert abs(found - passes(design, k, n)) > 1e-3


def first_codes(design: Design, size: int) -> list[list[int]]:
    """The 64 bits that each member of some groups draws with at step 0."""
    config = fire.SamplingConfig(design=design, seed=3)
    codes = torch.ops.fire.first_code(torch.tensor(0), fire.pack_group(config, 20, size))
    return [[code % 2**64 for code in group] for group in codes.view(-1, size).tolist()]


def test_every_so_many_members_of_a_lattice_are_a_lattice_of_their_own() -> None:
    size = 12
    for group in first_codes("lattice", size):
        for k in (1, 2, 3, 4, 6, 12):
            for first in range(size // k):
                part = group[first :: size // k]
                apart = [b - a for a, b in itertools.pairwise(sorted(part))]
                assert all(abs(each * k - 2**64) <= k for each in apart)
                # Member i + 1 of the part has the stratum after that of member i, as in a group of k.
                strata = [code * k >> 64 for code in part]
                assert strata == [(strata[0] + member) % k for member in range(k)]


def test_parts_of_a_stratified_block_hold_one_sample_of_each_part_of_the_mass_all_in_the_same_place() -> None:
    size, k = 12, 4
    for group in first_codes("stratified", size):
        part = group[:: size // k]
        assert sorted(code * k >> 64 for code in part) == list(range(k))
        assert len({(code * size >> 64) % (size // k) for code in part}) == 1


def test_without_a_design_the_samples_of_all_blocks_are_alike() -> None:
    designs: tuple[Design | None, ...] = (None, "none", "iid")
    for design, k in itertools.product(designs, range(1, 7)):
        assert group_pass_at_k([[0, 1, 0], [0, 1, 0]], k, design=design) == pass_at_k(6, 2, k)
        found = group_distinct_answers([["a", "b", None], ["a", "a", "c"]], k, design=design)
        assert found == pytest.approx(distinct_answers(["a", "b", None, "a", "a", "c"], k), rel=1e-12)


A_TABLE = "expected [blocks, n], a row for each block and in it the n samples of a group"


@pytest.mark.parametrize(
    ("table", "k", "design", "error", "message"),
    [
        ([[0, 1, 0, 0]], 2, "stratified", ValueError, "k is 2, expected 1 or a multiple of 4: other parts"),
        (
            [[0, 1, 0, 0]],
            3,
            "lattice",
            ValueError,
            "k is 3, expected a divisor of 4 or a multiple of 4: other",
        ),
        ([[0, 1], [0, 1]], 3, "enumerated", ValueError, "k is 3, expected 1 to 2 or a multiple of 2: other"),
        ([[0, 1]], 3, "iid", ValueError, "k is 3, expected an integer from 1 to 2, the number of samples"),
        ([[0, 1]], 0, "iid", ValueError, "k is 0, expected an integer from 1 to 2, the number of samples"),
        ([[0, 1]], 1.0, "iid", TypeError, "k is 1.0, expected an integer from 1 to 2, the number of samples"),
        (
            [[0, 1]],
            1,
            "sobol",
            ValueError,
            "design is 'sobol', expected one of none, iid, stratified, lattice",
        ),
        ([[0, 1], [1]], 1, "iid", ValueError, f"table has 2 rows of lengths [1, 2], {A_TABLE}"),
        ([], 1, "iid", ValueError, f"table has 0 rows of lengths [], {A_TABLE}"),
        ([[]], 1, "iid", ValueError, f"table has 1 rows of lengths [0], {A_TABLE}"),
        ([0, 1], 1, "iid", ValueError, f"table is of type list, {A_TABLE}"),
        (np.zeros((1, 2, 2)), 1, "iid", ValueError, f"table is of type ndarray, {A_TABLE}"),
        (torch.zeros(1, 2, 2), 1, "iid", ValueError, f"table is of type Tensor, {A_TABLE}"),
    ],
)
def test_what_groups_cannot_tell_is_refused_by_name(
    table: Any, k: Any, design: Design, error: type[Exception], message: str
) -> None:
    for estimate, name in ((group_pass_at_k, "correct"), (group_distinct_answers, "answers")):
        wanted = f"{estimate.__name__}: {message.replace('table', name)}"
        with pytest.raises(error, match=f"^{re.escape(wanted)}"):
            estimate(table, k, design=design)


@pytest.mark.parametrize("value", [0.5, math.nan, 2, "yes", None])
def test_a_reward_that_is_neither_right_nor_wrong_does_not_count_as_right(value: Any) -> None:
    with pytest.raises(ValueError, match="expected bools, or 0 and 1"):
        group_pass_at_k([[0, value]], 2, design="stratified")


@pytest.mark.parametrize("form", [np.array, torch.tensor, list])
def test_answers_of_an_array_or_a_tensor_count_by_value_not_as_objects(form: Any) -> None:
    assert distinct_answers(form([7, 7, 8]), 3) == 2
    assert group_distinct_answers(form([[7, 7], [7, 8]]), 4, design="lattice") == 2
    assert group_pass_at_k(form([[True, False], [False, False]]), 2, design="stratified") == 0.5


@pytest.mark.parametrize("design", ["iid", "stratified", "lattice"])
def test_the_integrals_over_strata_are_the_sums_over_all_that_a_block_can_hold(design: Design) -> None:
    for _, weights, wrong in itertools.islice(exact.pairs(30), 30):
        weights, wrong = weights[:4], wrong[:4]
        chances = [Fraction(weight, sum(weights)) for weight in weights]
        for n in (1, 2, 3):
            summed = sum(
                chance * math.prod(Fraction(wrong[token], exact.PARTS) for token in tokens)
                for chance, tokens in exact.blocks_of(design, chances, n)
            )
            integral = exact.all_wrong(design, weights, wrong, n)
            assert summed == Fraction(integral, (sum(weights) * exact.PARTS) ** n)


def test_a_lattice_misses_together_what_repeats_along_the_token_ids() -> None:
    weights, wrong, n = [1] * 8, [0, exact.PARTS] * 4, 4
    found = {
        design: 1 - Fraction(exact.all_wrong(design, weights, wrong, n), (8 * exact.PARTS) ** n)
        for design in ("iid", "stratified", "lattice")
    }
    assert found == {"iid": Fraction(15, 16), "stratified": Fraction(15, 16), "lattice": Fraction(1, 2)}


@pytest.mark.parametrize(("design", "wanted"), [("iid", 3 / 4), ("stratified", 1 / 2), ("lattice", 1 / 2)])
def test_two_hot_steps_can_pass_less_often_than_independent_samples(design: Design, wanted: float) -> None:
    """Of two tokens of chance 1/2, a sample is right if it holds both."""
    blocks = list(exact.blocks_of(design, [Fraction(1, 2)] * 2, 2))
    passed = sum(
        one * other
        for (one, first), (other, second) in itertools.product(blocks, repeat=2)
        if any(a != b for a, b in zip(first, second, strict=True))
    )
    assert passed == wanted


def test_strata_of_whole_sequences_as_a_code_draws_them_pass_as_often_at_two_steps() -> None:
    """AA, AB, BA and BB, in the order of the first token, then of the second."""
    blocks = exact.blocks_of("stratified", [Fraction(1, 4)] * 4, 2)
    assert sum(chance for chance, sequences in blocks if set(sequences) & {1, 2}) == Fraction(3, 4)


def test_no_stratified_group_of_ten_thousand_passes_less_often_than_independent_samples() -> None:
    found = exact.gains("stratified")
    assert len(found) == exact.PAIRS == 10_000
    assert min(found) == 0
    assert sum(gain > 0 for gain in found) > 9_000


def test_the_page_has_the_figures_that_the_example_computes() -> None:
    assert f"{exact.WRITER} -->\n{exact.page_text()}\n<!-- end" in exact.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("design", ["iid", "stratified", "lattice"])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_the_expected_update_with_the_other_blocks_as_baseline_is_the_exact_gradient(
    design: Design, n: int
) -> None:
    mean, _ = exact.update(design, n, exact.other_blocks)
    torch.testing.assert_close(mean, exact.exact_gradient(), rtol=0, atol=1e-7)


def test_the_mean_of_the_group_itself_shortens_the_gradient_if_independent_and_turns_it_under_a_design() -> (
    None
):
    gradient = exact.exact_gradient()
    torch.testing.assert_close(
        exact.update("iid", 8, exact.group_mean)[0], gradient * 7 / 8, rtol=0, atol=1e-7
    )
    torch.testing.assert_close(exact.update("iid", 8, exact.leave_one_out)[0], gradient, rtol=0, atol=1e-7)
    for design, baseline in itertools.product(
        ("stratified", "lattice"), (exact.group_mean, exact.leave_one_out)
    ):
        mean, _ = exact.update(design, 8, baseline)
        assert torch.cosine_similarity(mean, gradient, dim=0) < 1 - 1e-6


def test_a_token_better_than_the_other_stratum_and_worse_than_the_policy_is_pushed_the_wrong_way() -> None:
    """Two samples: 7/16 right and 1/16 at 1/4 in one stratum, wrong ones in the other. The mean is 29/64."""
    chances, rewards = (
        [Fraction(7, 16), Fraction(1, 16), Fraction(1, 2)],
        [Fraction(1), Fraction(1, 4), Fraction(0)],
    )
    pushed = Fraction()
    for chance, tokens in exact.blocks_of("stratified", chances, 2):
        mean = sum((rewards[token] for token in tokens), start=Fraction()) / 2
        moves = [(rewards[token] - mean) * ((token == 1) - chances[1]) for token in tokens]
        pushed += chance * sum(moves, start=Fraction()) / 2
    reward = sum(q * s for q, s in zip(chances, rewards, strict=True))
    assert reward == Fraction(29, 64)
    assert chances[1] * (rewards[1] - reward) < 0 < pushed


def test_each_reward_is_compared_with_the_other_blocks_of_its_own_prompt() -> None:
    reward = torch.tensor([[[1, 3], [5, 7], [0, 2]], [[10, 10], [10, 10], [40, 40]]])
    wanted = [[[-2.5, -0.5], [3.5, 5.5], [-4, -2]], [[-15, -15], [-15, -15], [30, 30]]]
    found = rl.other_blocks_advantage(reward.flatten(), size=2, blocks=3)
    assert found.dtype == torch.float32
    assert found.view(2, 3, 2).tolist() == wanted


def test_rewards_beyond_the_float32_range_of_a_sum_have_finite_advantages() -> None:
    found = rl.other_blocks_advantage(torch.tensor([3e38, -3e38, 3e38, 3e38]), size=1, blocks=4)
    assert found.isfinite().all()
