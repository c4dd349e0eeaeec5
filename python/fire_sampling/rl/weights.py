"""What each token of a rollout counts for in a loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fire_sampling.config import SamplingConfig
from fire_sampling.rl._arguments import check_bool, check_cap, check_config, check_floats, check_mask
from fire_sampling.rl._logs import difference, to_float32


def hot_tokens(mask: Tensor, config: SamplingConfig) -> Tensor:
    """Bool [B, T]: the tokens of `mask` that `config` draws hot: those of the steps in `config.hot_window`.

    Windows that `fire_after` opens later in a sequence are not known to the config, nor to this.
    """
    return _hot_tokens("hot_tokens", mask, config)


def unit_weights(mask: Tensor) -> Tensor:
    """Float32 [B, T]: 1 on `mask`, 0 elsewhere. The gradient is that of the drawn distribution's rewards."""
    check_mask("unit_weights", mask)
    return mask.float()


def hot_masked_weights(mask: Tensor, config: SamplingConfig) -> Tensor:
    """Float32 [B, T]: 1 on `mask`, 0 on its `hot_tokens` and elsewhere: how to begin is never trained."""
    return (mask & ~_hot_tokens("hot_masked_weights", mask, config)).float()


def token_weights(mask: Tensor, *, old: Tensor, behaviour: Tensor, cap: float) -> Tensor:
    """Float32 [B, T]: min(exp(old − behaviour), cap) on `mask`, 0 elsewhere; without a gradient.

    Truncated importance sampling (Ionides 2008, "Truncated Importance Sampling", J. Comput. Graph. Stat. 17),
    token by token as the ρ of IMPALA (Espeholt et al. 2018, arXiv:1802.01561). A token is corrected for how
    it was drawn, not for how the tokens before it were.

    Args:
        cap: positive, `math.inf` for none. Below 1 / min behaviour probability, which a hot window of k
            tokens puts near k, it takes weight from the policy's favourite first tokens.
    """
    return weights_of_tokens("token_weights", mask, old, behaviour, cap)


def sequence_weights(
    mask: Tensor, *, old: Tensor, behaviour: Tensor, cap: float, normalise: bool = False
) -> Tensor:
    """Float32 [B, T]: min(exp(Σ_t (old − behaviour)), cap) of a row on its `mask`, 0 elsewhere; no gradient.

    The sum is over the row's `mask`: the product of the token weights, and so, without a cap, the importance
    weight of the whole sequence (Precup, Sutton, Singh 2000, "Eligibility Traces for Off-Policy Policy
    Evaluation"). The expectation of its weighted gradient is the policy's own, as far as the filters kept it.

    Args:
        cap: positive, `math.inf` for none.
        normalise: divides by the mean over the sequences that have a token (Owen 2013, "Monte Carlo theory,
            methods and examples", section 9.2): filters leave the mean of the weights below 1. Without it
            the weight of a long sequence is often less, or more, than a float32 can hold: 0 then, or 3.4e38.
    """
    function = "sequence_weights"
    _check_ratio(function, mask, old, behaviour, cap)
    check_bool(function, "normalise", normalise)
    log_weight = difference(old, behaviour, mask).sum(dim=1).clamp(max=math.log(cap))
    if normalise:
        drawn = mask.any(dim=1)
        log_weight = log_weight.masked_fill(~drawn, -math.inf)
        # Bounded below for a batch without a token, where it is the logarithm of an empty sum.
        log_sum = log_weight.logsumexp(dim=0).clamp(min=torch.finfo(log_weight.dtype).min)
        log_weight = log_weight - log_sum + drawn.sum().log()
    return torch.where(mask, to_float32(log_weight.exp())[:, None], 0.0)


def weights_of_tokens(function: str, mask: Tensor, old: Tensor, behaviour: Tensor, cap: float) -> Tensor:
    """`token_weights`, for the function that errors shall name."""
    _check_ratio(function, mask, old, behaviour, cap)
    return to_float32(difference(old, behaviour, mask).clamp(max=math.log(cap)).exp()) * mask


def _check_ratio(function: str, mask: Tensor, old: Tensor, behaviour: Tensor, cap: float) -> None:
    check_mask(function, mask)
    check_floats(function, ("mask", mask), old=old, behaviour=behaviour)
    check_cap(function, cap)


def _hot_tokens(function: str, mask: Tensor, config: SamplingConfig) -> Tensor:
    check_mask(function, mask)
    check_config(function, config)
    window = config.hot_window
    step = torch.arange(mask.shape[1], device=mask.device)
    return mask & (step >= window.start) & (step < window.stop)
