# python -m examples.first_token_training
"""What becomes of the first token's row when each remedy trains it: a table of docs/training.md.

The tokens and rewards are those of examples/first_token_gradient.py; here they are drawn, and the row's
logits are trained: 300 updates by 16 hot first tokens each, in several independent runs. `--write-docs` puts
the table into the page.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

import fire_sampling as fire
from examples.first_token_gradient import (
    CAREFUL,
    CENTRED,
    CHANCES,
    HOT,
    PAGE,
    POLICYS,
    REWARDS,
    SAMPLES,
    WEIGHTS,
)
from examples.page import print_or_fill
from fire_sampling import rl

WRITER = "examples/first_token_training.py --write-docs"
UPDATES, RUNS, LEARNING_RATE = 300, 8, 0.5
GROUPS = "mean of the 16"
BASELINES = ("none", POLICYS, GROUPS)
REMEDIES = ("ignore", "token weights, cap 32", CENTRED)
CAREFULS = slice(CAREFUL, CAREFUL + 4)


@dataclass(frozen=True)
class Trained:
    """Of the policy after training, [RUNS] each: its value, its chance of a careful opener, its entropy."""

    value: Tensor
    careful: Tensor
    entropy: Tensor


def loss_of(remedy: str, rows: Tensor, drawn: fire.SampleWithSupport, advantage: Tensor) -> Tensor:
    """Float32 [B, 1], of the tokens drawn from rows [B, V] that are in training."""
    logits, support = rows[:, None], drawn.support[:, None]
    policy = rows.log_softmax(-1).gather(1, drawn.token[:, None])
    mask = torch.ones_like(policy, dtype=torch.bool)
    if remedy == CENTRED:
        return rl.centered_loss(
            policy,
            support_policy=rl.support_policy(logits, support=support, temperature=1.0),
            support_behaviour=drawn.support_logprob[:, None],
            advantage=advantage,
            mask=mask,
        )
    weights = WEIGHTS[remedy](mask, policy.detach(), drawn.logprob[:, None])
    return rl.ppo_loss(policy, old=policy.detach(), advantage=advantage, weights=weights)


@functools.cache
def train(remedy: str, baseline: str, updates: int = UPDATES) -> Trained:
    """All runs side by side: a row each, from which an update's tokens are drawn."""
    logits = CHANCES.log().float().repeat(RUNS, 1)
    luck = torch.Generator().manual_seed(0)
    rewards = REWARDS.float()
    for update in range(updates):
        leaf = logits.clone().requires_grad_()
        rows = leaf.repeat_interleave(SAMPLES, 0)
        records = fire.pack(HOT.replace(seed=update), rows=RUNS * SAMPLES)
        drawn = fire.sample_with_support(rows.detach(), 0, records, width=SAMPLES)
        right = torch.rand(len(rows), generator=luck) < rewards[drawn.token]
        reward = right.float().view(RUNS, SAMPLES)
        against = {
            "none": torch.zeros(RUNS, 1),
            POLICYS: logits.softmax(-1) @ rewards[:, None],
            GROUPS: reward.mean(1, keepdim=True),
        }[baseline]
        loss = loss_of(remedy, rows, drawn, (reward - against).flatten())
        (gradient,) = torch.autograd.grad(loss.sum() / SAMPLES, leaf)
        logits = logits - LEARNING_RATE * gradient
    chance = logits.double().softmax(-1)
    entropy = -(chance * chance.clamp(min=1e-300).log()).sum(1)
    return Trained(chance @ REWARDS, chance[:, CAREFULS].sum(1), entropy)


def table() -> str:
    lines = ["| baseline | remedy | value | careful | entropy |", "| --- | --- | ---: | ---: | ---: |"]
    before = (CHANCES @ REWARDS, CHANCES[CAREFULS].sum(), -(CHANCES * CHANCES.log()).sum())
    lines.append(f"| | before | {' | '.join(f'{float(value):.3f}' for value in before)} |")
    for baseline in BASELINES:
        for remedy in REMEDIES:
            found = train(remedy, baseline)
            cells = [f"{each.mean():.3f} ± {each.std():.3f}" for each in vars(found).values()]
            lines.append(f"| {baseline} | {remedy} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page_text() -> str:
    return "\n".join(
        [
            f"**The row after {UPDATES} updates by {SAMPLES} hot first tokens**",
            "",
            table(),
            "",
            f"Mean ± standard deviation over {RUNS} runs. value: the policy's expected reward; careful: its",
            "chance of the better openers, right at 0.85 where the favourite is at 0.6; entropy: in nats.",
        ]
    )


def main() -> None:
    print_or_fill(__doc__, PAGE, WRITER, page_text)


if __name__ == "__main__":
    main()
