"""The private operators of rows in shards: what all ranks together make of them is what the row gives."""

from __future__ import annotations

import pytest
import torch
from backends import DEVICE, IS_CPU
from operator_inputs import DTYPES, assert_as_on_the_cpu, assert_same_bits, make_inputs
from shard_ranks import DRAW, HEAT, LOG_PROB, REFERENCE, gathered_entries, shards_of, solve
from torch import Tensor

import fire_sampling as fire
from fire_sampling import _native

pytestmark = pytest.mark.every_backend

ROWS, VOCABULARY = 70, 300  # every config with every design
SPLITS = ([300], [150, 150], [1, 0, 298, 1], [100, 7, 93, 0, 60, 40], [60] * 5)
_fire = torch.ops.fire


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 24])
@pytest.mark.parametrize("sizes", SPLITS)
def test_a_sample_of_shards_is_that_of_the_whole_row(
    sizes: list[int], count: int, dtype: torch.dtype
) -> None:
    inputs = make_inputs(ROWS, VOCABULARY, dtype)
    state = solve(inputs.logits, sizes, inputs.step, inputs.cfg, count=count, wants=DRAW | REFERENCE)
    found = _fire.shard_finish(state, True)
    wanted = fire.sample_with_logprobs(inputs.logits, inputs.step, inputs.cfg)
    assert_as_on_the_cpu(tuple(found), tuple(wanted))
    token, _, ref_logprob, rank, *_ = _fire.shard_finish(state, False)
    assert torch.equal(token, wanted.token)
    assert ref_logprob.isnan().all()
    assert (rank == -1).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_per_token_is_written_shard_by_shard(dtype: torch.dtype) -> None:
    inputs = make_inputs(ROWS, VOCABULARY, dtype)
    for sizes in SPLITS:
        state = solve(inputs.logits, sizes, inputs.step, inputs.cfg, count=8, wants=0)
        shards = shards_of(inputs.logits, sizes)
        processed = torch.cat([_fire.shard_process(own, state, first) for own, first in shards], dim=1)
        assert_same_bits((processed,), (fire.process_logits(inputs.logits, inputs.step, inputs.cfg),))
        if dtype != torch.float32:
            continue
        state = solve(inputs.logits, sizes, inputs.step, inputs.cfg, count=8, wants=HEAT)
        heated, wanted = inputs.logits.clone(), inputs.logits.clone()
        fire.heat_logits_(wanted, inputs.step, inputs.cfg)
        for own, first in shards_of(heated, sizes):  # views of the whole rows, written in place
            _fire.shard_heat_(own, state, first)
        assert_same_bits((heated,), (wanted,))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_log_probability_and_its_gradient_are_those_of_the_whole_row(dtype: torch.dtype) -> None:
    inputs = make_inputs(ROWS, VOCABULARY, dtype)
    token = fire.sample(inputs.logits, inputs.step, inputs.cfg)
    token[::5] = torch.arange(len(token[::5])) * 31 - 31  # outside the kept set, and of no token
    whole = inputs.logits.clone().requires_grad_()
    wanted = fire.log_prob(whole, token, inputs.step, inputs.cfg)
    grad = torch.linspace(-1, 1, ROWS)
    (wanted_grad,) = torch.autograd.grad(wanted, whole, grad)
    for sizes in SPLITS:
        state = solve(inputs.logits, sizes, inputs.step, inputs.cfg, count=8, wants=LOG_PROB, token=token)
        found = _fire.shard_finish(state, False)[1]
        assert_as_on_the_cpu((found,), (wanted.detach(),))
        slopes = [
            _fire.shard_log_prob_backward(grad, own, state, first)
            for own, first in shards_of(inputs.logits, sizes)
        ]
        assert_same_bits((torch.cat(slopes, dim=1),), (wanted_grad,))


def test_opcheck_passes() -> None:
    inputs = make_inputs(5, VOCABULARY)
    wide = torch.randn(5, VOCABULARY + 40)
    token = torch.arange(5)
    # opcheck takes a NaN, which rows that still ask have, for a difference.
    settled = solve(inputs.logits, [VOCABULARY], inputs.step, inputs.cfg, count=2, wants=DRAW | REFERENCE)
    torch.library.opcheck(_fire.shard_finish.default, (settled, True))
    for logits in (inputs.logits, wide[:, 3 : 3 + VOCABULARY]):
        entries = _fire.shard_entries(logits, 2, 7)
        keywords = {
            "vocabulary": 2 * VOCABULARY,
            "ranks": 2,
            "wants": LOG_PROB,
            "key_bits": 32,
            "token": token,
        }
        state, weights = _fire.shard_begin(entries, inputs.step, inputs.cfg, None, **keywords)
        some = torch.tensor([4, 1])
        torch.library.opcheck(_fire.shard_entries.default, (logits.clone().requires_grad_(), 2, 7))
        torch.library.opcheck(_fire.shard_begin.default, (entries, inputs.step, inputs.cfg), keywords)
        for rows in (None, some):
            arguments = (logits, state, rows, 7, 1, 258)
            torch.library.opcheck(_fire.shard_answer.default, arguments)
            answers = _fire.shard_answer(*arguments)
            torch.library.opcheck(_fire.shard_take.default, (state.clone(), entries, weights, answers, rows))
        torch.library.opcheck(_fire.shard_process.default, (logits.clone().requires_grad_(), state, 7))
        torch.library.opcheck(_fire.shard_log_prob_backward.default, (torch.ones(5), logits, state, 7))
        torch.library.opcheck(_fire.shard_heat_.default, (logits.clone(), state, 7))


