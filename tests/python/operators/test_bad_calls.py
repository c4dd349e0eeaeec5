"""One table of bad calls, run against the kernels and the fakes, which refuse what no size decides alike."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from backends import DEVICE
from bad_calls import BAD_CALLS, ROWS, VOCABULARY, Arguments, BadCall
from operator_inputs import KEYWORDS, OPERATORS, operator
from torch._subclasses.fake_tensor import FakeTensorMode

pytestmark = pytest.mark.every_backend

ARGUMENT_ORDER = {
    "sample_coded": ("logits", "code", "step", "cfg"),
    "first_code": ("step", "cfg"),
    "log_prob": ("logits", "token", "step", "cfg"),
    "log_prob_backward": ("grad", "logits", "token", "step", "cfg"),
}


def good_arguments(device: str) -> Arguments:
    return {
        "logits": torch.zeros(ROWS, VOCABULARY, device=device),
        "step": torch.zeros(ROWS, dtype=torch.int64, device=device),
        "cfg": torch.zeros(ROWS, 16, dtype=torch.int32, device=device),
        "slot": torch.zeros(ROWS, dtype=torch.int32, device=device),
        "token": torch.zeros(ROWS, dtype=torch.int64, device=device),
        "code": torch.zeros(ROWS, dtype=torch.int64, device=device),
        "size": 2,
        "width": 5,
        "grad": torch.zeros(ROWS, device=device),
    }


def call(name: str, arguments: Arguments, with_slot: bool) -> object:
    order = ARGUMENT_ORDER.get(name, ("logits", "step", "cfg"))
    positional = [arguments[argument] for argument in order]
    keywords = {keyword: arguments[keyword] for keyword in KEYWORDS.get(name, {})}
    return operator(name)(*positional, slot=arguments["slot"] if with_slot else None, **keywords)


def cases() -> list[Any]:
    found = []
    for title, bad in BAD_CALLS.items():
        for name in OPERATORS:
            takes = (*ARGUMENT_ORDER.get(name, ("logits", "step", "cfg")), "slot", *KEYWORDS.get(name, {}))
            if name in bad.only and bad.argument in takes:
                found.append(pytest.param(name, bad, id=f"{name}: {title}"))
    return found


@pytest.mark.parametrize("where", ["kernel", "meta", "fake"])
@pytest.mark.parametrize(("name", "bad"), cases())
def test_a_bad_call_is_refused_in_these_words_by_a_fake_where_no_size_decides(
    name: str, bad: BadCall, where: str
) -> None:
    with FakeTensorMode() if where == "fake" else contextlib.nullcontext():
        arguments = good_arguments("meta" if where == "meta" else DEVICE)
        call(name, arguments, bad.with_slot)
        arguments[bad.argument] = bad.change(arguments)
        if where != "kernel" and not bad.static:
            call(name, arguments, bad.with_slot)
            return
        with pytest.raises(RuntimeError) as caught:
            call(name, arguments, bad.with_slot)
    assert str(caught.value) == f"fire::{name}: {bad.argument} {bad.message}"


@pytest.mark.parametrize(
    ("name", "moved"),
    [("log_prob_backward", argument) for argument in ("step", "cfg", "slot", "token", "grad")]
    + [("sample_coded", "code"), ("first_code", "step"), ("first_code", "slot")],
)
@pytest.mark.parametrize(
    ("where", "other"), [("real", "meta"), ("meta", DEVICE), ("fake", "meta"), ("fake", "cuda:1")]
)
def test_an_argument_on_another_device_is_refused_by_name(
    name: str, moved: str, where: str, other: str
) -> None:
    device = "meta" if where == "meta" else DEVICE
    with FakeTensorMode() if where == "fake" else contextlib.nullcontext():
        arguments = good_arguments(device)
        arguments[moved] = torch.empty_like(arguments[moved], device=other)
        with pytest.raises(RuntimeError) as caught:
            call(name, arguments, with_slot=True)
    beside = "cfg" if name == "first_code" else "logits"
    assert str(caught.value) == (
        f"fire::{name}: {moved} is on {other}, expected {device}, the device of {beside}"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0],), r"fire::sample\(\) Expected a value of type 'Tensor' for argument 'logits'"),
        ((torch.zeros(1, 2),), r"fire::sample\(\) is missing value for argument 'step'"),
        ((torch.zeros(1, 2), 0), r"fire::sample\(\) Expected a value of type 'Tensor' for argument 'step'"),
    ],
)
def test_what_is_no_tensor_is_refused_by_the_schema(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=message):
        torch.ops.fire.sample(*arguments)


def test_sparse_logits_find_no_kernel() -> None:
    arguments = good_arguments(DEVICE) | {"logits": torch.zeros(ROWS, VOCABULARY).to_sparse()}
    with pytest.raises(NotImplementedError, match=r"fire::sample.*Sparse(CPU|CUDA)"):
        call("sample", arguments, with_slot=False)


def test_a_bad_call_inside_torch_compile_shows_the_same_message() -> None:
    arguments = good_arguments(DEVICE)
    compiled = torch.compile(
        lambda logits, step, cfg: torch.ops.fire.sample(logits, step, cfg), fullgraph=True
    )
    with pytest.raises(Exception, match=r"fire::sample: cfg has dtype int64, expected int32"):
        compiled(arguments["logits"], arguments["step"], arguments["cfg"].long())
