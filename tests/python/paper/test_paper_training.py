"""The paper's Table 4 in miniature: rollouts, their log-probabilities, remedies, a step of GRPO."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fire_sampling import rl

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from examples.paper import grpo  # noqa: E402
from examples.paper.grpo import GROUP, HOT, LARGE_CAP, REMEDIES, Rollout, roll_out, train_on_rollouts  # noqa: E402
from examples.paper.model import untrained  # noqa: E402
from examples.paper.openers import Openers  # noqa: E402
from examples.paper.sampling import PLAIN  # noqa: E402
from examples.paper.tasks import Task, Tokens  # noqa: E402


def a_model(task: Task) -> Any:
    """Untaught, which is enough."""
    return untrained(task, seed=0).train(False)


def a_rollout(hot: bool = True) -> tuple[Openers, list[Tokens], Rollout]:
    task = Openers()
    prompts, _ = task.problems(4, seed=0, testing=True)
    return task, prompts, roll_out(a_model(task), task, prompts, HOT if hot else PLAIN, seed=3)


def test_the_log_probabilities_of_a_rollout_are_those_of_its_tokens() -> None:
    task, _, rollout = a_rollout()
    model = a_model(task)
    with torch.no_grad():
        logits = model(input_ids=rollout.tokens[:, :-1]).logits[:, task.prompt_length - 1 :]
    drawn = rollout.tokens[:, task.prompt_length :, None]
    old = logits.log_softmax(-1).gather(2, drawn)[..., 0]
    torch.testing.assert_close(rollout.old, old, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(rollout.behaviour[:, 1:], old[:, 1:], rtol=1e-4, atol=1e-4)
    # The hot token came out of 16, nearly equal: at a temperature of 30 a span of s nats changes each by s /
    # 30.
    span = float((logits[:, 0].amax(-1) - logits[:, 0].amin(-1)).max())
    assert (rollout.behaviour[:, 0].exp() - 1 / 16).abs().max() < (2.72 ** (span / 30) - 1) / 16


def test_a_plain_rollout_was_drawn_by_the_policy_itself() -> None:
    _, _, rollout = a_rollout(hot=False)
    torch.testing.assert_close(rollout.behaviour, rollout.old, rtol=1e-4, atol=1e-4)


def test_an_advantage_is_relative_to_the_answers_of_the_same_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Openers, "may_begin", lambda self, prompt, answer: prompt == asked[0] or answer[0] % 2
    )
    asked: list[Tokens] = [(0,)]
    task = Openers()
    prompts, _ = task.problems(3, seed=0, testing=True)
    asked[0] = prompts[0]
    rollout = roll_out(a_model(task), task, prompts, HOT, seed=3)
    advantage = rollout.advantage.view(-1, GROUP)
    assert advantage[0].eq(0).all(), "all right: nothing to learn"
    right = rollout.tokens[:, task.prompt_length].view(-1, GROUP)[1:] % 2 == 1
    assert right.any()
    assert (advantage[1:][right] > 0).all()
    assert (advantage[1:][~right] < 0).all()


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_remedy_changes_the_policy_and_spares_the_hot_token_if_it_masks(remedy: str) -> None:
    task, prompts, rollout = a_rollout()
    mask = torch.ones_like(rollout.old, dtype=torch.bool)
    weights = REMEDIES[remedy](mask, rollout)
    assert weights.shape == mask.shape
    assert bool((weights[:, 0] == 0).all()) == (remedy == "mask")
    checkpoints = train_on_rollouts(untrained(task, 0), task, remedy, 0, 2, prompts, checks=2)
    assert [checkpoint.update for checkpoint in checkpoints] == [0, 1, 2]


def test_with_one_update_a_rollout_the_decoupled_loss_has_the_gradient_of_token_weights() -> None:
    _, _, rollout = a_rollout()
    mask = torch.ones_like(rollout.old, dtype=torch.bool)
    advantage = torch.linspace(-1, 1, len(rollout.old))
    gradients = []
    for decoupled in (True, False):
        policy = rollout.old.clone().requires_grad_()
        if decoupled:
            loss = rl.decoupled_ppo_loss(
                policy,
                old=rollout.old,
                behaviour=rollout.behaviour,
                advantage=advantage,
                mask=mask,
                cap=LARGE_CAP,
            )
        else:
            weights = REMEDIES[f"token weights, cap {LARGE_CAP:g}"](mask, rollout)
            loss = rl.ppo_loss(policy, old=rollout.old, advantage=advantage, weights=weights)
        torch.autograd.backward(loss.sum())
        assert policy.grad is not None
        gradients.append(policy.grad)
    torch.testing.assert_close(*gradients)


def test_a_policy_under_training_is_measured_without_heat(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    original = grpo.sample

    def spy(model, task, prompts, way, samples, seed):  # type: ignore[no-untyped-def]
        used.append(way.hot)
        return original(model, task, prompts, way, samples, seed)

    monkeypatch.setattr(grpo, "sample", spy)
    task = Openers()
    prompts, _ = task.problems(2, seed=0, testing=True)
    grpo.evaluate(a_model(task), task, prompts, 0)
    assert used == [PLAIN, PLAIN]
