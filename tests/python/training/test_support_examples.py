"""The proofs of use of docs/training.md: ratios over a replayed support, and what each remedy estimates."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import pytest
import torch
from tiny_models import one_thread  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from examples import first_token_gradient as first  # noqa: E402
from examples import first_token_training as training  # noqa: E402
from examples import support_replay as replay  # noqa: E402


@pytest.fixture(scope="module")
def row() -> first.Row:
    return first.Row()


@pytest.fixture(scope="module")
def measured() -> list[replay.Measured]:
    return replay.train()[1]


def test_over_the_whole_softmax_half_the_ratios_leave_the_band_and_over_the_support_hardly_one(
    measured: list[replay.Measured],
) -> None:
    assert len(measured) == replay.STEPS
    for found in measured:
        assert replay.outside(found.whole) > 0.4
        assert replay.outside(found.replayed) < 0.02
        assert (found.whole < 0.9).float().mean() > 0.4, "the kept mass, not noise on both sides"
        assert found.replayed.mean() == pytest.approx(1.0, abs=2e-3)
        # What is left is the engine's rounding to bfloat16, at most 2^-8 of logits up to 4 SHARPEST.
        assert found.replayed.log().abs().max() < 2 * 4 * replay.SHARPEST * 2**-8


def test_an_engine_that_does_not_round_has_ratios_of_1_over_the_support() -> None:
    model = replay.bigrams(1)
    rollout = replay.roll_out(model, 1)
    found = replay.fire.support_log_prob(
        model(rollout.tokens[:, :-1]).flatten(0, 1),
        rollout.tokens[:, 1:].flatten(),
        rollout.support.flatten(0, 1),
        1.0,
    )
    wanted = rollout.behaviour.flatten()
    assert ((found.logprob - wanted).abs() <= 2e-6 * wanted.abs().clamp(min=1.0)).all()


def test_training_on_the_replayed_support_raises_the_reward() -> None:
    """The share of even tokens in 2,048 independent ones moves by 4 standard deviations of 1 / (2 √2048)."""
    before, after = (
        replay.roll_out(replay.train(steps=steps)[0], seed=99).tokens[:, 1:] % 2 == 0 for steps in (0, 12)
    )
    assert after.float().mean() - before.float().mean() > 4 * 0.5 / math.sqrt(before.numel())


@pytest.mark.parametrize("baseline", ["none", first.POLICYS, first.SAMPLERS])
def test_centring_estimates_the_gradient_of_what_is_sampled_without_a_bias_whatever_the_baseline(
    row: first.Row, baseline: str
) -> None:
    value = first.baselines(row)[baseline]
    found = first.estimate(row, first.CENTRED, value)
    assert found.error(row.samplers, math.inf) < 1e-6
    ignored = first.estimate(row, "ignore", value)
    pulled = first.baselines(row)[first.SAMPLERS] - value
    q = torch.zeros_like(first.CHANCES).index_copy(0, row.token, row.drawn)
    torch.testing.assert_close(ignored.mean - found.mean, pulled * (q - first.CHANCES), rtol=1e-5, atol=1e-7)
    assert found.spread < ignored.spread


def test_weights_above_the_cap_estimate_the_policys_gradient_but_for_what_the_hot_step_does_not_keep(
    row: first.Row,
) -> None:
    for baseline in first.baselines(row).values():
        found = first.estimate(row, "token weights, cap 32", baseline)
        score = torch.eye(len(first.CHANCES)) - first.CHANCES
        kept = torch.zeros_like(first.CHANCES).index_fill(0, row.token, 1.0)
        wanted = (first.CHANCES * kept * (first.REWARDS - baseline)) @ score.double()
        torch.testing.assert_close(found.mean, wanted, rtol=1e-5, atol=1e-7)
    assert first.effective_share(row, "token weights, cap 32") == pytest.approx(
        float((row.drawn @ (first.CHANCES[row.token] / row.drawn)) ** 2)
        / float(row.drawn @ (first.CHANCES[row.token] / row.drawn) ** 2),
        rel=1e-5,
    )
    assert first.effective_share(row, "token weights, cap 32") < 0.11


def test_the_error_of_a_mean_of_n_is_what_enumerating_pairs_says(row: first.Row) -> None:
    """Of two independent draws, every pair."""
    found = first.estimate(row, "ignore", 0.3)
    each = first.updates(row, "ignore", 0.3)
    pairs = (each[:, None] + each[None]) / 2
    square = (pairs - row.policys).square().sum(2)
    wanted = math.sqrt(float(row.drawn @ square @ row.drawn)) / float(row.policys.norm())
    assert found.error(row.policys, 2) == pytest.approx(wanted, rel=1e-6)


def test_ignoring_ends_in_the_favourite_with_a_critic_and_centring_alike_with_every_baseline() -> None:
    ends = {
        (remedy, baseline): training.train(remedy, baseline)
        for remedy in ("ignore", first.CENTRED)
        for baseline in training.BASELINES
    }
    assert ends["ignore", first.POLICYS].entropy.max() < 0.01
    assert ends["ignore", "none"].entropy.min() > 2
    for baseline in training.BASELINES:
        centred = ends[first.CENTRED, baseline]
        assert centred.careful.min() > 0.05
        assert abs(centred.value.mean() - 0.64) < 0.02
    same = (ends[remedy, training.GROUPS].value for remedy in ("ignore", first.CENTRED))
    torch.testing.assert_close(*same, rtol=0, atol=1e-3)


def numbers(text: str) -> list[float]:
    return [float(each.replace(",", "")) for each in re.findall(r"\d[\d,]*\.?\d*", text)]


def written(writer: str) -> str:
    page = first.PAGE.read_text(encoding="utf-8")
    return page.split(f"{writer} -->\n")[1].split("\n<!-- end")[0]


def test_the_page_has_the_figures_that_the_examples_compute(
    row: first.Row, measured: list[replay.Measured]
) -> None:
    page = first.PAGE.read_text(encoding="utf-8")
    assert written(first.WRITER) == first.page_text(row)
    # What is drawn of trained rows depends on the last bits of torch's arithmetic, which differ by processor.
    for writer, text in (
        (replay.WRITER, replay.page_text(measured)),
        (training.WRITER, training.page_text()),
    ):
        assert re.sub(r"[\d,.]+", "", written(writer)) == re.sub(r"[\d,.]+", "", text)
        for ours, theirs in zip(numbers(text), numbers(written(writer)), strict=True):
            assert abs(ours - theirs) <= 0.1 * abs(theirs) + 0.05 + (theirs > 1)
    assert 17.5 < row.samplers[first.CAREFUL] / row.policys[first.CAREFUL] < 18.5
    assert "rises 18 times as fast" in " ".join(page.split())


def test_the_same_row_draws_the_same_picture_and_the_page_shows_it(row: first.Row, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        first.draw(row, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert f"](images/{first.PICTURE.name})" in first.PAGE.read_text(encoding="utf-8")
    assert first.PICTURE.is_file()
