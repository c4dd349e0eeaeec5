"""The losses of a policy update, a token at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fire_sampling.rl._arguments import check_advantage, check_clip, check_floats, check_gradient, check_mask
from fire_sampling.rl._logs import difference, float32_range, largest_slope, to_float32
from fire_sampling.rl.weights import weights_of_tokens

# Times e^300 the smallest product of two float32 that is not 0, 2^-298, is beyond the range of float32, and
# the largest, 2^256, is far within that of float64: greater exponents give nothing else.
_LARGEST_EXPONENT = 300.0


def ppo_loss(
    policy: Tensor,
    *,
    old: Tensor,
    advantage: Tensor,
    weights: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Tensor:
    """Float32 [B, T]: −weight · min(r A, clip(r, 1 − clip_low, 1 + clip_high) A) with r = exp(policy − old).

    The clipped surrogate of PPO (Schulman et al. 2017, arXiv:1707.06347, equation 7) with the two bounds of
    DAPO (Yu et al. 2025, arXiv:2503.14476), a token at a time and weighted; a token of weight 0 has no loss
    and no gradient. Sum it and divide as your trainer does: by the number of tokens, or row by row.

    PPO clips no ratio above 1 of a negative advantage: that loss and its gradient are as large as the ratio.

    Args:
        policy: [B, T]. It alone has a gradient.
        old: [B, T].
        advantage: [B, T], or [B] for one a sequence.
        weights: [B, T], of one of the functions of `fire_sampling.rl`.
        clip_low, clip_high: in [0, 1) and from 0 on.
    """
    _check("ppo_loss", policy, old, advantage, clip_low, clip_high)
    check_floats("ppo_loss", ("policy", policy), weights=weights)
    return _ppo_loss(policy, old, advantage, weights, clip_low, clip_high)


def decoupled_ppo_loss(
    policy: Tensor,
    *,
    old: Tensor,
    behaviour: Tensor,
    advantage: Tensor,
    mask: Tensor,
    cap: float,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Tensor:
    """Float32 [B, T]: `ppo_loss` with `token_weights`, the decoupled objective of PPO.

    exp(old − behaviour) · min(r A, clip(r) A) with r = exp(policy − old), the first factor truncated at `cap`
    (Hilton, Cobbe, Schulman 2021, "Batch size-invariance for policy optimization", arXiv:2110.00641, section
    3). The factor corrects for who drew the token, and the clip limits the update alone. Were r taken against
    `behaviour`, the heat of a token would decide whether it is clipped.
    """
    _check("decoupled_ppo_loss", policy, old, advantage, clip_low, clip_high)
    check_mask("decoupled_ppo_loss", mask, ("policy", policy))
    weights = weights_of_tokens("decoupled_ppo_loss", mask, old, behaviour, cap)
    return _ppo_loss(policy, old, advantage, weights, clip_low, clip_high)


def _check(
    function: str, policy: Tensor, old: Tensor, advantage: Tensor, clip_low: float, clip_high: float
) -> None:
    check_floats(function, None, policy=policy)
    check_floats(function, ("policy", policy), old=old)
    check_advantage(function, advantage, ("policy", policy))
    check_clip(function, clip_low, clip_high)
    check_gradient(function, policy, old)


def _ppo_loss(
    policy: Tensor, old: Tensor, advantage: Tensor, weights: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    if advantage.dim() == 1:
        advantage = advantage[:, None]
    trained = weights != 0
    log_ratio = difference(policy, old, trained)
    # The smaller of r A and clip(r) A, of which only one bound can be in force: the upper one if A > 0.
    clipped = torch.where(
        advantage > 0,
        log_ratio.clamp(max=math.log1p(clip_high)),
        log_ratio.clamp(min=math.log1p(-clip_low)),
    )
    ratio = clipped.clamp(max=_LARGEST_EXPONENT).exp()
    loss = torch.where(trained, to_float32(-float32_range(weights) * float32_range(advantage) * ratio), 0.0)

    # As dr = r d(policy), the derivative of the loss is the loss itself, and 0 where the clip holds r. It is
    # attached to a 0, not left to autograd, for which it would be a product of factors that overflow.
    moves = trained & (clipped == log_ratio) & policy.isfinite()
    largest = largest_slope(policy)
    slope = torch.where(moves, loss.clamp(-largest, largest), 0.0)
    moving = torch.where(moves, policy, 0.0)
    return loss + slope * (moving - moving.detach()).float().expm1()
