"""`support_log_prob` and its gradient, against autograd of float64 log-softmaxes over the same sets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from backends import DEVICE, IS_CPU, pack
from operator_inputs import DTYPES, assert_same_bits, make_inputs
from support_inputs import SupportInputs, exact, make_support_inputs, members, near
from torch import Tensor

import fire_sampling as fire

pytestmark = pytest.mark.every_backend

ROWS, VOCABULARY = 24, 400
WEIGHTS = {"both": (1.0, 1.0), "the support's alone": (1.0, 0.0), "the row's alone": (0.0, 1.0)}


def weights(kind: str, rows: int = ROWS) -> tuple[Tensor, Tensor]:
    """Of either log-probability, one a row."""
    one, other = WEIGHTS[kind]
    return torch.linspace(-2, 3, rows) * one, torch.linspace(1, -3, rows) * other


def gradient(inputs: SupportInputs, leaf: Tensor, grad: Tensor, full_grad: Tensor) -> Tensor:
    found = fire.support_log_prob(*inputs)
    torch.autograd.backward((found.logprob, found.full_logprob), (grad, full_grad))
    assert leaf.grad is not None
    return leaf.grad


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("width", [1, 20, VOCABULARY, VOCABULARY + 9])
def test_values_and_gradient_equal_float64_log_softmaxes_over_the_same_sets(width: int, kind: str) -> None:
    inputs = make_support_inputs(ROWS, VOCABULARY, width)
    grad, full_grad = weights(kind)
    double = inputs.logits.double().requires_grad_()
    wanted = exact(inputs, double)
    torch.autograd.backward(wanted, (grad.double(), full_grad.double()))
    assert double.grad is not None

    inputs.logits.requires_grad_()
    found = fire.support_log_prob(*inputs)
    assert near(found.logprob, wanted[0])
    assert near(found.full_logprob, wanted[1])
    assert not found.status.any()
    assert near(gradient(inputs, inputs.logits, grad, full_grad), double.grad)


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_a_16_bit_gradient_is_the_float32_one_rounded_once(dtype: torch.dtype) -> None:
    gradients = []
    narrow = make_support_inputs(ROWS, VOCABULARY, 40, dtype)
    for inputs in (narrow, narrow._replace(logits=narrow.logits.float())):
        inputs.logits.requires_grad_()
        gradients.append(gradient(inputs, inputs.logits, *weights("both")))
    assert gradients[0].dtype == dtype
    assert torch.equal(gradients[0], gradients[1].to(dtype))


def test_only_the_value_that_a_loss_reads_has_a_part_in_the_gradient() -> None:
    inputs = make_support_inputs(ROWS, VOCABULARY)
    for output, kind in (("logprob", "the support's alone"), ("full_logprob", "the row's alone")):
        leaf = inputs.logits.clone().requires_grad_()
        value = getattr(fire.support_log_prob(leaf, *inputs[1:]), output)
        grad, other_grad = weights(kind)
        (found,) = torch.autograd.grad(value, leaf, grad + other_grad)
        other = inputs.logits.clone().requires_grad_()
        assert torch.equal(found, gradient(inputs._replace(logits=other), other, *weights(kind)))
        outside = ~members(inputs.support, VOCABULARY)
        assert found[outside].any() == (output == "full_logprob")


def test_a_support_of_minus_one_alone_is_the_row_and_so_is_one_of_every_id() -> None:
    inputs = make_support_inputs(ROWS, VOCABULARY)
    nothing = torch.full((ROWS, 3), -1, dtype=torch.int32)
    everything = torch.arange(VOCABULARY, dtype=torch.int32).repeat(ROWS, 1)
    results = []
    for support in (nothing, everything):
        leaf = inputs.logits.clone().requires_grad_()
        whole = inputs._replace(logits=leaf, support=support)
        found = fire.support_log_prob(*whole)
        assert torch.equal(found.logprob, found.full_logprob)
        results.append((found.logprob.detach(), gradient(whole, leaf, *weights("both"))))
    assert_same_bits(results[0], results[1])


def test_a_token_alone_in_its_support_is_certain_and_has_a_gradient_in_the_row_only() -> None:
    inputs = make_support_inputs(ROWS, VOCABULARY)
    alone = inputs._replace(support=inputs.token.int()[:, None])
    alone.logits.requires_grad_()
    found = fire.support_log_prob(*alone)
    assert torch.equal(found.logprob, torch.zeros(ROWS))
    assert near(
        gradient(alone, alone.logits, torch.ones(ROWS), torch.zeros(ROWS)), torch.zeros(ROWS, VOCABULARY)
    )


def test_a_set_far_below_the_row_is_weighed_by_its_own_maximum() -> None:
    logits = torch.tensor([[300.0, 1.0, 2.0, 0.5]], requires_grad=True)
    support = torch.tensor([[1, 2, 3, -1]], dtype=torch.int32)
    found = fire.support_log_prob(logits, torch.tensor([2]), support, 1.0)
    wanted = torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.float64).log_softmax(dim=1)[:, 1]
    assert near(found.logprob, wanted)
    (grad,) = torch.autograd.grad(found.logprob, logits, torch.ones(1))
    assert grad[0, 0] == 0
    assert near(grad[0, 2], 1 - wanted.exp()[0])


def test_what_is_not_finite_has_minus_infinity_or_zero_and_no_gradient() -> None:
    inf, nan = torch.inf, torch.nan
    plain, hot, empty = [1.0, 2.0, -inf, nan], [inf, 1.0, inf, 0.0], [-inf, nan, -inf, -inf]
    cases: list[tuple[list[float], int, list[int], float, bool]] = [
        # logits, token, support, logprob, whether full_logprob is finite and not 0
        (plain, 0, [1, 3], -inf, True),  # the support misses the token
        (plain, 2, [1, 2], -inf, False),  # a mask
        (plain, 3, [1, 3], -inf, False),  # a NaN
        (plain, -1, [-1, -1], -inf, False),  # tokens outside the vocabulary
        (plain, 4, [0, 1], -inf, False),
        (plain, 2**62, [0, 1], -inf, False),
        (plain, 0, [0, -1], 0.0, True),
        (hot, 2, [-1, -1], 0.0, False),  # +inf
        (hot, 1, [0, 1], -inf, False),
        (empty, 0, [-1, -1], -inf, False),
    ]
    logits = torch.tensor([case[0] for case in cases], requires_grad=True)
    token = torch.tensor([case[1] for case in cases])
    support = torch.tensor([case[2] for case in cases], dtype=torch.int32)
    found = fire.support_log_prob(logits, token, support, 1.0)
    assert found.logprob.tolist() == [case[3] for case in cases]
    finite = found.full_logprob.isfinite() & (found.full_logprob != 0)
    assert finite.tolist() == [case[4] for case in cases]
    nan_bit, infinity, none = fire.Status.NAN, fire.Status.INFINITY, fire.Status.NO_FINITE_LOGIT
    assert found.status.tolist() == [nan_bit] * 7 + [infinity] * 2 + [none | nan_bit]
    (grad,) = torch.autograd.grad(found.logprob, logits, torch.ones(len(cases)), retain_graph=True)
    assert not grad.any()
    (grad,) = torch.autograd.grad(found.full_logprob, logits, torch.ones(len(cases)))
    assert torch.equal(grad.any(dim=1), finite)
    assert not grad.isnan().any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_over_the_row_it_is_ref_logprob_and_over_its_kept_set_log_prob(dtype: torch.dtype) -> None:
    logits = make_inputs(rows=60, vocabulary=150, dtype=dtype).logits[:-1]
    step = torch.tensor(1)
    config = fire.SamplingConfig(
        temperature=0.7, top_k=20, top_p=0.9, min_p=0.01, seed=3, ref_temperature=0.7
    )
    records = pack(config, rows=59)
    drawn = torch.ops.fire.sample_with_logprobs(logits, step, records)
    kept = torch.ops.fire.process_logits(logits, step, records).isfinite()
    ids = torch.arange(150).masked_fill(~kept, 150).sort(dim=1).values[:, : int(kept.sum(dim=1).max())]
    support = torch.where(ids < 150, ids, -1).int()
    found = fire.support_log_prob(logits, drawn[0], support, 0.7)
    own = torch.ops.fire.log_prob(logits, drawn[0], step, records)
    if IS_CPU:
        assert_same_bits((found.logprob, found.full_logprob), (own, drawn[2]))
    assert near(found.logprob, own)
    assert near(found.full_logprob, drawn[2])


# ---- the layout of arguments ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_strides_and_an_unaligned_base_change_nothing(dtype: torch.dtype) -> None:
    plain = make_support_inputs(dtype=dtype)
    expected = torch.ops.fire.support_log_prob(*plain)
    store = torch.full((9, 80), torch.inf, dtype=dtype)
    store[:, 1:62] = plain.logits
    places = torch.full((9, 31), 12345, dtype=torch.int32)
    places[:, 3:15] = plain.support
    apart = [torch.stack([tensor] * 3, dim=1)[:, 1] for tensor in (plain.token, plain.temperature)]
    laid_out = SupportInputs(store[:, 1:62], apart[0], places[:, 3:15], apart[1])
    found = torch.ops.fire.support_log_prob(*laid_out)
    assert_same_bits(found, expected)
    grads = torch.linspace(-1, 1, 9), torch.linspace(2, 1, 9)
    wanted = torch.ops.fire.support_log_prob_backward(*grads, *plain, expected[3])
    assert wanted.any()
    strided = [torch.stack([grad] * 2, dim=1)[:, 0] for grad in grads]
    assert_same_bits((torch.ops.fire.support_log_prob_backward(*strided, *laid_out, found[3]),), (wanted,))


def test_the_gradient_of_an_expanded_row_is_the_sum_over_the_rows_that_read_it() -> None:
    inputs = make_support_inputs()
    row = inputs.logits[:1].clone().requires_grad_()
    each = row.detach().repeat(9, 1).requires_grad_()
    grads = weights("both", 9)
    summed = gradient(inputs._replace(logits=row.expand(9, -1)), row, *grads)
    apart = gradient(inputs._replace(logits=each), each, *grads)
    torch.testing.assert_close(summed, apart.sum(dim=0, keepdim=True), rtol=0, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.7, 1, torch.tensor(0.7), torch.full((9,), 0.7), 1e30])
def test_a_temperature_may_be_a_number_one_for_all_or_one_a_row(temperature: Any) -> None:
    inputs = make_support_inputs()
    each = torch.as_tensor(temperature, dtype=torch.float32).expand(9).contiguous()
    found = fire.support_log_prob(*inputs[:3], temperature)
    assert_same_bits(tuple(found), tuple(fire.support_log_prob(*inputs[:3], each)))
    assert near(found.logprob, exact(inputs._replace(temperature=each), inputs.logits.double())[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_rows_give_empty_results_and_an_empty_gradient(dtype: torch.dtype) -> None:
    logits = torch.zeros(0, 61, dtype=dtype, requires_grad=True)
    support = torch.zeros(0, 3, dtype=torch.int32)
    found = fire.support_log_prob(logits, torch.zeros(0, dtype=torch.int64), support, 1.0)
    assert [value.shape for value in found] == [(0,)] * 3
    torch.autograd.backward(found.logprob.sum() + found.full_logprob.sum())
    assert logits.grad is not None
    assert logits.grad.shape == (0, 61)


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    inputs = make_support_inputs(11)
    batch = torch.ops.fire.support_log_prob(*inputs)
    for row in range(11):
        alone = torch.ops.fire.support_log_prob(*(argument[row : row + 1] for argument in inputs))
        assert_same_bits(alone, tuple(result[row : row + 1] for result in batch))


def test_autocast_and_inference_mode_change_nothing() -> None:
    inputs = make_support_inputs()
    expected = torch.ops.fire.support_log_prob(*inputs)
    with torch.autocast(torch.device(DEVICE).type, dtype=torch.bfloat16):
        assert_same_bits(torch.ops.fire.support_log_prob(*inputs), expected)
    with torch.inference_mode():
        assert_same_bits(torch.ops.fire.support_log_prob(*inputs), expected)


# ---- rows that are refused ----

BAD_ROWS: dict[str, tuple[list[int], float, str]] = {
    "a repeated id": ([3, 3, -1], 1.0, "support of row 2 has 3 behind 3 in place 1"),
    "ids that fall": ([5, 4, -1], 1.0, "support of row 2 has 4 behind 5 in place 1"),
    "an id beyond the vocabulary": ([61, -1, -1], 1.0, "support of row 2 has 61 in place 0"),
    "an id below -1": ([-2, -1, -1], 1.0, "support of row 2 has -2 in place 0"),
    "-1 before an id": ([4, -1, 5], 1.0, "support of row 2 has 5 behind -1 in place 2"),
    "temperature 0": ([4, -1, -1], 0.0, "temperature of row 2 is 0"),
    "a negative temperature": ([4, -1, -1], -1.5, "temperature of row 2 is -1.5"),
    "a temperature of NaN": ([4, -1, -1], torch.nan, "temperature of row 2 is nan"),
    "an infinite temperature": ([4, -1, -1], torch.inf, "temperature of row 2 is inf"),
    "a tiny temperature": ([4, -1, -1], 2.0**-65, "temperature of row 2 is 2.71051e-20"),
}


def with_bad_row(bad: str) -> SupportInputs:
    """Good rows, but for row 2."""
    places, temperature, _ = BAD_ROWS[bad]
    inputs = make_support_inputs(width=3)
    inputs.support[2] = torch.tensor(places, dtype=torch.int32)
    inputs.temperature[2] = temperature
    return inputs


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_a_row_without_a_valid_support_and_temperature_is_refused_by_name_or_on_a_device_in_its_status(
    bad: str,
) -> None:
    inputs = with_bad_row(bad)
    if IS_CPU:
        assert_refused(inputs, *BAD_ROWS[bad][1:])
    else:
        assert_marked(inputs)


def assert_refused(inputs: SupportInputs, temperature: float, words: str) -> None:
    valid = temperature == 1.0
    expected = "ids from 0 to 60 in ascending order, then -1" if valid else "a finite one of at least 2^-64"
    with pytest.raises(RuntimeError) as caught:
        fire.support_log_prob(*inputs)
    assert str(caught.value) == f"fire::support_log_prob: {words}, expected {expected}"
    masses, grad = torch.zeros(9, 3, dtype=torch.int64), torch.ones(9)
    with pytest.raises(RuntimeError) as caught:
        torch.ops.fire.support_log_prob_backward(grad, grad, *inputs, masses)
    assert str(caught.value) == f"fire::support_log_prob_backward: {words}, expected {expected}"


def assert_marked(inputs: SupportInputs) -> None:
    """Row 2 has NaN, a status and no gradient, and the others are as ever."""
    good = make_support_inputs(width=3)
    inputs.logits.requires_grad_()
    found, expected = fire.support_log_prob(*inputs), fire.support_log_prob(*good)
    others = torch.arange(9) != 2
    assert_same_bits(tuple(value[others] for value in found), tuple(value[others] for value in expected))
    assert found.logprob[2].isnan()
    assert found.full_logprob[2].isnan()
    assert found.status[2] == fire.Status.REFUSED
    grad = gradient(inputs, inputs.logits, torch.ones(9), torch.ones(9))
    assert not grad[2].any()
    assert grad[others].any(dim=1).all()


# ---- autograd's rules ----


@pytest.mark.parametrize("changed", range(4))
def test_backward_refuses_arguments_that_were_changed_after_forward(changed: int) -> None:
    inputs = make_support_inputs()
    leaf = inputs.logits.clone().requires_grad_()
    saved = inputs._replace(logits=leaf * 1)
    value = fire.support_log_prob(*saved).logprob
    saved[changed].detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(value.sum())


def test_the_gradient_cannot_be_differentiated_again() -> None:
    inputs = make_support_inputs()
    inputs.logits.requires_grad_()
    value = fire.support_log_prob(*inputs).logprob
    (grad,) = torch.autograd.grad(value, inputs.logits, torch.ones(9), create_graph=True)
    assert grad.any()
    words = "fire::support_log_prob: its gradient cannot be differentiated again"
    with pytest.raises(RuntimeError, match=words):
        torch.autograd.backward(grad.sum())


def test_a_temperature_that_requires_grad_is_refused_instead_of_having_none() -> None:
    inputs = make_support_inputs()
    inputs.temperature.requires_grad_()
    with pytest.raises(
        RuntimeError, match=r"^fire::support_log_prob: temperature requires grad, expected one"
    ):
        fire.support_log_prob(*inputs)
    with torch.no_grad():
        assert fire.support_log_prob(*inputs).logprob.isfinite().all()


def test_status_has_no_gradient_and_nothing_is_saved_where_none_is_wanted() -> None:
    inputs = make_support_inputs()
    assert not any(value.requires_grad for value in fire.support_log_prob(*inputs))
    inputs.logits.requires_grad_()
    assert [value.requires_grad for value in fire.support_log_prob(*inputs)] == [True, True, False]
    with torch.no_grad():
        assert not any(value.requires_grad for value in fire.support_log_prob(*inputs))


def test_a_policy_gradient_step_makes_the_rewarded_tokens_more_probable_under_both() -> None:
    inputs = make_support_inputs(width=20)
    logits = torch.nn.Parameter(inputs.logits)
    before = fire.support_log_prob(logits, *inputs[1:])
    torch.autograd.backward(-(before.logprob + before.full_logprob).mean())
    torch.optim.SGD([logits], lr=1.0).step()
    after = fire.support_log_prob(logits, *inputs[1:])
    assert (after.full_logprob > before.full_logprob).all()
    assert (after.logprob >= before.logprob).all()
    assert (after.logprob > before.logprob).sum() >= 6  # of nine rows, those whose set has two tokens or more
