# python -m examples.support_replay
"""Trainer / engine under top-p, with and without the support replayed: a table of docs/training.md.

A bigram model of 512 tokens, whose rows are as different in sharpness as a language model's, is trained by a
few steps of PPO. Its rollouts come from a copy in bfloat16, the engine, with top-p 0.8, and each token with
the set that it was drawn from. At the beginning of each step the trainer, in float32, evaluates the tokens
over the whole softmax and over that set. `--write-docs` puts the table into the page.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import fire_sampling as fire
from examples.page import print_or_fill
from fire_sampling import rl

PAGE, WRITER = Path(__file__).parents[1] / "docs" / "training.md", "examples/support_replay.py --write-docs"

VOCABULARY, SHARPEST = 512, 16.0
PROMPTS, GROUP, LENGTH, STEPS, LEARNING_RATE = 8, 8, 32, 5, 0.1
SAMPLING = fire.SamplingConfig(temperature=1.0, top_p=0.8, hot_steps=0)


@dataclass(frozen=True)
class Rollout:
    """tokens int64 [B, 1 + T], a prompt of one token before each; behaviour float32 [B, T]; support int32
    [B, T, width]; kept int32 [B, T].
    """

    tokens: Tensor
    behaviour: Tensor
    support: Tensor
    kept: Tensor


@dataclass(frozen=True)
class Measured:
    """Of one step's tokens, [B, T] each: the sizes of their supports, trainer / engine over either set."""

    kept: Tensor
    whole: Tensor
    replayed: Tensor


def bigrams(seed: int) -> torch.nn.Embedding:
    """The logits of the next token, a row a token: rows of standard deviations from 1 to SHARPEST."""
    torch.manual_seed(seed)
    model = torch.nn.Embedding(VOCABULARY, VOCABULARY)
    with torch.no_grad():
        model.weight.mul_(torch.linspace(1.0, SHARPEST, VOCABULARY)[:, None])
    return model


@torch.no_grad()
def roll_out(engine: torch.nn.Embedding, seed: int) -> Rollout:
    prompts = torch.randint(VOCABULARY, (PROMPTS, 1), generator=torch.Generator().manual_seed(seed))
    tokens = prompts.repeat_interleave(GROUP, 0)
    records = fire.pack(SAMPLING.replace(seed=seed), rows=PROMPTS * GROUP)
    drawn = []
    for step in range(LENGTH):
        # Top-p alone bounds no set: a place for every token.
        drawn.append(fire.sample_with_support(engine(tokens[:, -1]), step, records, width=VOCABULARY))
        tokens = torch.cat([tokens, drawn[-1].token[:, None]], 1)
    behaviour, support, kept = (
        torch.stack([getattr(each, name) for each in drawn], 1) for name in ("logprob", "support", "kept")
    )
    return Rollout(tokens, behaviour, support, kept)


def train(seed: int = 0, steps: int = STEPS) -> tuple[torch.nn.Embedding, list[Measured]]:
    """The model after some steps, and what is measured before each. The reward: the share of even tokens."""
    model = bigrams(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    measured = []
    for step in range(steps):
        rollout = roll_out(copy.deepcopy(model).bfloat16(), step)
        drawn, shape = rollout.tokens[:, 1:], rollout.behaviour.shape
        found = fire.support_log_prob(
            model(rollout.tokens[:, :-1]).flatten(0, 1), drawn.flatten(), rollout.support.flatten(0, 1), 1.0
        )
        policy, whole = found.logprob.view(shape), found.full_logprob.view(shape)
        mask = torch.ones(shape, dtype=torch.bool)
        ratios = [
            rl.support_ratio(each.detach(), old=rollout.behaviour, mask=mask) for each in (whole, policy)
        ]
        measured.append(Measured(rollout.kept, *ratios))
        reward = (drawn % 2 == 0).float().mean(1)
        loss = rl.ppo_loss(
            policy,
            old=policy.detach(),
            advantage=rl.other_blocks_advantage(reward, size=1, blocks=GROUP),
            weights=rl.unit_weights(mask),
        )
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    return model, measured


def outside(ratio: Tensor) -> float:
    """The share of ratios outside [0.9, 1.1]."""
    return float(((ratio < 0.9) | (ratio > 1.1)).float().mean())


def page_text(measured: list[Measured]) -> str:
    lines = [
        "**Trainer / engine under top-p 0.8, before each step**",
        "",
        "| step | kept: mean, median, p99 | whole softmax: mean | outside [0.9, 1.1] | "
        "support replayed: mean | outside |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for step, found in enumerate(measured, 1):
        kept = found.kept.float()
        sizes = f"{kept.mean():.0f}, {kept.median():.0f}, {kept.quantile(0.99):.0f}"
        shares = " | ".join(
            f"{ratio.mean():.3f} | {outside(ratio):.1%}" for ratio in (found.whole, found.replayed)
        )
        lines.append(f"| {step} | {sizes} | {shares} |")
    lines += ["", f"{measured[0].kept.numel():,} tokens a step; engine in bfloat16, trainer in float32."]
    return "\n".join(lines)


def main() -> None:
    print_or_fill(__doc__, PAGE, WRITER, lambda: page_text(train()[1]))


if __name__ == "__main__":
    main()
