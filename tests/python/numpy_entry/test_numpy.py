"""The NumPy entry: the tokens of the torch operators, from arrays of any layout, without torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, get_args, get_type_hints

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import RunPython
from hypothesis import given
from hypothesis import strategies as st
from numpy_inputs import CONFIGS, RECORDS, ROWS, STEPS, VOCABULARY, Array, make_logits

from fire_sampling import SamplingConfig, _native
from fire_sampling import numpy as fire


def assert_same_bits(a: Sequence[Array], b: Sequence[Array]) -> None:
    for name, x, y in zip(fire.SampleWithLogprobs._fields, a, b, strict=True):
        assert x.dtype == y.dtype, name
        assert x.tobytes() == y.tobytes(), name


def test_the_outputs_of_both_entries_have_the_names_order_and_types_of_the_compiled_parts_list() -> None:
    import fire_sampling

    hints = get_type_hints(fire.SampleWithLogprobs)
    dtypes = {name: get_args(get_args(hint)[1])[0].__name__ for name, hint in hints.items()}
    listed = [(name, dtype) for name, dtype, _ in _native.OUTPUTS]
    assert list(dtypes.items()) == listed
    assert fire_sampling.SampleWithLogprobs._fields == tuple(dtypes)
    drawn = fire.sample_with_logprobs(make_logits(), STEPS, RECORDS)
    assert [(name, str(array.dtype)) for name, array in drawn._asdict().items()] == listed


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_every_output_equals_the_torch_operators_bit_for_bit(dtype: str) -> None:
    import fire_sampling

    logits = make_logits(getattr(ml_dtypes, dtype, dtype))
    words = logits.view(np.int32 if dtype == "float32" else np.int16)
    tensor = torch.from_numpy(words).view(getattr(torch, dtype))
    steps, records = torch.from_numpy(STEPS), torch.from_numpy(RECORDS.view(np.int32))
    ours = fire.sample_with_logprobs(logits, STEPS, RECORDS)
    theirs = fire_sampling.sample_with_logprobs(tensor, steps, records)
    assert_same_bits(ours, [output.numpy() for output in theirs])
    assert np.array_equal(fire.sample(logits, STEPS, RECORDS), ours.token)
    processed = fire_sampling.process_logits(tensor, steps, records).numpy()
    assert fire.process_logits(logits, STEPS, RECORDS).tobytes() == processed.tobytes()
    value = fire_sampling.log_prob(tensor, theirs.token, steps, records).numpy()
    assert fire.log_prob(logits, ours.token, STEPS, RECORDS).tobytes() == value.tobytes()


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_a_16_bit_row_gives_the_outputs_of_its_float32_copy(dtype: Any) -> None:
    logits = make_logits(dtype)
    ours = fire.sample_with_logprobs(logits, STEPS, RECORDS)
    assert_same_bits(ours, fire.sample_with_logprobs(logits.astype(np.float32), STEPS, RECORDS))


def padded(logits: Array) -> Array:
    wide = np.full((ROWS, VOCABULARY + 13), 99, logits.dtype)
    wide[:, :VOCABULARY] = logits
    return wide[:, :VOCABULARY]


def unaligned(logits: Array) -> Array:
    buffer = bytearray(logits.nbytes + 1)
    view = np.frombuffer(buffer, dtype=logits.dtype, offset=1).reshape(logits.shape)
    view[:] = logits
    assert not view.flags.aligned
    return view


def reversed_in_memory(logits: Array) -> Array:
    return np.ascontiguousarray(logits[::-1])[::-1]


def interleaved(logits: Array) -> Array:
    both = np.zeros((ROWS, 2, VOCABULARY), logits.dtype)
    both[:, 1] = logits
    return both[:, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("layout", [padded, unaligned, reversed_in_memory, interleaved])
def test_a_row_reads_the_same_wherever_it_lies_in_memory(layout: Any, dtype: Any) -> None:
    logits = make_logits(dtype)
    expected = fire.sample_with_logprobs(logits, STEPS, RECORDS)
    laid_out = layout(logits)
    before = laid_out.tobytes()
    assert_same_bits(fire.sample_with_logprobs(laid_out, STEPS, RECORDS), expected)
    processed = fire.process_logits(logits, STEPS, RECORDS)
    assert fire.process_logits(laid_out, STEPS, RECORDS).tobytes() == processed.tobytes()
    assert laid_out.tobytes() == before


def test_one_row_repeated_by_a_zero_stride_is_read_for_every_record() -> None:
    row = make_logits()[:1]
    repeated = np.broadcast_to(row, (ROWS, VOCABULARY))
    assert repeated.strides[0] == 0
    expected = fire.sample(np.repeat(row, ROWS, axis=0), STEPS, RECORDS)
    assert np.array_equal(fire.sample(repeated, STEPS, RECORDS), expected)


@given(st.permutations(range(ROWS)), st.integers(1, ROWS))
def test_a_row_does_not_depend_on_its_batch_or_its_place_in_it(order: list[int], count: int) -> None:
    logits = make_logits()
    whole = fire.sample_with_logprobs(logits, STEPS, RECORDS)
    chosen = order[:count]
    part = fire.sample_with_logprobs(logits[chosen], STEPS[chosen], RECORDS[chosen])
    assert_same_bits(part, [output[chosen] for output in whole])


def test_steps_of_every_form_count_alike() -> None:
    logits = make_logits()
    expected = fire.sample(logits, np.full(ROWS, 5), RECORDS)
    forms: list[Any] = [
        5,
        np.int64(5),
        np.uint8(5),
        np.array(5),
        np.array(5, dtype=np.int32),
        np.full(ROWS, 5, dtype=np.int32),
        np.full(2 * ROWS, 5)[::2],
        np.broadcast_to(np.int64(5), (ROWS,)),
    ]
    for step in forms:
        assert np.array_equal(fire.sample(logits, step, RECORDS), expected)


def test_strided_steps_and_slots_are_read_by_element() -> None:
    logits = make_logits()
    slot = np.arange(ROWS, dtype=np.int32)[::-1]
    expected = fire.sample(logits, STEPS.copy(), RECORDS[::-1])
    spaced = np.stack([STEPS, np.full(ROWS, 77)], axis=1)[:, 0]
    assert np.array_equal(fire.sample(logits, spaced, RECORDS, slot), expected)


def test_records_may_be_signed_or_unsigned_and_of_any_layout() -> None:
    logits = make_logits()
    expected = fire.sample(logits, STEPS, RECORDS)
    wide = np.zeros((ROWS, 20), dtype=np.int32)
    wide[:, :16] = RECORDS.view(np.int32)
    for records in (RECORDS.view(np.int32), wide[:, :16], np.asfortranarray(RECORDS)):
        assert np.array_equal(fire.sample(logits, STEPS, records), expected)


def test_a_slot_out_of_range_is_clamped_and_marked_in_the_status() -> None:
    logits = make_logits()
    slot = np.array([0, -1, 5, 6, 2**31 - 1, -(2**31)], dtype=np.int32)
    out = fire.sample_with_logprobs(logits, STEPS, RECORDS, slot)
    clamped = fire.sample_with_logprobs(logits, STEPS, RECORDS, np.clip(slot, 0, ROWS - 1))
    assert np.array_equal(out.token, clamped.token)
    assert (out.status >> 5 & 1).tolist() == [0, 1, 0, 1, 1, 1]
    assert not (clamped.status >> 5 & 1).any()


def test_a_config_is_packed_for_the_rows_of_the_call() -> None:
    logits = make_logits()
    config = SamplingConfig(seed=8, top_k=40)
    expected = fire.sample(logits, 0, fire.pack(config, rows=ROWS))
    assert np.array_equal(fire.sample(logits, 0, config), expected)
    assert np.array_equal(fire.sample(logits, STEPS, CONFIGS), fire.sample(logits, STEPS, RECORDS))


def test_a_generator_reproduces_the_seeds_that_a_config_leaves_open() -> None:
    first, again = (fire.pack(SamplingConfig(), rows=3, rng=np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(fire.pack(SamplingConfig(), 3), fire.pack(SamplingConfig(), 3))


def test_no_rows_give_empty_outputs_and_a_vocabulary_of_one_gives_zeros() -> None:
    empty = fire.sample_with_logprobs(np.zeros((0, 7), np.float32), 0, SamplingConfig())
    assert all(output.shape == (0,) for output in empty)
    assert fire.process_logits(np.zeros((0, 7), np.float32), 0, SamplingConfig()).shape == (0, 7)
    # With one token a row, no two logits are neighbours and any stride will do.
    column = np.zeros((4, 9), np.float32)[:, 4:5]
    assert fire.sample(column, 0, SamplingConfig(seed=1)).tolist() == [0] * 4


def test_without_reference_only_ref_logprob_and_rank_are_missing() -> None:
    logits = make_logits()
    full = fire.sample_with_logprobs(logits, STEPS, RECORDS)
    lean = fire.sample_with_logprobs(logits, STEPS, RECORDS, reference=False)
    assert np.isnan(lean.ref_logprob).all()
    assert (lean.rank == -1).all()
    assert_same_bits(lean._replace(ref_logprob=full.ref_logprob, rank=full.rank), full)


def test_log_probs_are_those_of_the_softmax_of_the_processed_logits() -> None:
    logits = make_logits()
    out = fire.sample_with_logprobs(logits, STEPS, RECORDS)
    processed = fire.process_logits(logits, STEPS, RECORDS).astype(np.float64)
    log_softmax = processed - processed.max(1, keepdims=True)
    log_softmax -= np.log(np.exp(log_softmax).sum(1, keepdims=True))
    for row in range(ROWS):
        assert np.isfinite(processed[row]).sum() == out.kept[row]
        for token in range(VOCABULARY):
            records, step = RECORDS[row : row + 1], STEPS[row : row + 1]
            value = fire.log_prob(logits[row : row + 1], np.array([token]), step, records)[0]
            expected = log_softmax[row, token]
            # 1e-6 · max(1, |value|) is what docs/semantics.md allows between backends.
            assert value == expected or abs(value - expected) <= 1e-6 * max(1, abs(expected))
    assert np.allclose(out.logprob, log_softmax[np.arange(ROWS), out.token], rtol=1e-6, atol=1e-6)


def test_log_prob_of_an_id_outside_the_vocabulary_is_minus_infinity() -> None:
    token = np.array([-1, VOCABULARY, 2**40, -(2**63), 2**63 - 1, VOCABULARY])
    assert (fire.log_prob(make_logits(), token, STEPS, RECORDS) == -np.inf).all()


def test_other_threads_run_while_rows_are_sampled() -> None:
    logits = np.broadcast_to(np.zeros(40000, np.float32), (4096, 40000))
    records = fire.pack(SamplingConfig(seed=1, top_p=0.5), rows=4096)
    worker = threading.Thread(target=fire.sample, args=(logits, 0, records))
    worker.start()
    turns = 0
    while worker.is_alive():
        turns += 1
        worker.join(1e-4)
    # With the GIL held the loop would turn once or twice; the call takes a tenth of a second and more.
    assert turns > 10


def test_calls_from_many_threads_at_once_return_what_one_call_does() -> None:
    logits = np.tile(make_logits(), (60, 1))
    config = SamplingConfig(seed=3, top_p=0.9)
    expected = fire.sample(logits, 1, config)
    results: list[npt.NDArray[np.int64]] = []
    threads = [
        threading.Thread(target=lambda: results.extend(fire.sample(logits, 1, config) for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    assert all(np.array_equal(result, expected) for result in results)


SAMPLE_WITHOUT_TORCH = """
import sys, numpy as np, fire_sampling
from fire_sampling import numpy as fire
logits = (np.random.default_rng(0).standard_normal((6, 517)) * 3).astype(np.float32)
print(fire.sample(logits, 2, fire_sampling.SamplingConfig(seed=4)).tolist())
for name in (
    "pack", "sample", "sample_with_logprobs", "process_logits", "heat_logits_", "log_prob", "sample_group",
    "sample_group_with_logprobs", "sample_coded", "first_code", "sample_with_support", "support_log_prob"
):
    config = fire_sampling.SamplingConfig()
    arguments = {"pack": (config,), "first_code": (0, [config])}
    arguments |= dict.fromkeys(("log_prob", "sample_coded", "support_log_prob"), (logits, 0, 2, config))
    keywords = {"size": 2} if "group" in name else {"width": 2} if name == "sample_with_support" else {}
    try:
        getattr(fire_sampling, name)(*arguments.get(name, (logits, 2, config)), **keywords)
    except ImportError as error:
        print(error)
"""


def test_without_torch_numpy_samples_and_the_rest_says_that_torch_is_missing(run_python: RunPython) -> None:
    child = run_python(SAMPLE_WITHOUT_TORCH, torch=False)
    assert child.returncode == 0, child.stderr
    tokens, *errors = child.stdout.splitlines()
    assert tokens == str(fire.sample(make_logits(), 2, SamplingConfig(seed=4)).tolist())
    assert len(errors) == 12
    assert all("torch" in error for error in errors)
    assert errors[0] == "fire_sampling.pack: torch is not installed; fire_sampling.numpy.pack needs none"
    assert errors[1] == "fire_sampling.sample: torch is not installed"
    assert child.stderr == ""
