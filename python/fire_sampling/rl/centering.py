"""A policy gradient without the pull of a sampler that is not the policy."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fire_sampling.rl._arguments import (
    check_advantage,
    check_floats,
    check_gradient,
    check_mask,
    check_support,
)
from fire_sampling.rl._logs import float32_range, largest_slope, to_float32


def centered_loss(
    policy: Tensor, *, support_policy: Tensor, support_behaviour: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    """Float32 [B, T]: −A (ln π(x) − Σ_v q(v) ln π(v)) on `mask`, 0 elsewhere; v over the support, q constant.

    Score centering ("Score Centering Stabilizes Off-policy Reinforcement Learning" 2026, arXiv:2609.20807):
    from the token's score ∇ ln π(x) its expectation under the sampler is subtracted. Over a whole support
    that is known exactly, and of tokens x drawn from q the expected gradient is, without a bias,

        −Σ_v q(v) (A(v) − Σ q A) ∇ ln π(v),

    which vanishes for an advantage that says nothing, a constant. Without the subtraction a constant c pulls
    the policy towards the sampler, by c Σ_v q(v) ∇ ln π(v). By the logits it is q(v) (A(v) − Σ q A) / T at
    the policy's temperature T: the ascent of Σ q A, the value of what is sampled, where q is a softmax of
    these logits over the support, at any temperature. It is not that of the policy's own value, which
    `token_weights` estimate.

    By the logits a token's own gradient is −A (1[v = x] − q(v)) / T, whatever π is: the same in every update
    of a batch. There is no ratio and no clip.
    Where the advantages of tokens drawn from one row sum to 0, as within a group in GRPO, their corrections
    do too, and the sum of their losses has the gradient of `unit_weights`.

    What a support does not list, 1 − Σ q, stays uncentred: the rest of one that was cut (Status.SUPPORT_CUT),
    all of an empty one. A decided token, the only one of its support, has no gradient. A token whose
    log-probability is −inf adds nothing.

    Args:
        policy: [B, T].
        support_policy: [B, T, width], log-probabilities of the support's tokens under the weights in
            training, evaluated like `policy`: of the function `support_policy`, or gathered.
        support_behaviour: [B, T, width], those they were drawn with, −inf behind them: `support_logprob` of
            `sample_with_support`.
        advantage: [B, T], or [B] for one a sequence.
        mask: bool [B, T], true on the tokens that are trained on.
    """
    function = "centered_loss"
    check_floats(function, None, policy=policy)
    check_support(
        function, ("policy", policy), support_policy=support_policy, support_behaviour=support_behaviour
    )
    check_advantage(function, advantage, ("policy", policy))
    check_mask(function, mask, ("policy", policy))
    check_gradient(function, support_policy, support_behaviour, ("support_policy", "support_behaviour"))

    scale = float32_range(advantage if advantage.dim() == 2 else advantage[:, None])[..., None]
    chance = support_behaviour.detach().double().clamp(max=0.0).exp()
    trained = mask[..., None]
    terms = (
        _Term(policy[..., None], -scale, trained),
        _Term(support_policy, scale * chance, trained & (chance != 0)),
    )
    loss = to_float32(sum((term.value() for term in terms), torch.zeros_like(policy, dtype=torch.float64)))
    return loss + terms[0].derivative() + terms[1].derivative()


class _Term(NamedTuple):
    """Σ slope · logs over the last dimension, where `where` is true and the logarithm is not infinite."""

    logs: Tensor
    slope: Tensor
    where: Tensor

    def value(self) -> Tensor:
        """Float64. Without a gradient."""
        return torch.where(self._acts(), self.slope * float32_range(self.logs), 0.0).sum(-1)

    def derivative(self) -> Tensor:
        """Float32: 0 everywhere, with the slopes as its derivatives, those beyond its type at its ends."""
        largest = largest_slope(self.logs)
        slope = torch.where(self._acts(), self.slope.clamp(-largest, largest).float(), 0.0)
        moving = torch.where(self._acts(), self.logs, 0.0)
        return (slope * (moving - moving.detach()).float()).sum(-1)

    def _acts(self) -> Tensor:
        return self.where & ~self.logs.isinf()
