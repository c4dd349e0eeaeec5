"""Log-probabilities over a rollout's support: the set of tokens that each of its tokens was drawn from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fire_sampling.functional import support_log_prob
from fire_sampling.rl._arguments import (
    check_floats,
    check_gradient,
    check_logits,
    check_mask,
    check_support,
    check_temperature,
)
from fire_sampling.rl._logs import difference, largest_slope, to_float32


def support_ratio(policy: Tensor, *, old: Tensor, mask: Tensor) -> Tensor:
    """Float32 [B, T]: exp(policy − old) on `mask`, 0 elsewhere; differentiable in `policy`.

    PPO's ratio (Schulman et al. 2017, arXiv:1707.06347, section 2) between two distributions over one set:
    both log-probabilities are `support_log_prob`'s `logprob`, over the support that came with the rollout.
    Exactly 1 where both come from the same logits, so at the first update, also under top-p. Over the whole
    softmax the policy's log-probability lacks the mass that the filters cut.

    A token of log-probability −inf, which lies outside its support or is ruled out, has ratio 0 and no
    gradient, whichever of the two is −inf.

    Args:
        policy: [B, T]. It alone has a gradient.
        old: [B, T].
        mask: bool [B, T], true on the tokens that are trained on.
    """
    function = "support_ratio"
    check_floats(function, None, policy=policy)
    check_floats(function, ("policy", policy), old=old)
    check_mask(function, mask, ("policy", policy))
    check_gradient(function, policy, old)
    possible = mask & ~policy.isinf() & ~old.isinf()
    ratio = torch.where(possible, to_float32(difference(policy, old, possible).exp()), 0.0)
    # As dr = r d(policy); attached to a 0, so that no gradient is beyond the range of its type.
    slope = ratio.clamp(max=largest_slope(policy))
    moving = torch.where(possible, policy, 0.0)
    return ratio + slope * (moving - moving.detach()).float().expm1()


def support_policy(logits: Tensor, *, support: Tensor, temperature: float) -> Tensor:
    """Float32 [B, T, width]: ln softmax(logits / temperature) of every token of `support`, −inf behind them.

    Over the whole vocabulary; differentiable in `logits`. What `centered_loss` takes as `support_policy`.

    Args:
        logits: [B, T, V], of float32, bfloat16 or float16: those of the forward pass in training. Where
            `logits.flatten(0, 1)` is a copy, as of `logits[:, :-1]` it is, one is made.
        support: int32 [B, T, width]: ids, then −1, as `sample_with_support` returns them.
        temperature: finite, at least 2^-64.
    """
    function = "support_policy"
    check_logits(function, logits)
    check_support(function, ("logits", logits), torch.int32, support=support)
    temperature = check_temperature(function, temperature)
    vocabulary = logits.shape[2]
    listed = (support >= 0) & (support < vocabulary)
    ids = torch.where(listed, support, 0).long()
    chosen = logits.gather(2, ids).float() / temperature
    # The normaliser comes with one token, a probable one for precision, and needs no float32 copy of a row.
    best, place = chosen.max(dim=2, keepdim=True)
    token = ids.gather(2, place)
    everything = torch.full_like(token.flatten(0, 1), -1, dtype=torch.int32)
    whole = support_log_prob(logits.flatten(0, 1), token.flatten(), everything, temperature)
    # Bounded for a support that is ruled out altogether: −inf then, not NaN.
    logs = chosen - best.clamp(min=torch.finfo(torch.float32).min) + whole.full_logprob.view_as(best)
    return torch.where(listed, logs, -math.inf)
