"""`support_log_prob` and its gradient under torch's machinery: opcheck, vmap, graphs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from backends import DEVICE
from operator_inputs import DTYPES, assert_same_bits, operator
from support_inputs import ORDER, make_support_inputs
from torch import Tensor

import fire_sampling as fire
from fire_sampling._fakes import FAKES

pytestmark = pytest.mark.every_backend


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


def arguments_of(name: str, rows: int = 9, **options: Any) -> tuple[Tensor, ...]:
    inputs = make_support_inputs(rows, **options)
    if name == "support_log_prob":
        return inputs
    masses = torch.ops.fire.support_log_prob(*inputs)[3]
    return torch.linspace(-1, 1, rows), torch.linspace(2, 1, rows), *inputs, masses


def results_of(name: str, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    result = operator(name)(*arguments)
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", ORDER)
def test_opcheck_passes(name: str) -> None:
    plain = list(arguments_of(name, 5))
    laid_out = [*plain]
    logits, support = ORDER[name].index("logits"), ORDER[name].index("support")
    laid_out[logits] = torch.randn(5, 80)[:, 3:64]
    laid_out[support] = torch.cat([plain[support]] * 2, dim=1)[:, : plain[support].shape[1]]
    for sample in (plain, laid_out):
        if name == "support_log_prob":
            sample[logits].requires_grad_()
        torch.library.opcheck(operator(name), tuple(sample))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", ORDER)
def test_vmap_equals_a_loop(name: str) -> None:
    items = [arguments_of(name, seed=seed) for seed in range(3)]
    expected = [results_of(name, item) for item in items]
    batched = tuple(torch.stack(argument) for argument in zip(*items, strict=True))
    found = torch.vmap(lambda *item: results_of(name, item))(*batched)
    assert_same_bits(found, tuple(map(torch.stack, zip(*expected, strict=True))))


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_gradient_in_one_graph_of_any_size_equal_eager(dtype: torch.dtype) -> None:
    def loss(logits: Tensor, token: Tensor, support: Tensor, temperature: Tensor) -> tuple[Tensor, ...]:
        found = fire.support_log_prob(logits * 2, token, support, temperature)
        return ((found.logprob - 0.5 * found.full_logprob) * torch.arange(logits.shape[0])).sum(), *found

    compiled = torch.compile(loss, fullgraph=True, dynamic=True)
    for rows, vocabulary, width in ((9, 61, 12), (4, 33, 3), (17, 100, 120)):
        results = []
        for function in (loss, compiled):
            logits, *others = make_support_inputs(rows, vocabulary, width, dtype)
            leaf = logits.requires_grad_()
            value, *found = function(leaf, *others)
            torch.autograd.backward(value)
            assert leaf.grad is not None
            results.append((*(output.detach() for output in found), leaf.grad))
        assert results[0][-1].any()
        assert_same_bits(results[1], results[0])


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_number_as_temperature_may_change_between_calls_of_a_graph(dynamic: bool) -> None:
    logits, token, support, _ = make_support_inputs()

    def values(temperature: float) -> fire.SupportLogProb:
        return fire.support_log_prob(logits, token, support, temperature)

    compiled = torch.compile(values, fullgraph=True, dynamic=dynamic)
    for temperature in (0.7, 1.0, 1.3, 2):
        assert_same_bits(tuple(compiled(temperature)), tuple(values(temperature)))


@pytest.mark.parametrize("name", ORDER)
def test_it_can_be_exported(name: str) -> None:
    class Step(torch.nn.Module):
        def forward(self, *arguments: Tensor) -> tuple[Tensor, ...]:
            return results_of(name, arguments)

    rows, vocabulary = torch.export.Dim("rows"), torch.export.Dim("vocabulary")
    width = torch.export.Dim("width")
    second = {"logits": {1: vocabulary}, "support": {1: width}}
    shapes = tuple({0: rows} | second.get(argument, {}) for argument in ORDER[name])
    program = torch.export.export(Step(), arguments_of(name), dynamic_shapes=(shapes,))
    other = arguments_of(name, 4, vocabulary=33, width=5)
    assert_same_bits(program.module()(*other), results_of(name, other))


def test_functional_transforms_are_refused_instead_of_wrong() -> None:
    logits, *others = make_support_inputs()
    with pytest.raises(RuntimeError, match="functorch transforms"):
        torch.func.grad(lambda x: torch.ops.fire.support_log_prob(x, *others)[0].sum())(logits)


@pytest.mark.parametrize("name", ORDER)
def test_a_fake_called_with_real_tensors_raises(name: str) -> None:
    with pytest.raises(RuntimeError, match=rf"^fire::{name}: logits holds data on {DEVICE}, expected a fake"):
        FAKES[name](*arguments_of(name))