def test_what_is_written_in_place_is_not_what_a_graph_saved() -> None:
    inputs = make_inputs(3, VOCABULARY)
    state = solve(inputs.logits, [VOCABULARY], inputs.step, inputs.cfg, count=8, wants=HEAT)
    leaf = torch.ones(3, VOCABULARY, requires_grad=True)
    logits = inputs.logits.clone()
    product = leaf * logits
    _fire.shard_heat_(logits, state, 0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(product.sum())
    with pytest.raises(RuntimeError, match=r"^fire::shard_heat_: logits requires grad"):
        _fire.shard_heat_(leaf, state, 0)


def test_slots_choose_records_and_one_out_of_range_is_told() -> None:
    inputs = make_inputs(8, VOCABULARY)
    slot = torch.tensor([3, 0, 5, 2, 90, 1, -4, 7], dtype=torch.int32)
    state = solve(inputs.logits, [100, 200], inputs.step, inputs.cfg, slot, count=20, wants=DRAW | REFERENCE)
    wanted = fire.sample_with_logprobs(inputs.logits, inputs.step, inputs.cfg, slot)
    assert_as_on_the_cpu(tuple(_fire.shard_finish(state, True)), tuple(wanted))


def test_rows_that_are_not_named_keep_their_state() -> None:
    inputs = make_inputs(14, VOCABULARY)
    shards = shards_of(inputs.logits, [100, 200])
    entries = gathered_entries(shards, 1)
    state, weights = _fire.shard_begin(
        entries, inputs.step, inputs.cfg, vocabulary=VOCABULARY, ranks=2, wants=DRAW, key_bits=32
    )
    asked = (state[:, 0] & 0xFFFFFFFF).nonzero()[:, 0]
    assert len(asked) > 4
    every_second = asked[::2]
    before = state.clone()
    some = sum(
        _fire.shard_answer(own, state, every_second, first, rank, 258)
        for rank, (own, first) in enumerate(shards)
    )
    all_rows = sum(
        _fire.shard_answer(own, state, None, first, rank, 258) for rank, (own, first) in enumerate(shards)
    )
    assert torch.equal(some, all_rows[every_second])
    _fire.shard_take(state, entries, weights, some, every_second)
    changed = (state != before).any(dim=1).nonzero()[:, 0]
    assert torch.equal(changed, every_second)
    nothing = torch.zeros(0, dtype=torch.int64)
    assert _fire.shard_answer(inputs.logits, state, nothing, 0, 0, 2).shape == (0, 2, 2)
    _fire.shard_take(state, entries, weights, torch.zeros(0, 2, 2, dtype=torch.int64), nothing)


def test_no_rows_are_no_work() -> None:
    inputs = make_inputs(0, VOCABULARY)
    for wants in (DRAW | REFERENCE, HEAT):
        state = solve(inputs.logits, [100, 200], inputs.step, inputs.cfg, count=4, wants=wants)
        assert state.shape[0] == 0
    assert all(output.shape == (0,) for output in _fire.shard_finish(state, True))
    assert _fire.shard_process(inputs.logits, state, 0).shape == (0, VOCABULARY)


def test_a_rank_or_slots_that_the_states_do_not_have_are_refused_by_the_cpu() -> None:
    if not IS_CPU:  # a device reads no state on the host
        return
    inputs = make_inputs(4, VOCABULARY)
    logits: Tensor = inputs.logits
    cfg = fire.pack(fire.SamplingConfig(hot_steps=0, seed=1), rows=4)
    entries = _fire.shard_entries(logits, 4, 0)
    state, weights = _fire.shard_begin(
        entries, inputs.step, cfg, vocabulary=VOCABULARY, ranks=3, wants=DRAW, key_bits=32
    )
    with pytest.raises(RuntimeError) as caught:
        _fire.shard_answer(logits, state, None, 0, 0, 4)
    assert str(caught.value) == "fire::shard_answer: slots is 4, expected 5 or more, as row 0 asks"
    with pytest.raises(RuntimeError) as caught:
        _fire.shard_answer(logits, state, None, 0, 3, 5)
    assert str(caught.value) == "fire::shard_answer: rank is 3, expected one of the 3 ranks of row 0"
    with pytest.raises(RuntimeError) as caught:
        _fire.shard_take(state, entries, weights, torch.zeros(4, 2, 2, dtype=torch.int64), None)
    assert str(caught.value) == "fire::shard_take: slots is 2, expected 5 or more, as row 0 asks"


def test_any_bits_in_a_state_end_in_results_of_the_right_shape() -> None:
    generator = torch.Generator("cpu").manual_seed(7)
    logits = torch.randn(64, VOCABULARY, generator=generator, device="cpu").to(DEVICE)
    entries = _fire.shard_entries(logits, 8, 0)
    weights = torch.zeros(64, 8, dtype=torch.int64)
    bits = torch.randint(
        -(2**63), 2**63 - 1, (64, _native.SHARD_STATE_WORDS), generator=generator, device="cpu"
    ).to(DEVICE)
    bits[::2, 3:] &= 0xFF
    for questions in (31, 2, 1, 24):
        state = bits.clone()
        state[:, 0] = questions | bits[:, 0] & 0xF << 32  # and wants
        state[::2, 1] &= 0xF << 32 | 0xF  # a stage that there may be
        answers = _fire.shard_answer(logits, state, None, 0, 0, 258)
        assert answers.shape == (64, 258, 2)
        _fire.shard_take(state, entries, weights, answers, None)
        assert _fire.shard_process(logits, state, 0).shape == logits.shape
        assert _fire.shard_log_prob_backward(torch.ones(64), logits, state, 0).shape == logits.shape
        _fire.shard_heat_(logits.clone(), state, 0)
        assert len(_fire.shard_finish(state, True)) == 6
