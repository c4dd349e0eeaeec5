"""What verl and OpenRLHF make of hot tokens, by their own code."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from installed_sources import extracted
from torch import Tensor

import fire_sampling as fire
from fire_sampling import rl

ROWS, VOCABULARY, HOT_TOP_K, CAP = 64, 200, 16, 32.0
CAPS = (2.0, CAP)  # one that takes weight from favourites, and that of docs/training.md


@pytest.fixture(scope="module")
def verl() -> Callable[..., tuple[Tensor, dict[str, float]]]:
    functional = extracted("verl", "verl/utils/torch_functional.py", {"masked_sum", "masked_mean"})
    helper = extracted(
        "verl",
        "verl/trainer/ppo/rollout_corr_helper.py",
        {"compute_rollout_correction_weights", "_parse_rollout_is_threshold", "SAFETY_BOUND"},
        verl_F=SimpleNamespace(**functional),
        compute_is_metrics=lambda **_: {},
    )
    weights: Callable[..., tuple[Tensor, dict[str, float]]] = helper["compute_rollout_correction_weights"]
    return weights


@pytest.fixture(scope="module")
def openrlhf_loss() -> Any:
    utils = extracted("openrlhf", "openrlhf/models/utils.py", {"masked_mean"})
    losses = extracted(
        "openrlhf",
        "openrlhf/models/loss.py",
        {"PolicyLoss", "aggregate_loss"},
        masked_mean=utils["masked_mean"],
        dist=torch.distributed,
    )
    return losses["PolicyLoss"]


@pytest.fixture(scope="module")
def rollout() -> SimpleNamespace:
    """Three tokens a row, the first hot, and a sharp policy, so that its favourites show."""
    torch.manual_seed(0)
    config = fire.SamplingConfig(temperature=0.7, hot_top_k=HOT_TOP_K, seed=1)
    drawn = [fire.sample_with_logprobs(torch.randn(ROWS, VOCABULARY) * 4, step, config) for step in range(3)]
    old = torch.stack([each.ref_logprob for each in drawn], 1)
    mask = torch.arange(3) < torch.randint(1, 4, (ROWS, 1))
    return SimpleNamespace(
        old=old,
        behaviour=torch.stack([each.logprob for each in drawn], 1),
        policy=old + torch.randn(ROWS, 3) * 0.3,
        advantage=torch.randn(ROWS, 1).expand(-1, 3),
        mask=mask,
        favourite=old[:, 0].exp() > 0.5,
    )


@pytest.mark.parametrize("cap", CAPS)
def test_verls_token_weights_are_token_weights(verl: Any, rollout: SimpleNamespace, cap: float) -> None:
    theirs, _ = verl(rollout.old - rollout.behaviour, rollout.mask, "token", cap)
    ours = rl.token_weights(rollout.mask, old=rollout.old, behaviour=rollout.behaviour, cap=cap)
    torch.testing.assert_close(theirs, ours)
    assert ours.max() == cap if cap < HOT_TOP_K / 2 else ours.max() > 4


@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("normalise", [False, True])
def test_verls_sequence_weights_are_sequence_weights(
    verl: Any, rollout: SimpleNamespace, normalise: bool, cap: float
) -> None:
    theirs, _ = verl(rollout.old - rollout.behaviour, rollout.mask, "sequence", cap, normalise)
    ours = rl.sequence_weights(
        rollout.mask, old=rollout.old, behaviour=rollout.behaviour, cap=cap, normalise=normalise
    )
    torch.testing.assert_close(theirs, ours)


def test_verls_default_threshold_takes_most_of_their_weight_from_the_favourites(
    verl: Any, rollout: SimpleNamespace
) -> None:
    theirs, _ = verl(rollout.old - rollout.behaviour, rollout.mask, "token")
    ours = rl.token_weights(rollout.mask, old=rollout.old, behaviour=rollout.behaviour, cap=CAP)
    assert rollout.favourite.any()
    assert (theirs[rollout.favourite, 0] == 2.0).all()
    assert (ours[rollout.favourite, 0] > 6.0).all()


@pytest.mark.parametrize("cap", CAPS)
def test_openrlhfs_clipped_correction_is_decoupled_ppo(
    openrlhf_loss: Any, rollout: SimpleNamespace, cap: float
) -> None:
    loss = openrlhf_loss(
        is_correction_level="token", is_correction_mode="clip", is_correction_threshold=[0, cap]
    )
    theirs = loss(
        rollout.policy,
        rollout.old,
        rollout.advantage,
        rollout.mask.float(),
        rollout_log_probs=rollout.behaviour,
    )[0]
    ours = rl.decoupled_ppo_loss(
        rollout.policy,
        old=rollout.old,
        behaviour=rollout.behaviour,
        advantage=rollout.advantage,
        mask=rollout.mask,
        cap=cap,
    )
    torch.testing.assert_close(theirs, ours.sum() / rollout.mask.sum())


def test_openrlhfs_default_correction_drops_the_favourites(
    openrlhf_loss: Any, rollout: SimpleNamespace
) -> None:
    first = torch.zeros_like(rollout.mask)
    first[:, 0] = True
    loss = openrlhf_loss(is_correction_level="token")
    policy = rollout.policy.clone().requires_grad_()
    loss(policy, rollout.old, rollout.advantage, first.float(), rollout_log_probs=rollout.behaviour)[
        0
    ].backward()
    assert policy.grad is not None
    assert not policy.grad[rollout.favourite, 0].any()
    assert policy.grad[~rollout.favourite, 0].any()


def test_without_a_correction_openrlhf_ignores_who_drew_the_token(
    openrlhf_loss: Any, rollout: SimpleNamespace
) -> None:
    theirs = openrlhf_loss()(rollout.policy, rollout.old, rollout.advantage, rollout.mask.float())[0]
    ours = rl.ppo_loss(
        rollout.policy,
        old=rollout.old,
        advantage=rollout.advantage,
        weights=rl.unit_weights(rollout.mask),
    )
    torch.testing.assert_close(theirs, ours.sum() / rollout.mask.sum())
