"""The paper's Table 4 in miniature: GRPO on rollouts with hot first tokens, with each remedy of
`fire_sampling.rl`.

The loop is that of docs/training.md: rollouts by `fire_generate`, three log-probabilities of a token, a
remedy's weights, PPO's loss about `old`. One update a rollout.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

import fire_sampling as fire
from examples.paper.openers import Openers
from examples.paper.sampling import PLAIN, Sampling, judge, sample
from examples.paper.tasks import Tokens
from fire_sampling import rl
from fire_sampling.integrations.transformers import fire_generate
from fire_sampling.metrics import pass_at_k

PROMPTS, GROUP, LEARNING_RATE = 32, 8, 5e-4
HOT = fire.SamplingConfig(hot_temperature=30.0, hot_top_k=Openers.hot_top_k)
LARGE_CAP = 2.0 * Openers.hot_top_k
# The policy itself: what is trained is what is drawn, but for the hot token.
WHOLE: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
EVALUATION_SAMPLES = 16
EVALUATION_SEED = 9


class Rollout(NamedTuple):
    """tokens int64 [B, P + T]; behaviour and old float32 [B, T]; advantage float32 [B]."""

    tokens: Tensor
    behaviour: Tensor
    old: Tensor
    advantage: Tensor


def _token_weights(cap: float) -> Callable[[Tensor, Rollout], Tensor]:
    return lambda mask, r: rl.token_weights(mask, old=r.old, behaviour=r.behaviour, cap=cap)


# Each but the first draws hot first tokens. With one update a rollout `decoupled_ppo_loss` is
# `token_weights`.
REMEDIES: dict[str, Callable[[Tensor, Rollout], Tensor]] = {
    "plain": lambda mask, _: rl.unit_weights(mask),
    "ignore": lambda mask, _: rl.unit_weights(mask),
    "mask": lambda mask, _: rl.hot_masked_weights(mask, HOT),
    "token weights, cap 2": _token_weights(2.0),
    f"token weights, cap {LARGE_CAP:g}": _token_weights(LARGE_CAP),
    "sequence weights": lambda mask, r: rl.sequence_weights(
        mask, old=r.old, behaviour=r.behaviour, cap=LARGE_CAP, normalise=True
    ),
}
# Where no strategy is better, these are tried.
WITHOUT_BETTER = ("plain", "ignore", f"token weights, cap {LARGE_CAP:g}")


@dataclass(frozen=True)
class Checkpoint:
    """A policy under training, measured without FIRE.

    Attributes:
        update: how many updates it has had.
        greedy: the share of prompts whose greedy answer is right.
        pass_1, pass_16: pass@k of samples of the whole softmax at temperature 1.
        careful: the probability of a careful opener, mean over the prompts.
        entropy: of the first token, in nats.
    """

    update: int
    greedy: float
    pass_1: float
    pass_16: float
    careful: float
    entropy: float


def roll_out(
    model: Any, task: Openers, prompts: Sequence[Tokens], config: fire.SamplingConfig, seed: int
) -> Rollout:
    """GROUP answers to each prompt, with the reward (1 where right, else 0) relative to the group's."""
    width = task.prompt_length
    output = model.generate(
        input_ids=torch.tensor(prompts),
        attention_mask=torch.ones(len(prompts), width, dtype=torch.int64),
        do_sample=True,
        **WHOLE,
        max_new_tokens=task.answer_length,
        min_new_tokens=task.answer_length,
        num_return_sequences=GROUP,
        custom_generate=fire_generate,
        fire_config=config,
        fire_seed=seed,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
    )
    tokens = output.sequences.clone()
    drawn = tokens[:, width:]

    def log_probs(steps: Sequence[Tensor]) -> Tensor:
        return torch.stack([row.log_softmax(-1) for row in steps], 1).gather(2, drawn[..., None])[..., 0]

    answers = [tuple(row) for row in drawn.tolist()]
    right = [float(task.may_begin(prompts[row // GROUP], answer)) for row, answer in enumerate(answers)]
    reward = torch.tensor(right).view(-1, GROUP)
    advantage = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-4)
    return Rollout(tokens, log_probs(output.scores), log_probs(output.logits), advantage.flatten())


def train_on_rollouts(
    model: Any,
    task: Openers,
    remedy: str,
    seed: int,
    updates: int,
    prompts: Sequence[Tokens],
    checks: int = 4,
) -> list[Checkpoint]:
    """Trains `model` in place by `updates` steps of GRPO; measured before and `checks` times on `prompts`."""
    config = PLAIN if remedy == "plain" else HOT
    weigh = REMEDIES[remedy]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    generator = random.Random(seed)
    measured = [evaluate(model, task, prompts, 0)]
    for update in range(1, updates + 1):
        asked = [task.problem(generator, testing=True)[0] for _ in range(PROMPTS)]
        rollout = roll_out(model, task, asked, config, seed * 100_003 + update)
        mask = torch.ones_like(rollout.old, dtype=torch.bool)
        logits = model(input_ids=rollout.tokens[:, :-1]).logits[:, task.prompt_length - 1 :]
        drawn = rollout.tokens[:, task.prompt_length :, None]
        policy = logits.log_softmax(-1).gather(2, drawn)[..., 0]
        loss = rl.ppo_loss(
            policy,
            old=rollout.old,
            advantage=rollout.advantage,
            weights=weigh(mask, rollout),
            clip_low=0.2,
            clip_high=0.28,
        )
        optimizer.zero_grad()
        (loss.sum() / mask.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update * checks // updates > (update - 1) * checks // updates:
            measured.append(evaluate(model, task, prompts, update))
    return measured


def evaluate(model: Any, task: Openers, prompts: Sequence[Tokens], update: int) -> Checkpoint:
    """Samples of the policy itself, never hot: what training made of it."""
    whole = Sampling("whole", PLAIN, WHOLE)
    sampled = judge(task, prompts, sample(model, task, prompts, whole, EVALUATION_SAMPLES, EVALUATION_SEED))
    greedy = replace(whole, regular={"temperature": 1.0, "top_k": 1})
    decided = judge(task, prompts, sample(model, task, prompts, greedy, 1, EVALUATION_SEED))
    with torch.no_grad():
        first = model(input_ids=torch.tensor(prompts)).logits[:, -1].log_softmax(-1)
    careful = [task.first_opener + opener for opener in task.careful]

    def passed(k: int) -> float:
        return sum(pass_at_k(EVALUATION_SAMPLES, count, k) for count in sampled.correct) / len(prompts)

    return Checkpoint(
        update=update,
        greedy=sum(decided.correct) / len(prompts),
        pass_1=passed(1),
        pass_16=passed(EVALUATION_SAMPLES),
        careful=float(first[:, careful].exp().sum(1).mean()),
        entropy=float(-(first.exp() * first).sum(1).mean()),
    )
