"""The operators under autograd, fakes and mixed devices: opcheck, and the traps that it does not see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from backends import DEVICE, pack
from operator_inputs import (
    KEYWORDS,
    OPERATORS,
    READING,
    Inputs,
    arguments_of,
    make_inputs,
    operator,
    results_of,
)
from torch._subclasses.fake_tensor import FakeTensorMode

import fire_sampling as fire
from fire_sampling import _ops
from fire_sampling._fakes import FAKES

pytestmark = pytest.mark.every_backend

ALL_HOT = fire.SamplingConfig(temperature=0.7, top_k=8, seed=3)


def grad_inputs(rows: int = 6) -> Inputs:
    inputs = make_inputs(rows=rows)
    return inputs._replace(logits=inputs.logits.requires_grad_())


# ---- opcheck ----


@pytest.mark.parametrize("with_slot", [False, True])
@pytest.mark.parametrize("name", OPERATORS)
def test_opcheck_passes(name: str, with_slot: bool) -> None:
    inputs = make_inputs(rows=5)
    samples = [inputs, inputs._replace(step=torch.tensor(1, dtype=torch.int32))]
    samples.append(inputs._replace(logits=torch.randn(5, 80)[:, 3:64]))
    keywords = {"slot": torch.tensor([4, 0, 0, 2, 1], dtype=torch.int32)} if with_slot else {}
    for sample in samples:
        arguments = arguments_of(name, sample)
        if name not in ("heat_logits_", "log_prob_backward"):  # the ones that are not differentiable at all
            arguments = tuple(a.requires_grad_() if a.is_floating_point() else a for a in arguments)
        torch.library.opcheck(operator(name), arguments, KEYWORDS.get(name, {}) | keywords)


# ---- outputs are not differentiable ----


@pytest.mark.parametrize("name", [*READING, "sample_coded"])
def test_outputs_of_logits_that_require_grad_do_not(name: str) -> None:
    for result in results_of(name, arguments_of(name, grad_inputs())):
        assert not result.requires_grad
        assert result.grad_fn is None


@pytest.mark.parametrize("name", [*READING, "sample_coded"])
def test_outputs_do_not_require_grad_in_a_compiled_function_either(name: str) -> None:
    compiled = torch.compile(lambda *inputs: (results_of(name, inputs), inputs[0] * 2), fullgraph=True)
    results, doubled = compiled(*arguments_of(name, grad_inputs()))
    assert doubled.requires_grad
    assert not any(result.requires_grad for result in results)


def test_torch_func_takes_process_logits_as_a_constant() -> None:
    logits, step, cfg = make_inputs(rows=6)

    def loss(logits: torch.Tensor) -> torch.Tensor:
        weights = torch.ops.fire.process_logits(logits, step, cfg).softmax(dim=1)
        return (weights * logits).sum()

    expected = torch.ops.fire.process_logits(logits, step, cfg).softmax(dim=1)
    assert torch.equal(torch.func.grad(loss)(logits), expected)


# ---- writing in place ----


def test_heat_logits_refuses_logits_that_require_grad_while_grad_mode_is_on() -> None:
    logits, step, cfg = grad_inputs()
    before = logits.detach().clone()
    for refused in (logits, logits * 1, logits[:, :]):
        with pytest.raises(
            RuntimeError, match=r"^fire::heat_logits_: logits requires grad, expected .*no_grad"
        ):
            torch.ops.fire.heat_logits_(refused, step, cfg)
    assert torch.equal(logits, before)
    with torch.no_grad():
        torch.ops.fire.heat_logits_(logits, step, cfg)
    assert not torch.equal(logits, before)


def test_heat_logits_on_saved_logits_makes_backward_raise_instead_of_using_the_new_values() -> None:
    weight = torch.randn(4, 61, requires_grad=True)
    logits = weight * 2
    loss = logits.square().sum()  # saves logits
    torch.ops.fire.heat_logits_(logits.detach(), torch.tensor(0), pack(ALL_HOT, rows=4))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_heat_logits_bumps_the_version_once_with_and_without_slot() -> None:
    logits = torch.randn(4, 61)
    records = pack(ALL_HOT, rows=4)
    for keywords in ({}, {"slot": torch.zeros(4, dtype=torch.int32)}):
        version = logits._version
        torch.ops.fire.heat_logits_(logits, torch.tensor(0), records, **keywords)
        assert logits._version == version + 1


def test_a_refused_heat_logits_call_writes_nothing_and_bumps_nothing() -> None:
    logits = torch.randn(4, 61)
    before, version = logits.clone(), logits._version
    with pytest.raises(RuntimeError, match="cfg has S = 3"):
        torch.ops.fire.heat_logits_(logits, torch.tensor(0), pack(ALL_HOT, rows=3))
    assert torch.equal(logits, before)
    assert logits._version == version


def test_heat_logits_of_a_lazily_negated_tensor_is_refused_in_words_and_writes_nothing() -> None:
    logits = torch.randn(4, 61)
    negated = torch._neg_view(logits)
    before = logits.clone()
    step, records = torch.tensor(0), pack(ALL_HOT, rows=4)
    with pytest.raises(RuntimeError, match=r"^fire::heat_logits_: logits has its negative bit set, expected"):
        torch.ops.fire.heat_logits_(negated, step, records)
    assert torch.equal(logits, before)
    torch.ops.fire.heat_logits_(negated.resolve_neg(), step, records)
    assert torch.equal(
        torch.ops.fire.sample(negated, step, records), torch.ops.fire.sample(-logits, step, records)
    )


# ---- arguments on different devices ----


def devices_that_differ(name: str) -> list[tuple[str, int | str]]:
    count = len(arguments_of(name, make_inputs()))
    return [(name, argument) for argument in (*range(count), "slot")]


@pytest.mark.parametrize(
    ("name", "moved"), [pair for name in OPERATORS for pair in devices_that_differ(name)]
)
def test_one_argument_on_meta_is_refused_instead_of_returning_uninitialised_memory(
    name: str, moved: int | str
) -> None:
    arguments = list(arguments_of(name, make_inputs()))
    others = "cfg" if name == "first_code" else "logits"  # must be on the device of this one
    beside = next(i for i, argument in enumerate(arguments) if argument.dim() == 2)
    slot = torch.zeros(9, dtype=torch.int32)
    if isinstance(moved, int):
        arguments[moved] = arguments[moved].to("meta")
    else:
        slot = slot.to("meta")
    expected = f"is on {DEVICE}, expected meta" if moved == beside else f"is on meta, expected {DEVICE}"
    with pytest.raises(RuntimeError, match=rf"^fire::{name}: \w+ {expected}, the device of {others}$"):
        results_of(name, tuple(arguments), slot=slot)


@pytest.mark.parametrize("name", OPERATORS)
def test_fake_arguments_on_different_devices_are_refused(name: str) -> None:
    other = "cuda:0" if DEVICE == "cpu" else "cpu"
    words = rf"cfg is on {other}, expected {DEVICE}, the device of logits"
    if name == "first_code":
        words = rf"step is on {DEVICE}, expected {other}, the device of cfg"
    with FakeTensorMode(allow_non_fake_inputs=True):
        *arguments, cfg = arguments_of(name, make_inputs())
        with pytest.raises(RuntimeError, match=rf"^fire::{name}: {words}"):
            results_of(name, (*arguments, torch.empty_like(cfg, device=other)))


@pytest.mark.parametrize("name", OPERATORS)
def test_a_fake_called_with_real_tensors_raises(name: str) -> None:
    argument = "cfg" if name == "first_code" else "logits"
    words = rf"^fire::{name}: {argument} holds data on {DEVICE}, expected a fake"
    with pytest.raises(RuntimeError, match=words):
        FAKES[name](*arguments_of(name, make_inputs()), **KEYWORDS.get(name, {}))


# ---- loading ----


def test_a_missing_object_is_an_import_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"gone\.so is missing: .*FIRE_TORCH=off.*Install it again"):
        _ops._load(tmp_path / "gone.so")


def test_an_object_that_torch_cannot_load_is_an_import_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a shared object")
    with pytest.raises(ImportError, match=r"cannot load .*broken\.so"):
        _ops._load(broken)


def test_a_torch_that_is_too_old_is_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.9.1+cpu"))
    with pytest.raises(ImportError, match=r"need torch 2\.10 or newer, found 2\.9\.1"):
        _ops._load(_ops.LIBRARY)


def test_importing_the_package_twice_registers_once() -> None:
    program = "import importlib, fire_sampling._ops as o; o._load(o.LIBRARY); import fire_sampling.functional"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
