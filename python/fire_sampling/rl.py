"""Importance weights and losses for reinforcement learning from rollouts with hot first tokens.

Of every generated token there are up to three log-probabilities, all float [B, T]: T tokens of B sequences,
column t holding the token of step t.

`behaviour`  under the distribution it was drawn from: hot, filtered. `logprob` of `sample_with_logprobs`.
`old`        under the same weights, as the trainer evaluates them: the whole softmax at the regular
             temperature. `ref_logprob` of `sample_with_logprobs`, or what the trainer recomputes. The anchor
             of PPO's ratio.
`policy`     under the weights that are being trained, evaluated like `old`. The only one with a gradient.

`mask`, bool [B, T], is true on the tokens that are trained on: generated, not padding. What the others hold,
infinities included, changes neither a value nor a gradient.

A weight multiplies a token's loss. There are five choices, and docs/training.md says when to use which:

`unit_weights`         ignore: every token counts as if the policy had drawn it
`hot_masked_weights`   mask: hot tokens are not trained on
`token_weights`        truncated per-token weights
`sequence_weights`     one weight a sequence
`decoupled_ppo_loss`   PPO whose clip is about `old` and whose weight is about `behaviour`

Every function raises a ValueError that names an argument of a wrong shape, type or range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fire_sampling.config import SamplingConfig


def hot_tokens(mask: Tensor, config: SamplingConfig) -> Tensor:
    """Bool [B, T]: the tokens of `mask` that `config` draws hot, hot_begin ≤ t < hot_begin + hot_steps."""
    _require_mask("hot_tokens", mask)
    full = config.resolve()
    begin, count = full.hot_begin or 0, full.hot_steps or 0
    step = torch.arange(mask.shape[1], device=mask.device)
    return mask & (step >= begin) & (step < begin + count)


def unit_weights(mask: Tensor) -> Tensor:
    """Float32 [B, T]: 1 on `mask`, 0 elsewhere. The gradient is that of the drawn distribution's rewards."""
    _require_mask("unit_weights", mask)
    return mask.float()


def hot_masked_weights(mask: Tensor, config: SamplingConfig) -> Tensor:
    """Float32 [B, T]: 1 on `mask`, 0 on its hot tokens and elsewhere. How to begin is then never trained."""
    return (mask & ~hot_tokens(mask, config)).float()


def token_weights(old: Tensor, behaviour: Tensor, mask: Tensor, *, cap: float) -> Tensor:
    """Float32 [B, T]: min(exp(old − behaviour), cap) on `mask`, 0 elsewhere; without a gradient.

    Truncated importance sampling (Ionides 2008, "Truncated Importance Sampling", J. Comput. Graph. Stat. 17),
    token by token as the ρ of IMPALA (Espeholt et al. 2018, arXiv:1802.01561). A token is corrected for how
    it was drawn, not for how the tokens before it were.

    Args:
        cap: positive, `math.inf` for none. Below 1 / min behaviour probability, which a hot window of k
            tokens puts near k, it takes weight from the policy's favourite first tokens.
    """
    _require_mask("token_weights", mask)
    _require_floats("token_weights", mask.shape, old=old, behaviour=behaviour)
    _require_positive("token_weights", "cap", cap)
    difference = _difference(old.detach(), behaviour.detach(), mask)
    return difference.exp().clamp(max=cap) * mask


def sequence_weights(
    old: Tensor, behaviour: Tensor, mask: Tensor, *, cap: float, normalise: bool = False
) -> Tensor:
    """Float32 [B, T]: min(exp(Σ_t (old − behaviour)), cap) of a row on its `mask`, 0 elsewhere; no gradient.

    The sum is over the row's `mask`: the product of the token weights, and so, without a cap, the importance
    weight of the whole sequence (Precup, Sutton, Singh 2000, "Eligibility Traces for Off-Policy Policy
    Evaluation"). The expectation of its weighted gradient is the policy's own, as far as the filters kept it.

    Args:
        cap: positive, `math.inf` for none.
        normalise: divides by the mean over the sequences that have a token (Owen 2013, "Monte Carlo theory,
            methods and examples", section 9.2): filters leave the mean of the weights below 1.
    """
    _require_mask("sequence_weights", mask)
    _require_floats("sequence_weights", mask.shape, old=old, behaviour=behaviour)
    _require_positive("sequence_weights", "cap", cap)
    weight = _difference(old.detach(), behaviour.detach(), mask).sum(dim=1).exp().clamp(max=cap)
    if normalise:
        weight = weight * mask.any(dim=1)
        weight = weight * mask.any(dim=1).sum() / weight.sum().clamp(min=torch.finfo(weight.dtype).tiny)
    return weight[:, None] * mask


def ppo_loss(
    policy: Tensor,
    old: Tensor,
    advantage: Tensor,
    weights: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Tensor:
    """Float32 [B, T]: −weight · min(r A, clip(r, 1 − clip_low, 1 + clip_high) A) with r = exp(policy − old).

    The clipped surrogate of PPO (Schulman et al. 2017, arXiv:1707.06347, equation 7) with the two bounds of
    DAPO (Yu et al. 2025, arXiv:2503.14476), a token at a time and weighted; a token of weight 0 has no loss
    and no gradient. Sum it and divide as your trainer does: by the number of tokens, or row by row.

    Args:
        advantage: [B, T], or [B] for one a sequence.
        weights: [B, T], of one of the functions above.
        clip_low, clip_high: in [0, 1) and from 0 on.
    """
    _require_floats("ppo_loss", weights.shape, weights=weights, policy=policy, old=old)
    if not 0 <= clip_low < 1 or not clip_high >= 0:
        raise ValueError(
            f"ppo_loss: clip_low, clip_high: got {clip_low}, {clip_high}, expected [0, 1) and [0, inf)"
        )
    if advantage.shape == weights.shape[:1]:
        advantage = advantage[:, None]
    elif advantage.shape != weights.shape:
        raise ValueError(
            f"ppo_loss: advantage: got shape {list(advantage.shape)}, expected {list(weights.shape)} or "
            f"{list(weights.shape[:1])}"
        )
    ratio = _difference(policy, old.detach(), weights != 0).exp()
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    return -weights * torch.minimum(ratio * advantage, clipped * advantage)


def decoupled_ppo_loss(
    policy: Tensor,
    old: Tensor,
    behaviour: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
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
    weights = token_weights(old, behaviour, mask, cap=cap)
    return ppo_loss(policy, old, advantage, weights, clip_low=clip_low, clip_high=clip_high)


def _difference(minuend: Tensor, subtrahend: Tensor, where: Tensor) -> Tensor:
    """Float32: their difference, and a constant 0 outside `where`, whatever is there."""
    return torch.where(where, minuend.float() - subtrahend.float(), 0.0)


def _require_mask(name: str, mask: Tensor) -> None:
    if mask.dtype != torch.bool or mask.dim() != 2:
        raise ValueError(f"{name}: mask: got {mask.dtype} {list(mask.shape)}, expected torch.bool [B, T]")


def _require_floats(name: str, shape: torch.Size, **tensors: Tensor) -> None:
    expected = f"floats {list(shape)}" if len(shape) == 2 else "floats [B, T]"
    for argument, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.shape != shape or tensor.dim() != 2:
            raise ValueError(
                f"{name}: {argument}: got {tensor.dtype} {list(tensor.shape)}, expected {expected}"
            )


def _require_positive(name: str, argument: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: {argument}: got {value}, expected a positive number")
