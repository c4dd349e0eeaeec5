"""Importance weights and losses for reinforcement learning from rollouts with hot first tokens.

Of every generated token there are up to three log-probabilities, all float [B, T]: T tokens of B sequences,
column t holding the token of step t.

`behaviour`  under the distribution it was drawn from: hot, filtered. `logprob` of `sample_with_logprobs`.
`old`        under the same weights, as the trainer evaluates them: the whole softmax at the regular
             temperature. `ref_logprob` of `sample_with_logprobs`, or what the trainer recomputes. The anchor
             of PPO's ratio.
`policy`     under the weights that are being trained, evaluated like `old`. The only one with a gradient.

They look alike, so all but the first argument of a function are passed by name.

Where filters cut, `old` and `policy` may both be taken over the rollout's support instead, the set that a
token was drawn from (`fire_sampling.sample_with_support`, `fire_sampling.support_log_prob`). `support_ratio`
is their ratio, `support_policy` has the log-probabilities of all tokens of a support.

`mask`, bool [B, T], is true on the tokens that are trained on: generated, not padding. What the others hold,
infinities included, changes neither a value nor a gradient.

A weight multiplies a token's loss. There are six choices, and docs/training.md says when to use which:

`unit_weights`         ignore: every token counts as if the policy had drawn it
`hot_masked_weights`   mask: hot tokens are not trained on
`token_weights`        truncated per-token weights
`sequence_weights`     one weight a sequence
`decoupled_ppo_loss`   PPO whose clip is about `old` and whose weight is about `behaviour`
`centered_loss`        ignore, without the pull towards the sampler that no reward has a part in

`other_blocks_advantage` gives completions that were drawn together a baseline that they do not depend on.

Probabilities are multiplied, divided and truncated as logarithms, in float64. What no float32 can hold comes
out as the largest that it can, never as infinity: finite log-probabilities, advantages and weights have
finite losses and gradients.

Every function raises an error that names the argument, what came and what was expected: a TypeError if it is
no tensor, config or number, a ValueError for its dtype, shape, device or range. Of what tensors hold nothing
is checked, which would make a GPU wait: a NaN on a token of the mask stays one in the weight and the loss of
that token, for `sequence_weights` of its sequence, and where those are normalised of the batch.
"""

from fire_sampling.rl.centering import centered_loss
from fire_sampling.rl.groups import other_blocks_advantage
from fire_sampling.rl.losses import decoupled_ppo_loss, ppo_loss
from fire_sampling.rl.support import support_policy, support_ratio
from fire_sampling.rl.weights import (
    hot_masked_weights,
    hot_tokens,
    sequence_weights,
    token_weights,
    unit_weights,
)

__all__ = [
    "centered_loss",
    "decoupled_ppo_loss",
    "hot_masked_weights",
    "hot_tokens",
    "other_blocks_advantage",
    "ppo_loss",
    "sequence_weights",
    "support_policy",
    "support_ratio",
    "token_weights",
    "unit_weights",
]
