"""`fire_sampling.rl` on long rollouts and improbable tokens, against float64, exact sums and autograd."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fire_sampling import rl

LARGEST = torch.finfo(torch.float32).max
LENGTHS = (1, 900, 1_500, 10_000, 100_000)
CAPS = (0.5, 2.0, 32.0, math.inf)


def rollouts(rows: int, length: int, spread: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Float32 old and behaviour, and a mask: rows of random length whose ratios are e^(0 ± spread) or so."""
    generator = torch.Generator().manual_seed(seed)
    behaviour = -torch.rand(rows, length, generator=generator) * 5
    old = (behaviour + torch.randn(rows, length, generator=generator) * spread).clamp(-1e4, 0)
    ends = torch.randint(1, length + 1, (rows, 1), generator=generator)
    return old, behaviour, torch.arange(length) < ends


def log_weights(old: Tensor, behaviour: Tensor, mask: Tensor, cap: float) -> list[float]:
    """The logarithm of each row's capped weight, its sum exact."""
    difference = (old.double() - behaviour.double()) * mask
    return [min(math.fsum(row.tolist()), math.log(cap)) for row in difference]


def as_float32(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).clamp(max=LARGEST).float()


def exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("spread", [0.01, 1.0, 3_000.0])
@pytest.mark.parametrize("cap", CAPS)
def test_sequence_weights_are_those_of_exact_sums_whatever_the_length(
    length: int, spread: float, cap: float
) -> None:
    old, behaviour, mask = rollouts(4, length, spread)
    logs = log_weights(old, behaviour, mask, cap)
    weights = rl.sequence_weights(mask, old=old, behaviour=behaviour, cap=cap)
    torch.testing.assert_close(weights[:, 0], as_float32([exp(log) for log in logs]), rtol=1e-5, atol=1e-44)
    assert torch.equal(weights, weights[:, :1] * mask)

    total = sum(math.exp(log - max(logs)) for log in logs)
    wanted = as_float32([4 * math.exp(log - max(logs)) / total for log in logs])
    weights = rl.sequence_weights(mask, old=old, behaviour=behaviour, cap=cap, normalise=True)
    torch.testing.assert_close(weights[:, 0], wanted, rtol=1e-5, atol=1e-44)


def test_the_normalised_weights_of_long_sequences_do_not_all_underflow_to_zero() -> None:
    """A thousand tokens of ratio 0.9: the product of any row is below what a float32 can hold."""
    old = torch.full((4, 1_000), -1.0)
    behaviour = old + torch.tensor([[0.105], [0.1052], [0.1049], [0.1051]])
    mask = torch.ones(4, 1_000, dtype=torch.bool)
    for rows in (slice(0, 1), slice(0, 4)):
        weights = rl.sequence_weights(
            mask[rows], old=old[rows], behaviour=behaviour[rows], cap=math.inf, normalise=True
        )
        assert weights.mean() == pytest.approx(1.0, rel=1e-6)
        assert (weights > 0.5).all()


def test_the_cap_holds_before_the_mean_is_taken_where_products_overflow() -> None:
    old, behaviour = torch.full((3, 1_000), -1.0), torch.full((3, 1_000), -2.0)
    behaviour[2] = old[2]
    mask = torch.ones(3, 1_000, dtype=torch.bool)
    capped = rl.sequence_weights(mask, old=old, behaviour=behaviour, cap=4.0, normalise=True)
    torch.testing.assert_close(capped[:, 0], torch.tensor([4 / 3, 4 / 3, 1 / 3]), rtol=1e-6, atol=0)
    free = rl.sequence_weights(mask, old=old, behaviour=behaviour, cap=math.inf, normalise=True)
    torch.testing.assert_close(free[:, 0], torch.tensor([1.5, 1.5, 0.0]), rtol=1e-6, atol=0)


def test_batches_without_a_row_or_a_token_have_weights_too() -> None:
    for rows, length in ((0, 0), (0, 3), (3, 0), (3, 3)):
        mask = torch.zeros(rows, length, dtype=torch.bool)
        for normalise in (False, True):
            weights = rl.sequence_weights(
                mask, old=mask.float(), behaviour=mask.float(), cap=2.0, normalise=normalise
            )
            assert weights.shape == mask.shape
            assert not weights.any()


@pytest.mark.parametrize("cap", CAPS)
def test_token_weights_are_those_of_float64_for_log_probabilities_to_minus_ten_thousand(cap: float) -> None:
    values = (0.0, -1e-7, -0.5, -88.0, -89.0, -104.0, -700.0, -710.0, -1e4)
    old, behaviour = torch.tensor(list(itertools.product(values, values))).T[:, None]
    mask = torch.ones_like(old, dtype=torch.bool)
    weights = rl.token_weights(mask, old=old, behaviour=behaviour, cap=cap)
    wanted = (old.double() - behaviour.double()).exp().clamp(max=min(cap, LARGEST)).float()
    torch.testing.assert_close(weights, wanted, rtol=1e-6, atol=1e-45)


LOGS = (0.0, -0.1, -0.125, -1.0, -87.0, -95.0, -200.0, -745.0, -1e4)
ADVANTAGES = (0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 1e30, -1e30, LARGEST, -LARGEST)
WEIGHTS = (0.0, 1e-45, 0.016, 1.0, 14.0, LARGEST)
CLIPS = ((0.2, 0.2), (0.2, 0.28), (0.0, 0.0), (0.99, math.inf))


