"""pass@k, #EA and intervals: against counting, and against a policy whose figures are known exactly."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import fire_sampling as fire
from fire_sampling.metrics import (
    distinct_answers,
    mean_interval,
    paired_bootstrap,
    pass_at_k,
    powers_of_two,
)

# A bound that chance breaks with probability 2 e^-32, see `bound`.
CERTAINTY = 32.0


def bound(variance: float, reach: float, draws: int) -> float:
    """How far the mean of `draws` independent values may be from its expectation: Bernstein's inequality.

    The values have this variance at most and lie within `reach` of their expectation.
    """
    return math.sqrt(2 * variance * CERTAINTY / draws) + 2 * reach * CERTAINTY / (3 * draws)


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_pass_at_k_is_the_share_of_the_subsets_of_k_that_hold_a_right_one(n: int) -> None:
    for correct, k in itertools.product(range(n + 1), range(1, n + 1)):
        subsets = list(itertools.combinations(range(n), k))
        share = sum(any(each < correct for each in subset) for subset in subsets) / len(subsets)
        assert pass_at_k(n, correct, k) == pytest.approx(share, abs=1e-15)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 5)])
def test_pass_at_k_refuses_what_is_no_sample(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match=f"samples={n}, correct={c}, k={k}"):
        pass_at_k(n, c, k)


def test_distinct_answers_is_the_mean_over_all_choices_and_none_is_no_answer() -> None:
    values = ["a", "a", "b", "c", "c", "c", None]
    for n in range(1, len(values) + 1):
        chosen = [len(set(choice) - {None}) for choice in itertools.combinations(values, n)]
        assert distinct_answers(values, n) == pytest.approx(sum(chosen) / len(chosen), rel=1e-12)
    assert distinct_answers([None, None], 2) == 0


@pytest.mark.parametrize("n", [0, 4])
def test_distinct_answers_refuses_more_answers_than_there_are(n: int) -> None:
    with pytest.raises(ValueError, match=f"got n={n}, expected 1 to 3"):
        distinct_answers("abc", n)


def test_the_values_of_k_end_at_the_number_of_samples() -> None:
    assert powers_of_two(1) == [1]
    assert powers_of_two(16) == [1, 2, 4, 8, 16]
    assert powers_of_two(12) == [1, 2, 4, 8, 12]


def test_the_interval_holds_the_mean_and_is_as_wide_as_the_normal_one_for_many_prompts() -> None:
    values = np.random.default_rng(1).random(400).tolist()
    mean, low, high = mean_interval(values)
    assert mean == pytest.approx(np.mean(values))
    # 1.96 standard errors σ/√n each way. 10,000 resamples know each end to √(0.025 · 0.975 / 10,000) over the
    # normal density there, 0.058: 0.027 standard errors; 10 % of the width is ten times what both add up to.
    assert high - low == pytest.approx(2 * 1.96 * np.std(values) / 20, rel=0.1)
    assert mean_interval([0.25]) == (0.25, 0.25, 0.25)
    assert mean_interval(values) == (mean, low, high)


def test_an_interval_over_so_many_prompts_that_they_are_resampled_in_blocks_is_the_one_in_one_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(2).random(50).tolist()
    whole = mean_interval(values, seed=3)
    monkeypatch.setattr("fire_sampling.metrics._BLOCK", 170)
    assert mean_interval(values, seed=3) == whole


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [0.5, math.inf]])
def test_an_interval_of_nothing_or_of_no_number_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected at least one finite number"):
        mean_interval(values)


def test_an_interval_refuses_a_level_that_is_no_probability_and_no_resamples() -> None:
    with pytest.raises(ValueError, match="level is 95"):
        mean_interval([0.5], level=95)
    with pytest.raises(ValueError, match="resamples is 0"):
        mean_interval([0.5], resamples=0)


def test_values_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="plain has 2 values and other 1"):
        paired_bootstrap([0.0, 1.0], [1.0])


def test_a_difference_is_taken_prompt_by_prompt() -> None:
    plain = np.random.default_rng(3).random(60)
    assert paired_bootstrap(plain.tolist(), (plain + 0.25).tolist()) == pytest.approx((0.25, 0.25, 0.25))
    assert paired_bootstrap([0.0, 1.0, 0.5], [0.0, 1.0, 0.5]) == (0.0, 0.0, 0.0)


# A tabular policy: one row of logits, from which token i is drawn with probability q_i and then right with
# s_i.
LOGITS = np.random.default_rng(0).normal(0, 2, 12).astype(np.float32)
SUCCESS = np.random.default_rng(1).random(12) * 0.5
PLAIN = fire.SamplingConfig(temperature=0.7, top_k=10, hot_steps=0)
FIRE = replace(PLAIN, hot_steps=1, hot_temperature=30.0, hot_top_k=6)


def probabilities(config: fire.SamplingConfig) -> NDArray[np.float64]:
    """The distribution that the first token is drawn from, from the settings' meaning alone."""
    temperature, kept = (
        (config.hot_temperature, config.hot_top_k) if config.hot_steps else (config.temperature, config.top_k)
    )
    assert temperature is not None
    assert kept is not None
    logits = LOGITS.astype(np.float64) / temperature
    weights = np.where(np.argsort(np.argsort(-logits)) < kept, np.exp(logits), 0)
    return np.asarray(weights / weights.sum())


