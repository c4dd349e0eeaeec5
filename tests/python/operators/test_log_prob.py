"""`log_prob` and its analytic gradient, against autograd of a float64 log-softmax over the same kept set."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from backends import pack
from operator_inputs import DTYPES, arguments_of, make_inputs, random_normal
from torch import Tensor

import fire_sampling as fire

pytestmark = pytest.mark.every_backend

ROWS, VOCABULARY = 24, 400
COLD: dict[str, Any] = {"hot_steps": 0, "seed": 11}
CONFIGS = {
    "nothing": fire.SamplingConfig(**COLD),
    "top-k": fire.SamplingConfig(temperature=0.7, top_k=20, **COLD),
    "nucleus": fire.SamplingConfig(temperature=1.5, top_p=0.9, **COLD),
    "min-p": fire.SamplingConfig(min_p=0.02, order="vllm", **COLD),
    "joint": fire.SamplingConfig(top_k=50, top_p=0.8, min_p=0.01, order="joint", ties="keep", **COLD),
    "sharp": fire.SamplingConfig(temperature=0.01, **COLD),
    "flat": fire.SamplingConfig(temperature=1e4, top_k=100, **COLD),
    "hot": fire.SamplingConfig(hot_temperature=30.0, hot_top_k=16, seed=11),
}


def make_logits(dtype: torch.dtype = torch.float32, spread: float = 3.0) -> Tensor:
    return (random_normal(ROWS, VOCABULARY, seed=5) * spread).to(dtype)


def temperature_of(name: str) -> float:
    config = CONFIGS[name].resolve()
    temperature = config.hot_temperature if name == "hot" else config.temperature
    assert temperature is not None
    return temperature


def some_tokens(kept: Tensor) -> Tensor:
    """Of each row's kept set a different member: the first, the second, … in id order."""
    choice = torch.arange(ROWS) % kept.sum(dim=1)
    return (kept.cumsum(dim=1) == choice[:, None] + 1).int().argmax(dim=1)


@pytest.mark.parametrize("name", CONFIGS)
def test_value_and_gradient_equal_a_float64_log_softmax_over_the_same_kept_set(name: str) -> None:
    logits, step, cfg = make_logits(), torch.tensor(0), pack(CONFIGS[name], rows=ROWS)
    kept = torch.ops.fire.process_logits(logits, step, cfg).isfinite()
    token = some_tokens(kept)
    grad = torch.linspace(-2, 3, ROWS)

    exact = logits.double().requires_grad_()
    masked = (exact / temperature_of(name)).masked_fill(~kept, -torch.inf)
    wanted = masked.log_softmax(dim=1).gather(1, token[:, None])[:, 0]
    wanted.backward(grad.double())

    logits.requires_grad_()
    value = torch.ops.fire.log_prob(logits, token, step, cfg)
    value.backward(grad)
    assert logits.grad is not None
    assert exact.grad is not None
    assert ((value - wanted).abs() <= 1e-6 * wanted.abs().clamp(min=1)).all()
    assert ((logits.grad - exact.grad).abs() <= 1e-6 * exact.grad.abs().clamp(min=1)).all()
    assert not logits.grad[~kept].any()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_a_16_bit_gradient_is_the_rounded_float32_gradient(name: str, dtype: torch.dtype) -> None:
    step, cfg = torch.tensor(0), pack(CONFIGS[name], rows=ROWS)
    grad = torch.linspace(-2, 3, ROWS)
    gradients = []
    narrow = make_logits(dtype)
    token = torch.ops.fire.sample(narrow, step, cfg)
    for logits in (narrow, narrow.float()):
        logits.requires_grad_()
        torch.ops.fire.log_prob(logits, token, step, cfg).backward(grad)
        assert logits.grad is not None
        assert logits.grad.dtype == logits.dtype
        gradients.append(logits.grad)
    assert torch.equal(gradients[0], gradients[1].to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_value_of_a_sampled_token_is_the_logprob_that_sampling_reported(dtype: torch.dtype) -> None:
    inputs = make_inputs(rows=200, vocabulary=150, dtype=dtype)
    drawn = fire.sample_with_logprobs(*inputs)
    value = torch.ops.fire.log_prob(inputs.logits, drawn.token, inputs.step, inputs.cfg)
    assert ((value - drawn.logprob).abs() <= 1e-6 * drawn.logprob.abs().clamp(min=1)).all()


def test_a_token_that_is_never_drawn_has_minus_infinity_and_no_gradient() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0, -torch.inf]]).repeat(7, 1).requires_grad_()
    token = torch.tensor([2, 3, 4, -1, 2**62, -(2**63), 0])
    cfg = pack(fire.SamplingConfig(top_k=2, **COLD), rows=7)
    value = torch.ops.fire.log_prob(logits, token, torch.tensor(0), cfg)
    assert torch.isneginf(value[:6]).all()
    assert value[6].isfinite()
    value.backward(torch.ones(7))
    assert logits.grad is not None
    assert not logits.grad[:6].any()
    assert logits.grad[6, :2].all()


