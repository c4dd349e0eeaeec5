"""What `fire_sampling.rl` says to what does not fit: function, argument, what came, what was expected."""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

import numpy as np
import pytest
import torch

import fire_sampling as fire
from fire_sampling import rl

B, T, WIDTH, V = 2, 3, 4, 7
LOGS = torch.full((B, T), -1.0)
SUPPORT_LOGS = torch.full((B, T, WIDTH), -1.5)
SUPPORT = torch.arange(WIDTH, dtype=torch.int32).expand(B, T, WIDTH)
MASK = torch.ones(B, T, dtype=torch.bool)
GOOD: dict[str, dict[str, Any]] = {
    "hot_tokens": {"mask": MASK, "config": fire.SamplingConfig()},
    "hot_masked_weights": {"mask": MASK, "config": fire.SamplingConfig()},
    "unit_weights": {"mask": MASK},
    "token_weights": {"mask": MASK, "old": LOGS, "behaviour": LOGS, "cap": 2.0},
    "sequence_weights": {"mask": MASK, "old": LOGS, "behaviour": LOGS, "cap": 2.0, "normalise": True},
    "ppo_loss": {
        **{"policy": LOGS, "old": LOGS, "advantage": torch.ones(B), "weights": torch.ones(B, T)},
        **{"clip_low": 0.2, "clip_high": 0.2},
    },
    "decoupled_ppo_loss": {
        **{"policy": LOGS, "old": LOGS, "behaviour": LOGS, "advantage": torch.ones(B), "mask": MASK},
        **{"cap": 2.0, "clip_low": 0.2, "clip_high": 0.2},
    },
    "other_blocks_advantage": {"reward": torch.ones(12), "size": 2, "blocks": 3},
    "support_ratio": {"policy": LOGS, "old": LOGS, "mask": MASK},
    "support_policy": {"logits": torch.zeros(B, T, V), "support": SUPPORT, "temperature": 0.7},
    "centered_loss": {
        **{"policy": LOGS, "support_policy": SUPPORT_LOGS, "support_behaviour": SUPPORT_LOGS},
        **{"advantage": torch.ones(B), "mask": MASK},
    },
}
SHAPES = {
    "other_blocks_advantage": (12,),
    "support_policy": (B, T, WIDTH),
}  # of what comes out, where it is not [B, T]
A_MASK = "expected torch.bool [B, T], true on the tokens that are trained on"
A_CONFIG = "expected a fire_sampling.SamplingConfig"
FLOATS = "expected floats [B, T]"
A_TENSOR = "expected a torch.Tensor of floats [B, T]"
AN_ADVANTAGE = "expected numbers [2, 3], one a token, or [2], one a sequence"
REWARDS = "expected numbers [B], B a multiple of 3 blocks of 2"
A_SIZE = "expected the number of completions in a block, at least 1"
SOME_BLOCKS = "expected the number of blocks of a prompt, at least 2"
A_CAP = "expected a positive number, math.inf for no cap"
SUPPORT_FLOATS = "expected floats [B, T, width]"
A_SUPPORT_TENSOR = "expected a torch.Tensor of floats [B, T, width]"
IDS = "expected torch.int32 [B, T, width]"
LOGITS = "expected torch.float32, torch.bfloat16 or torch.float16 [B, T, V]"
A_TEMPERATURE = "expected a finite number, at least 2^-64"