def drawn(
    config: fire.SamplingConfig, prompts: int, samples: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Tokens and whether they are right, [prompts, samples]."""
    records = fire.pack(replace(config, seed=seed), rows=prompts * samples)
    rows = torch.from_numpy(LOGITS).expand(prompts * samples, -1)
    tokens = fire.sample(rows, 0, records).numpy().reshape(prompts, samples)
    return tokens, np.random.default_rng(seed).random(tokens.shape) < SUCCESS[tokens]


@pytest.mark.parametrize("config", [PLAIN, FIRE], ids=["plain", "FIRE"])
@pytest.mark.parametrize("k", [1, 4, 16])
def test_pass_at_k_of_a_tabular_policy_is_its_closed_form(config: fire.SamplingConfig, k: int) -> None:
    """pass@k is 1 − (1 − Σ q s)^k."""
    prompts, samples = 4000, 16
    right = float(probabilities(config) @ SUCCESS)
    exact = 1 - (1 - right) ** k
    _, correct = drawn(config, prompts, samples, seed=11)
    found = np.mean([pass_at_k(samples, int(count), k) for count in correct.sum(1)])
    # The estimator's own variance, over the binomial number of right ones among the 16.
    variance = sum(
        math.comb(samples, c)
        * right**c
        * (1 - right) ** (samples - c)
        * (pass_at_k(samples, c, k) - exact) ** 2
        for c in range(samples + 1)
    )
    assert abs(found - exact) < bound(variance, 1.0, prompts)


@pytest.mark.parametrize("config", [PLAIN, FIRE], ids=["plain", "FIRE"])
@pytest.mark.parametrize("n", [1, 4, 16])
def test_different_answers_of_a_tabular_policy_are_their_closed_form(
    config: fire.SamplingConfig, n: int
) -> None:
    """#EA at n, the answer being the token, is Σ 1 − (1 − q)^n."""
    prompts, samples = 4000, 16
    found_once = 1 - (1 - probabilities(config)) ** n
    tokens, _ = drawn(config, prompts, samples, seed=12)
    found = np.mean([distinct_answers(row.tolist(), n) for row in tokens])
    # Which tokens are found is negatively associated, so the variance of their number is at most the sum of
    # theirs; a mean over choices has no more.
    variance = float((found_once * (1 - found_once)).sum())
    assert abs(found - found_once.sum()) < bound(variance, n, prompts)


def test_ninety_five_of_a_hundred_paired_intervals_hold_the_difference_in_closed_form() -> None:
    rounds, prompts, samples, k, level = 2000, 100, 8, 4, 0.95
    plain, hot = (1 - (1 - probabilities(config) @ SUCCESS) ** k for config in (PLAIN, FIRE))
    rates = []
    for config in (PLAIN, FIRE):
        _, correct = drawn(config, rounds * prompts, samples, seed=13)
        passed = np.array([pass_at_k(samples, c, k) for c in range(samples + 1)])[correct.sum(1)]
        rates.append(passed.reshape(rounds, prompts).tolist())
    missed = 0
    for round_ in range(rounds):
        _, low, high = paired_bootstrap(rates[0][round_], rates[1][round_], resamples=500, level=level)
        missed += not low <= hot - plain <= high
    # Five standard deviations of a binomial about 100 of 2,000, and 0.5 % of the rounds for what the
    # percentile bootstrap misses of its level with a hundred prompts: half the width or twice it fails.
    spread = math.sqrt(rounds * level * (1 - level))
    assert abs(missed - rounds * (1 - level)) < 5 * spread + 0.005 * rounds
