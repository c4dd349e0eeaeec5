"""What verl and OpenRLHF make of hot tokens, by their own code.

It is taken out of the installed packages instead of imported, because they import Ray and DeepSpeed along.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import fire_sampling as fire
from fire_sampling import rl

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
ROWS, VOCABULARY, HOT_TOP_K, CAP = 64, 200, 16, 32.0


def file_of(distribution: str, path: str) -> str:
    """The text of a file of an installed distribution."""
    (file,) = (file for file in importlib.metadata.files(distribution) or () if str(file) == path)
    return file.read_text()


def extracted(distribution: str, path: str, names: set[str], **namespace: Any) -> dict[str, Any]:
    """The functions, classes and constants of these names, of a file of an installed distribution."""
    kept = [
        node
        for node in ast.parse(file_of(distribution, path)).body
        if getattr(node, "name", None) in names
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in names)
    ]
    scope = {"torch": torch, "Optional": Any, "Any": Any, "nn": torch.nn, "Tuple": tuple, "Union": Any}
    scope.update(namespace)
    # Their annotations are of Python's typing; unevaluated, they need none of it.
    source = "from __future__ import annotations\n" + "\n\n".join(map(ast.unparse, kept))
    exec(compile(source, path, "exec"), scope)
    assert names <= set(scope)
    return scope


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


def test_verls_token_weights_are_token_weights(verl: Any, rollout: SimpleNamespace) -> None:
    theirs, _ = verl(rollout.old - rollout.behaviour, rollout.mask, "token", CAP)
    ours = rl.token_weights(rollout.old, rollout.behaviour, rollout.mask, cap=CAP)
    torch.testing.assert_close(theirs, ours)
    assert ours.max() > 4


@pytest.mark.parametrize("normalise", [False, True])
def test_verls_sequence_weights_are_sequence_weights(
    verl: Any, rollout: SimpleNamespace, normalise: bool
) -> None:
    theirs, _ = verl(rollout.old - rollout.behaviour, rollout.mask, "sequence", CAP, normalise)
    ours = rl.sequence_weights(rollout.old, rollout.behaviour, rollout.mask, cap=CAP, normalise=normalise)
    torch.testing.assert_close(theirs, ours)


def test_verls_default_threshold_takes_most_of_their_weight_from_the_favourites(
    verl: Any, rollout: SimpleNamespace
) -> None:
    theirs, _ = verl(rollout.old - rollout.behaviour, rollout.mask, "token")
    ours = rl.token_weights(rollout.old, rollout.behaviour, rollout.mask, cap=CAP)
    assert rollout.favourite.any()
    assert (theirs[rollout.favourite, 0] == 2.0).all()
    assert (ours[rollout.favourite, 0] > 6.0).all()


def test_openrlhfs_clipped_correction_is_decoupled_ppo(openrlhf_loss: Any, rollout: SimpleNamespace) -> None:
    loss = openrlhf_loss(
        is_correction_level="token", is_correction_mode="clip", is_correction_threshold=[0, CAP]
    )
    theirs = loss(
        rollout.policy,
        rollout.old,
        rollout.advantage,
        rollout.mask.float(),
        rollout_log_probs=rollout.behaviour,
    )[0]
    ours = rl.decoupled_ppo_loss(
        rollout.policy, rollout.old, rollout.behaviour, rollout.advantage, rollout.mask, cap=CAP
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


def keys_of(tree: Any, prefix: str = "") -> set[str]:
    """The dotted paths of a nested configuration, inner nodes included."""
    if not isinstance(tree, dict):
        return set()
    paths = {f"{prefix}{name}" for name in tree}
    return paths.union(*(keys_of(child, f"{prefix}{name}.") for name, child in tree.items()))


def test_the_settings_of_verl_on_the_page_exist() -> None:
    config = yaml.safe_load(file_of("verl", "verl/trainer/config/_generated_ppo_trainer.yaml"))
    settings = re.findall(r"^  (\+?)([a-z_]+\.[\w.]+)=", PAGE, re.MULTILINE)
    assert len(settings) >= 5
    for added, path in settings:
        assert (path in keys_of(config)) != bool(added), path
        assert path.rsplit(".", 1)[0] in keys_of(config), path


def test_the_flags_of_openrlhf_on_the_page_exist() -> None:
    source = file_of("openrlhf", "openrlhf/cli/train_ppo_ray.py")
    flags = re.findall(r"^  (--[\w.]+)", PAGE, re.MULTILINE)
    assert len(flags) >= 3
    for flag in flags:
        assert f'"{flag}"' in source, flag


def test_without_a_correction_openrlhf_ignores_who_drew_the_token(
    openrlhf_loss: Any, rollout: SimpleNamespace
) -> None:
    theirs = openrlhf_loss()(rollout.policy, rollout.old, rollout.advantage, rollout.mask.float())[0]
    ours = rl.ppo_loss(rollout.policy, rollout.old, rollout.advantage, rl.unit_weights(rollout.mask))
    torch.testing.assert_close(theirs, ours.sum() / rollout.mask.sum())