# What came, the error, and the message behind the argument's name.
FLOATS_BAD: list[tuple[Any, type[Exception], str]] = [
    (np.zeros((B, T)), TypeError, f"is of type ndarray, {A_TENSOR}"),
    ([[0.0]], TypeError, f"is of type list, {A_TENSOR}"),
    (None, TypeError, f"is None, {A_TENSOR}"),
    (MASK, ValueError, f"is torch.bool [2, 3], {FLOATS}"),
    (LOGS.long(), ValueError, f"is torch.int64 [2, 3], {FLOATS}"),
    (LOGS[0], ValueError, f"is torch.float32 [3], {FLOATS}"),
    (LOGS[..., None], ValueError, f"is torch.float32 [2, 3, 1], {FLOATS}"),
]
SUPPORT_FLOATS_BAD: list[tuple[Any, type[Exception], str]] = [
    (np.zeros((B, T, WIDTH)), TypeError, f"is of type ndarray, {A_SUPPORT_TENSOR}"),
    (None, TypeError, f"is None, {A_SUPPORT_TENSOR}"),
    (SUPPORT, ValueError, f"is torch.int32 [2, 3, 4], {SUPPORT_FLOATS}"),
    (LOGS, ValueError, f"is torch.float32 [2, 3], {SUPPORT_FLOATS}"),
    (SUPPORT_LOGS[0], ValueError, f"is torch.float32 [3, 4], {SUPPORT_FLOATS}"),
    (SUPPORT_LOGS[..., :0], ValueError, f"has shape [2, 3, 0], {SUPPORT_FLOATS}, width 1 or more"),
    (
        SUPPORT_LOGS[:, :2],
        ValueError,
        "has shape [2, 2, 4], expected [2, 3, 4]: the rows of policy, as wide as support_policy",
    ),
    (SUPPORT_LOGS.to("meta"), ValueError, "is on meta, expected cpu, the device of policy"),
]
BAD: dict[str, list[tuple[Any, type[Exception], str]]] = {
    "mask": [
        (np.ones((B, T), bool), TypeError, f"is of type ndarray, {A_MASK}"),
        (None, TypeError, f"is None, {A_MASK}"),
        (MASK.int(), ValueError, f"is torch.int32 [2, 3], {A_MASK}"),
        (MASK[0], ValueError, f"is torch.bool [3], {A_MASK}"),
        (LOGS, ValueError, f"is torch.float32 [2, 3], {A_MASK}"),
    ],
    "config": [
        ({"hot_top_k": 16}, TypeError, f"is of type dict, {A_CONFIG}"),
        (None, TypeError, f"is None, {A_CONFIG}"),
        (fire.pack(fire.SamplingConfig(), rows=B), TypeError, f"is of type Tensor, {A_CONFIG}"),
        (fire.SamplingConfig, TypeError, f"is of type type, {A_CONFIG}"),
    ],
    "policy": FLOATS_BAD,
    "old": FLOATS_BAD,
    "behaviour": FLOATS_BAD,
    "weights": FLOATS_BAD,
    "advantage": [
        (np.ones(B), TypeError, f"is of type ndarray, {AN_ADVANTAGE}"),
        (1.0, TypeError, f"is 1.0, {AN_ADVANTAGE}"),
        (torch.ones(T), ValueError, f"is torch.float32 [3], {AN_ADVANTAGE}"),
        (torch.ones(B, 1), ValueError, f"is torch.float32 [2, 1], {AN_ADVANTAGE}"),
        (torch.ones(B, dtype=torch.bool), ValueError, f"is torch.bool [2], {AN_ADVANTAGE}"),
        (torch.ones(B, dtype=torch.complex64), ValueError, f"is torch.complex64 [2], {AN_ADVANTAGE}"),
        (torch.ones(B, device="meta"), ValueError, "is on meta, expected cpu, the device of policy"),
    ],
    "support_policy": SUPPORT_FLOATS_BAD,
    "support_behaviour": [
        *SUPPORT_FLOATS_BAD,
        (
            SUPPORT_LOGS[..., :3],
            ValueError,
            "has shape [2, 3, 3], expected [2, 3, 4]: the rows of policy, as wide as support_policy",
        ),
    ],
    "logits": [
        (np.zeros((B, T, V)), TypeError, f"is of type ndarray, expected a torch.Tensor of {LOGITS[9:]}"),
        (None, TypeError, f"is None, expected a torch.Tensor of {LOGITS[9:]}"),
        (torch.zeros(B, T, V, dtype=torch.float64), ValueError, f"is torch.float64 [2, 3, 7], {LOGITS}"),
        (torch.zeros(B, V), ValueError, f"is torch.float32 [2, 7], {LOGITS}"),
        (torch.zeros(B, T, 0), ValueError, f"has shape [2, 3, 0], {LOGITS}, V 1 or more"),
    ],
    "support": [
        (
            SUPPORT.numpy(),
            TypeError,
            "is of type ndarray, expected a torch.Tensor of torch.int32 [B, T, width]",
        ),
        (SUPPORT.long(), ValueError, f"is torch.int64 [2, 3, 4], {IDS}"),
        (SUPPORT[0], ValueError, f"is torch.int32 [3, 4], {IDS}"),
        (SUPPORT[..., :0], ValueError, f"has shape [2, 3, 0], {IDS}, width 1 or more"),
        (
            SUPPORT[:1],
            ValueError,
            "has shape [1, 3, 4], expected [2, 3, 4]: the rows of logits, as wide as support",
        ),
        (SUPPORT.to("meta"), ValueError, "is on meta, expected cpu, the device of logits"),
    ],
    "temperature": [
        (0.0, ValueError, f"is 0.0, {A_TEMPERATURE}"),
        (-1, ValueError, f"is -1, {A_TEMPERATURE}"),
        (math.inf, ValueError, f"is inf, {A_TEMPERATURE}"),
        (math.nan, ValueError, f"is nan, {A_TEMPERATURE}"),
        (1e39, ValueError, f"is 1e+39, {A_TEMPERATURE}"),
        (10**400, ValueError, f"is 1{'0' * 59}…, {A_TEMPERATURE}"),
        (None, TypeError, f"is None, {A_TEMPERATURE}"),
        (True, TypeError, f"is True, {A_TEMPERATURE}"),
        (torch.ones(B), TypeError, f"is of type Tensor, {A_TEMPERATURE}"),
    ],
    "reward": [
        (np.ones(12), TypeError, f"is of type ndarray, {REWARDS}"),
        ([1.0] * 12, TypeError, f"is of type list, {REWARDS}"),
        (torch.ones(10), ValueError, f"is torch.float32 [10], {REWARDS}"),
        (torch.ones(2, 6), ValueError, f"is torch.float32 [2, 6], {REWARDS}"),
        (torch.ones(12, dtype=torch.bool), ValueError, f"is torch.bool [12], {REWARDS}"),
        (torch.ones(12, dtype=torch.complex64), ValueError, f"is torch.complex64 [12], {REWARDS}"),
    ],
    "size": [
        (0, ValueError, f"is 0, {A_SIZE}"),
        (2.0, TypeError, f"is 2.0, {A_SIZE}"),
        (None, TypeError, f"is None, {A_SIZE}"),
    ],
    "blocks": [
        (1, ValueError, f"is 1, {SOME_BLOCKS}"),
        (True, TypeError, f"is True, {SOME_BLOCKS}"),
        ("3", TypeError, f"is '3', {SOME_BLOCKS}"),
    ],
    "cap": [
        (0.0, ValueError, f"is 0.0, {A_CAP}"),
        (-1, ValueError, f"is -1, {A_CAP}"),
        (math.nan, ValueError, f"is nan, {A_CAP}"),
        (None, TypeError, f"is None, {A_CAP}"),
        ("2", TypeError, f"is '2', {A_CAP}"),
        (True, TypeError, f"is True, {A_CAP}"),
        (torch.ones(()), TypeError, f"is of type Tensor, {A_CAP}"),
    ],
    "normalise": [
        ("no", TypeError, "is 'no', expected True or False"),
        (1, TypeError, "is 1, expected True or False"),
    ],
    "clip_low": [
        (1.0, ValueError, "is 1.0, expected a number in [0, 1)"),
        (-0.1, ValueError, "is -0.1, expected a number in [0, 1)"),
        (math.nan, ValueError, "is nan, expected a number in [0, 1)"),
        (None, TypeError, "is None, expected a number in [0, 1)"),
    ],
    "clip_high": [
        (-0.1, ValueError, "is -0.1, expected a number from 0 on"),
        (math.nan, ValueError, "is nan, expected a number from 0 on"),
        ((0.2, 0.28), TypeError, "is of type tuple, expected a number from 0 on"),
    ],
}
CALLS = [
    (function, argument, *bad)
    for function, good in GOOD.items()
    for argument in good
    for bad in BAD[argument]
]