def every_token() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Float32 [1, T]: policy, old, advantage, weights in every combination."""
    policy, old, advantage, weights = torch.tensor(
        list(itertools.product(LOGS, LOGS, ADVANTAGES, WEIGHTS))
    ).T[:, None]
    return policy, old, advantage, weights


def in_float64(
    policy: Tensor, old: Tensor, advantage: Tensor, weights: Tensor, clip_low: float, clip_high: float
) -> tuple[Tensor, Tensor]:
    """The loss as its formula says it, and autograd's gradient of it."""
    leaf = policy.double().requires_grad_()
    ratio = (leaf - old.double()).exp()
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    advantage = advantage.double()
    loss = -weights.double() * torch.minimum(ratio * advantage, clipped * advantage)
    return loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]


@pytest.mark.parametrize(("clip_low", "clip_high"), CLIPS)
def test_every_loss_and_gradient_is_finite_and_that_of_float64_where_float64_has_one(
    clip_low: float, clip_high: float
) -> None:
    policy, old, advantage, weights = every_token()
    leaf = policy.clone().requires_grad_()
    loss = rl.ppo_loss(
        leaf, old=old, advantage=advantage, weights=weights, clip_low=clip_low, clip_high=clip_high
    )
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    wanted = in_float64(policy, old, advantage, weights, clip_low, clip_high)
    for ours, theirs in zip((loss.detach(), gradient), wanted, strict=True):
        assert ours.isfinite().all()
        known = theirs.isfinite()
        assert known.float().mean() > 0.7
        rounded = theirs.clamp(-LARGEST, LARGEST).float()
        torch.testing.assert_close(ours[known], rounded[known], rtol=1e-6, atol=1e-45)


def test_a_token_beyond_the_clip_range_by_e_to_the_94_leaves_the_parameters_of_its_batch_finite() -> None:
    """PPO's clip stops it, so its gradient is 0, which autograd would make 0 · inf."""
    logits = torch.tensor([[[0.0, -95.0], [0.0, 0.5]]], requires_grad=True)
    tokens = torch.tensor([[[0], [1]]])
    policy = logits.log_softmax(-1).gather(2, tokens)[..., 0]
    old = torch.tensor([[-95.0, -0.5]])
    loss = rl.ppo_loss(policy, old=old, advantage=torch.ones(1), weights=torch.ones(1, 2))
    assert loss[0, 0].item() == pytest.approx(-1.2)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert not gradient[0, 0].any()
    assert gradient[0, 1].all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_decoupled_losses_are_finite_at_the_ends_of_every_type(dtype: torch.dtype) -> None:
    ends = (0.0, -1e4, torch.finfo(dtype).min, torch.finfo(dtype).max)
    cases = list(itertools.product(ends, ends, ends, ends))
    policy, old, behaviour, advantage = torch.tensor(cases, dtype=torch.float64).to(dtype).T[:, None]
    leaf = policy.clone().requires_grad_()
    mask = torch.ones_like(policy, dtype=torch.bool)
    for cap in CAPS:
        loss = rl.decoupled_ppo_loss(
            leaf, old=old, behaviour=behaviour, advantage=advantage, mask=mask, cap=cap
        )
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
        assert gradient.isfinite().all()


def test_a_token_that_the_policy_has_ruled_out_keeps_the_loss_and_gradient_that_its_ratio_of_zero_gives() -> (
    None
):
    policy = torch.tensor([[-math.inf, -math.inf]], requires_grad=True)
    loss = rl.ppo_loss(
        policy,
        old=torch.tensor([[-1.0, -1.0]]),
        advantage=torch.tensor([[1.0, -1.0]]),
        weights=torch.ones(1, 2),
    )
    torch.testing.assert_close(loss.detach(), torch.tensor([[0.0, 0.8]]))
    (gradient,) = torch.autograd.grad(loss.sum(), policy)
    assert not gradient.any()


def test_a_nan_on_a_trained_token_is_not_hidden() -> None:
    arguments: dict[str, Any] = {"advantage": torch.ones(1), "weights": torch.ones(1, 1)}
    nan = torch.tensor([[math.nan]])
    assert rl.ppo_loss(nan, old=torch.zeros(1, 1), **arguments).isnan().all()
    assert rl.ppo_loss(torch.zeros(1, 1), old=nan, **arguments).isnan().all()
    mask = torch.ones(1, 1, dtype=torch.bool)
    assert rl.token_weights(mask, old=nan, behaviour=torch.zeros(1, 1), cap=2.0).isnan().all()


def test_a_nan_spoils_its_own_sequence_and_a_normalised_batch_and_no_token_outside_the_mask() -> None:
    mask = torch.tensor([[True, True, False], [True, False, False]])
    old, behaviour = torch.tensor([[math.nan, 0.0, 0.0], [0.0, 0.0, 0.0]]), torch.zeros(2, 3)
    weights = rl.sequence_weights(mask, old=old, behaviour=behaviour, cap=2.0)
    torch.testing.assert_close(
        weights, torch.tensor([[math.nan, math.nan, 0.0], [1.0, 0.0, 0.0]]), equal_nan=True
    )
    normalised = rl.sequence_weights(mask, old=old, behaviour=behaviour, cap=2.0, normalise=True)
    assert torch.equal(normalised.isnan(), mask)
    assert not normalised[~mask].any()


def test_the_loss_can_be_differentiated_twice() -> None:
    policy = torch.tensor([[-0.5, -1.0]], requires_grad=True)
    loss = rl.ppo_loss(
        policy, old=torch.tensor([[-0.5, -2.0]]), advantage=torch.ones(1), weights=torch.ones(1, 2)
    )
    (first,) = torch.autograd.grad(loss.sum(), policy, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), policy)
    torch.testing.assert_close(second, torch.tensor([[-1.0, 0.0]]))