def test_a_decided_row_is_certain_of_its_token_and_has_no_gradient() -> None:
    rows = torch.tensor([[1.0, 5.0, 2.0], [1.0, torch.inf, 2.0], [-torch.inf, -torch.inf, -torch.inf]])
    greedy, regular = fire.SamplingConfig(temperature=0.0, seed=1), fire.SamplingConfig(**COLD)
    cfg = pack([greedy, regular, regular])
    token = torch.ops.fire.sample(rows, torch.tensor(0), cfg)
    assert token.tolist() == [1, 1, 0]
    logits = rows.clone().requires_grad_()
    value = torch.ops.fire.log_prob(logits, token, torch.tensor(0), cfg)
    assert value.tolist() == [0.0, 0.0, 0.0]
    value.sum().backward()
    assert logits.grad is not None
    assert not logits.grad.any()
    other = torch.ops.fire.log_prob(rows, torch.full((3,), 2), torch.tensor(0), cfg)
    assert torch.isneginf(other).all()


def gradient_of(logits: Tensor, leaf: Tensor, grad: Tensor, **keywords: Tensor) -> Tensor:
    _, token, step, cfg = arguments_of("log_prob", make_inputs())
    value = torch.ops.fire.log_prob(logits, token, step, cfg, **keywords)
    (result,) = torch.autograd.grad(value, leaf, grad)
    return result


def test_the_gradient_does_not_depend_on_strides_of_logits_or_grad() -> None:
    logits = make_inputs().logits.requires_grad_()
    expected = gradient_of(logits, logits, torch.ones(9))
    assert expected.any()
    store = torch.zeros(9, 80)
    store[:, 5:66] = logits.detach()
    store.requires_grad_()
    padded = gradient_of(store[:, 5:66], store, torch.ones(9))
    assert torch.equal(padded[:, 5:66], expected)
    assert not padded[:, :5].any()
    assert not padded[:, 66:].any()
    for grad in (torch.ones(()).expand(9), torch.ones(27)[::3]):
        assert torch.equal(gradient_of(logits, logits, grad), expected)


def test_the_gradient_of_an_expanded_row_is_the_sum_over_the_rows_that_read_it() -> None:
    row = make_inputs().logits[:1].clone().requires_grad_()
    grad = torch.linspace(-1, 1, 9)
    each = row.detach().repeat(9, 1).requires_grad_()
    summed = gradient_of(row.expand(9, -1), row, grad)
    torch.testing.assert_close(
        summed, gradient_of(each, each, grad).sum(dim=0, keepdim=True), rtol=0, atol=1e-6
    )


def test_slot_is_used_by_the_gradient_too() -> None:
    logits, token, step, cfg = arguments_of("log_prob", make_inputs())
    logits.requires_grad_()
    slot = torch.tensor([8, 3, 0, 6, 1, 2, 5, 4, 0], dtype=torch.int32)
    chosen = torch.ops.fire.log_prob(logits, token, step, cfg, slot)
    gathered = torch.ops.fire.log_prob(logits, token, step, cfg[slot.long()])
    grad = torch.linspace(-1, 1, 9)
    gradients = [torch.autograd.grad(value, logits, grad)[0] for value in (chosen, gathered)]
    assert torch.equal(chosen, gathered)
    assert gradients[0].any()
    assert torch.equal(*gradients)


@pytest.mark.parametrize("changed", ["logits", "token", "step", "cfg", "slot"])
def test_backward_refuses_arguments_that_were_changed_after_forward(changed: str) -> None:
    logits, token, step, cfg = arguments_of("log_prob", make_inputs())
    leaf = logits.clone().requires_grad_()
    saved = {"logits": leaf * 1, "token": token, "step": step, "cfg": cfg}
    saved["slot"] = torch.zeros(9, dtype=torch.int32)
    value = torch.ops.fire.log_prob(*saved.values())
    saved[changed].detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.sum().backward()


def test_the_gradient_cannot_be_differentiated_again() -> None:
    logits, token, step, cfg = arguments_of("log_prob", make_inputs())
    logits.requires_grad_()
    value = torch.ops.fire.log_prob(logits, token, step, cfg)
    (grad,) = torch.autograd.grad(value, logits, torch.ones(9), create_graph=True)
    assert grad.any()
    with pytest.raises(RuntimeError, match="fire::log_prob: its gradient cannot be differentiated again"):
        grad.sum().backward()


def test_log_prob_saves_nothing_where_no_gradient_is_wanted() -> None:
    logits, token, step, cfg = arguments_of("log_prob", make_inputs())
    assert not torch.ops.fire.log_prob(logits, token, step, cfg).requires_grad
    logits.requires_grad_()
    with torch.no_grad():
        assert not torch.ops.fire.log_prob(logits, token, step, cfg).requires_grad


def test_functional_transforms_of_log_prob_are_refused_instead_of_wrong() -> None:
    logits, token, step, cfg = arguments_of("log_prob", make_inputs())
    with pytest.raises(RuntimeError, match="functorch transforms"):
        torch.func.grad(lambda x: torch.ops.fire.log_prob(x, token, step, cfg).sum())(logits)


def test_a_policy_gradient_step_makes_the_rewarded_tokens_more_probable() -> None:
    torch.manual_seed(0)
    logits = torch.nn.Parameter(torch.randn(64, 100))
    step, cfg = torch.tensor(0), pack(fire.SamplingConfig(temperature=0.8, **COLD), rows=64)
    token = torch.ops.fire.sample(logits, step, cfg)
    before = torch.ops.fire.log_prob(logits, token, step, cfg)
    (-before.mean()).backward()
    torch.optim.SGD([logits], lr=1.0).step()
    assert (torch.ops.fire.log_prob(logits, token, step, cfg) > before).all()