@pytest.mark.parametrize("function", GOOD)
def test_the_table_of_bad_calls_knows_every_argument_and_its_good_calls_pass(function: str) -> None:
    assert set(GOOD) == set(rl.__all__)
    assert set(inspect.signature(getattr(rl, function)).parameters) == set(GOOD[function])
    assert getattr(rl, function)(**GOOD[function]).shape == SHAPES.get(function, (B, T))


@pytest.mark.parametrize(("function", "argument", "value", "error", "message"), CALLS)
def test_an_argument_that_does_not_fit_is_refused_by_name_not_by_an_attribute_it_lacks(
    function: str, argument: str, value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        getattr(rl, function)(**GOOD[function] | {argument: value})
    assert str(raised.value) == f"fire_sampling.rl.{function}: {argument} {message}"


@pytest.mark.parametrize(
    ("function", "argument", "like"),
    [
        (function, argument, "mask" if function.endswith("_weights") else "policy")
        for function, good in GOOD.items()
        for argument in good
        if argument in ("old", "behaviour", "weights") or (argument == "mask" and "policy" in good)
    ],
)
def test_a_tensor_of_another_batch_or_device_is_refused_with_the_argument_it_has_to_fit(
    function: str, argument: str, like: str
) -> None:
    good = GOOD[function]
    like = "mask" if argument == "behaviour" else like
    for value, what, expected in (
        (good[argument][:, :2], "has shape [2, 2]", "[2, 3], the shape"),
        (good[argument].to("meta"), "is on meta", "cpu, the device"),
    ):
        wanted = f"fire_sampling.rl.{function}: {argument} {what}, expected {expected} of {like}"
        with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
            getattr(rl, function)(**good | {argument: value})


def test_a_single_advantage_in_integers_is_as_good_as_in_floats() -> None:
    good = GOOD["ppo_loss"]
    signs = torch.tensor([1, -1])
    whole = rl.ppo_loss(**good | {"advantage": signs})
    assert torch.equal(whole, rl.ppo_loss(**good | {"advantage": signs.float()}))


@pytest.mark.parametrize("function", ["ppo_loss", "decoupled_ppo_loss", "support_ratio"])
def test_a_policy_and_an_old_that_have_changed_places_are_told_apart_by_their_gradient(function: str) -> None:
    good = GOOD[function]
    with pytest.raises(ValueError, match=r"policy does not require grad and old does.*are they swapped"):
        getattr(rl, function)(**good | {"old": LOGS.clone().requires_grad_()})
    leaf = LOGS.clone().requires_grad_()
    assert getattr(rl, function)(**good | {"policy": leaf, "old": leaf}).requires_grad


def test_the_support_in_training_and_the_samplers_that_have_changed_places_are_told_apart_too() -> None:
    wanted = "support_policy does not require grad and support_behaviour does.*are they swapped"
    with pytest.raises(ValueError, match=wanted):
        rl.centered_loss(
            **GOOD["centered_loss"] | {"support_behaviour": SUPPORT_LOGS.clone().requires_grad_()}
        )


@pytest.mark.parametrize("function", GOOD)
def test_log_probabilities_that_look_alike_are_told_apart_by_name_alone(function: str) -> None:
    """Swapped old and behaviour would give weights that nothing shows to be wrong."""
    positional = [
        name
        for name, parameter in inspect.signature(getattr(rl, function)).parameters.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert positional in (["mask"], ["mask", "config"], ["policy"], ["reward"], ["logits"])
