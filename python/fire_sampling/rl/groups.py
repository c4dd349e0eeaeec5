"""Advantages of completions that were drawn together."""

from __future__ import annotations

from torch import Tensor

from fire_sampling.rl._arguments import check_reward
from fire_sampling.rl._logs import to_float32


def other_blocks_advantage(reward: Tensor, *, size: int, blocks: int) -> Tensor:
    """Float32 [B]: each reward minus the mean reward of the other blocks of its prompt. Without a gradient.

    The members of a block depend on each other, and a baseline that depends on a completion changes the
    expected gradient; blocks are independent, so this one does not. With `size` 1 it is the leave-one-out
    baseline of independent completions (Kool, van Hoof, Welling 2019, "Buy 4 REINFORCE samples, get a
    baseline for free!").

    Args:
        reward: [B], numbers. B = prompts · blocks · size: a prompt after the other, in each its blocks, in
            each its members.
        size: completions of a block, at least 1.
        blocks: blocks of a prompt, at least 2: one block has no other.
    """
    check_reward("other_blocks_advantage", reward, size, blocks)
    rewards = reward.detach().double().view(-1, blocks, size)
    sums = rewards.sum(2, keepdim=True)
    others = (sums.sum(1, keepdim=True) - sums) / ((blocks - 1) * size)
    return to_float32(rewards - others).flatten()
