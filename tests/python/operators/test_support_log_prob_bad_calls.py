"""One table of bad calls of `support_log_prob` and its gradient, run against the kernels
and the fakes, which refuse what no size decides alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from backends import DEVICE
from operator_inputs import assert_same_bits, operator
from support_inputs import ORDER, make_support_inputs
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import fire_sampling as fire

pytestmark = pytest.mark.every_backend


class BadCall(NamedTuple):
    argument: str
    change: Callable[[dict[str, Tensor]], Tensor]  # what to pass as that argument, made from the good ones
    message: str  # what follows "fire::<operator>: <argument> "
    static: bool = False  # whether it is wrong whatever the sizes are: then the fakes refuse it too


PLACES = "expected [9, width], the places of each row of logits"
BAD_CALLS = {
    "float64 logits": BadCall(
        "logits",
        lambda a: a["logits"].double(),
        "has dtype float64, expected float32, bfloat16 or float16",
        True,
    ),
    "one row of logits": BadCall("logits", lambda a: a["logits"][0], "has shape [61], expected [R, V]", True),
    "transposed logits": BadCall(
        "logits",
        lambda a: a["logits"].t().contiguous().t(),
        "has stride 9 along V, expected 1 (call logits.contiguous() first)",
    ),
    "32-bit tokens": BadCall("token", lambda a: a["token"].int(), "has dtype int32, expected int64", True),
    "too few tokens": BadCall(
        "token", lambda a: a["token"][:3], "has shape [3], expected [9], one a row of logits"
    ),
    "a 0-d token": BadCall(
        "token", lambda a: a["token"][0], "has shape [], expected [9], one a row of logits", True
    ),
    "64-bit supports": BadCall(
        "support", lambda a: a["support"].long(), "has dtype int64, expected int32", True
    ),
    "one support for all": BadCall("support", lambda a: a["support"][0], f"has shape [12], {PLACES}", True),
    "too few supports": BadCall("support", lambda a: a["support"][:4], f"has shape [4, 12], {PLACES}"),
    "supports without a place": BadCall(
        "support", lambda a: a["support"][:, :0], f"has shape [9, 0], {PLACES} with 1 <= width <= 2097152"
    ),
    "every second place": BadCall(
        "support",
        lambda a: a["support"][:, ::2],
        "has stride 2 along its width, expected 1 (call support.contiguous() first)",
    ),
    "a float64 temperature": BadCall(
        "temperature", lambda a: a["temperature"].double(), "has dtype float64, expected float32", True
    ),
    "too few temperatures": BadCall(
        "temperature",
        lambda a: a["temperature"][:1],
        "has shape [1], expected [9], one a row of logits, or [], one for all",
    ),
    "a column of temperatures": BadCall(
        "temperature",
        lambda a: a["temperature"][:, None],
        "has shape [9, 1], expected [9], one a row of logits, or [], one for all",
        True,
    ),
    "a float64 grad": BadCall(
        "grad", lambda a: a["grad"].double(), "has dtype float64, expected float32", True
    ),
    "too few grads": BadCall(
        "grad", lambda a: a["grad"][:2], "has shape [2], expected [9], one a row of logits"
    ),
    "a grad of the logits' shape": BadCall(
        "full_grad", lambda a: a["logits"], "has shape [9, 61], expected [9], one a row of logits", True
    ),
    "a 16-bit grad of the row": BadCall(
        "full_grad", lambda a: a["full_grad"].half(), "has dtype float16, expected float32", True
    ),
    "masses of another kind": BadCall(
        "masses", lambda a: a["masses"].double(), "has dtype float64, expected int64", True
    ),
    "masses without their rows": BadCall(
        "masses",
        lambda a: a["masses"][0],
        "has shape [3], expected [9, 3] as the forward call gave them",
        True,
    ),
    "two masses a row": BadCall(
        "masses",
        lambda a: a["masses"][:, :2],
        "has shape [9, 2], expected [9, 3] as the forward call gave them",
    ),
    "the masses of one row for all": BadCall(
        "masses",
        lambda a: a["masses"][:1].expand(9, 3),
        "has strides [0, 1], expected contiguous masses, as the forward call gave them",
    ),
}


def cases() -> list[Any]:
    return [
        pytest.param(name, bad, id=f"{name}: {title}")
        for title, bad in BAD_CALLS.items()
        for name in ORDER
        if bad.argument in ORDER[name]
    ]


def good_arguments(name: str, device: str) -> dict[str, Tensor]:
    """Some that no fake could tell from those of a forward call."""
    inputs = make_support_inputs()._asdict()
    others = {"grad": torch.ones(9), "full_grad": torch.ones(9)}
    others["masses"] = torch.zeros(9, 3, dtype=torch.int64)
    return {argument: (inputs | others)[argument].to(device) for argument in ORDER[name]}


@pytest.mark.parametrize("where", ["kernel", "meta", "fake"])
@pytest.mark.parametrize(("name", "bad"), cases())
def test_a_bad_call_is_refused_in_these_words_by_a_fake_where_no_size_decides(
    name: str, bad: BadCall, where: str
) -> None:
    arguments = good_arguments(name, "meta" if where == "meta" else DEVICE)
    mode = FakeTensorMode()
    if where == "fake":
        arguments = {argument: mode.from_tensor(tensor) for argument, tensor in arguments.items()}
    with mode if where == "fake" else contextlib.nullcontext():
        operator(name)(*arguments.values())
        arguments[bad.argument] = bad.change(arguments)
        if where != "kernel" and not bad.static:
            operator(name)(*arguments.values())
            return
        with pytest.raises(RuntimeError) as caught:
            operator(name)(*arguments.values())
    assert str(caught.value) == f"fire::{name}: {bad.argument} {bad.message}"


@pytest.mark.parametrize(("name", "moved"), [(name, moved) for name in ORDER for moved in ORDER[name]])
def test_one_argument_on_another_device_is_refused_instead_of_returning_uninitialised_memory(
    name: str, moved: str
) -> None:
    arguments = good_arguments(name, DEVICE)
    arguments[moved] = arguments[moved].to("meta")
    expected = f"is on {DEVICE}, expected meta" if moved == "logits" else f"is on meta, expected {DEVICE}"
    with pytest.raises(RuntimeError, match=rf"^fire::{name}: \w+ {expected}, the device of logits$"):
        operator(name)(*arguments.values())


A_NUMBER = "expected a finite number of at least 2^-64, or a torch.Tensor of float32"
NOT_TENSORS: list[tuple[str, Any, type[Exception], str]] = [
    ("logits", [[0.0]], TypeError, "is of type list, expected a torch.Tensor"),
    ("token", 3, TypeError, "is 3, expected a torch.Tensor"),
    ("support", [[1, 2]], TypeError, "is of type list, expected a torch.Tensor"),
    ("support", None, TypeError, "is None, expected a torch.Tensor"),
    ("temperature", "1", TypeError, f"is '1', {A_NUMBER}"),
    ("temperature", None, TypeError, f"is None, {A_NUMBER}"),
    ("temperature", True, TypeError, f"is True, {A_NUMBER}"),
    ("temperature", [1.0], TypeError, f"is of type list, {A_NUMBER}"),
    ("temperature", np.ones(9, np.float32), TypeError, f"is of type ndarray, {A_NUMBER}"),
    ("temperature", 0, ValueError, f"is 0, {A_NUMBER}"),
    ("temperature", -1.0, ValueError, f"is -1.0, {A_NUMBER}"),
    ("temperature", float("nan"), ValueError, f"is nan, {A_NUMBER}"),
    ("temperature", float("inf"), ValueError, f"is inf, {A_NUMBER}"),
    ("temperature", 1e39, ValueError, f"is 1e+39, {A_NUMBER}"),
    ("temperature", 2**1024, ValueError, f"is {str(2**1024)[:60]}…, {A_NUMBER}"),
    ("temperature", 2.0**-65, ValueError, f"is 2.710505431213761e-20, {A_NUMBER}"),
]


@pytest.mark.parametrize(("argument", "value", "error", "message"), NOT_TENSORS)
def test_what_is_neither_tensor_nor_temperature_is_refused_by_name_instead_of_by_torchs_schema(
    argument: str, value: Any, error: type[Exception], message: str
) -> None:
    arguments = make_support_inputs()._asdict() | {argument: value}
    with pytest.raises(error) as caught:
        fire.support_log_prob(**arguments)
    assert str(caught.value) == f"fire_sampling.support_log_prob: {argument} {message}"


def test_numbers_of_numpy_are_temperatures_too() -> None:
    inputs = make_support_inputs()
    numbers: list[Any] = [np.float32(0.5), np.float64(0.5), np.float16(0.5)]
    for number in numbers:
        found = fire.support_log_prob(*inputs[:3], number)
        assert_same_bits(tuple(found), tuple(fire.support_log_prob(*inputs[:3], 0.5)))
