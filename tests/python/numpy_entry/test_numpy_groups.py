"""Groups and codes of the NumPy entry; tests/python/operators compares their bits with torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy_inputs import CONFIGS, RECORDS, ROWS, STEPS, make_logits

from fire_sampling import SamplingConfig, _native
from fire_sampling import numpy as fire


def designed() -> np.ndarray[Any, np.dtype[np.uint32]]:
    """The records of the designs in turn, each a member of some group."""
    records = RECORDS.copy()
    view = records.view(_native.RECORD)[:, 0]
    view["flags"] |= np.arange(ROWS, dtype=np.uint32) % 5 << 5
    view["group"] = np.arange(ROWS, dtype=np.uint32) * 0x9E3779B9
    return records


def test_a_group_has_a_dimension_of_its_own_in_what_its_members_differ_in() -> None:
    logits, records = make_logits(), designed()
    drawn = fire.sample_group_with_logprobs(logits, STEPS, records, size=4)
    assert [output.shape for output in drawn] == [(ROWS, 4)] * 4 + [(ROWS,)] * 2
    assert np.array_equal(fire.sample_group(logits, STEPS, records, size=4), drawn.token)
    lean = fire.sample_group_with_logprobs(logits, STEPS, records, size=4, reference=False)
    assert np.isnan(lean.ref_logprob).all()
    assert (lean.rank == -1).all()
    assert np.array_equal(lean.logprob, drawn.logprob)


def test_a_group_of_one_is_the_sample_of_its_only_member() -> None:
    logits, records = make_logits(), RECORDS.copy()
    view = records.view(_native.RECORD)[:, 0]
    view["flags"] |= 1 << 5
    group: Any = fire.sample_group_with_logprobs(logits, STEPS, records, size=1)
    single: Any = fire.sample_with_logprobs(logits, STEPS, records)
    for ours, each in zip(group, single, strict=True):
        assert ours.reshape(ROWS).tobytes() == each.tobytes()


@pytest.mark.parametrize("row", range(ROWS))
def test_a_row_without_a_batch_has_a_group_and_a_code_without_one(row: int) -> None:
    logits, step, records = make_logits()[row], STEPS[row], designed()[row : row + 1]
    group = fire.sample_group(logits, step, records, size=3)
    assert np.array_equal(group, fire.sample_group(logits[None], step, records, size=3)[0])
    one: Any = fire.sample_group_with_logprobs(logits, step, records, size=3)
    batch: Any = fire.sample_group_with_logprobs(logits[None], step, records, size=3)
    for ours, of_batch in zip(one, batch, strict=True):
        assert ours.tobytes() == of_batch[0].tobytes()
    code = fire.first_code(step, records)
    assert code.shape == (1,)
    assert code.dtype == np.uint64
    expected = fire.sample_coded(logits[None], code, step, records)
    forms: list[Any] = [code, code[0], int(code[0]), code.view(np.int64), code.reshape(())]
    for form in forms:
        coded = fire.sample_coded(logits, form, step, records)
        assert isinstance(coded.token, np.int64)
        assert isinstance(coded.code, np.uint64)
        assert (coded.token, coded.code) == (expected.token[0], expected.code[0])


def test_the_first_code_draws_what_sample_draws_and_signed_codes_are_the_same_bits() -> None:
    logits, records = make_logits(), designed()
    code = fire.first_code(STEPS, records)
    token, following = fire.sample_coded(logits, code, STEPS, records)
    assert np.array_equal(token, fire.sample(logits, STEPS, records))
    assert following.dtype == np.uint64
    signed = fire.sample_coded(logits, code.view(np.int64), STEPS, records)
    assert np.array_equal(signed.code, following)
    spaced = np.stack([code, code * 3], axis=1)[:, 0]
    assert np.array_equal(fire.sample_coded(logits, spaced, STEPS, records).code, following)


def test_slots_and_configs_count_as_they_do_for_sample() -> None:
    records = designed()
    slot = np.array([5, 0, 9, -2, 3, 3, 1], np.int32)
    chosen = fire.first_code(0, records)[np.clip(slot, 0, ROWS - 1)]
    assert np.array_equal(fire.first_code(0, records, slot), chosen)
    assert np.array_equal(fire.first_code(np.zeros(7, np.int32), records, slot), chosen)
    config = SamplingConfig(seed=8, top_k=40)
    packed = fire.pack(config, rows=ROWS)
    assert np.array_equal(fire.first_code(STEPS, config), fire.first_code(STEPS, packed))
    assert np.array_equal(fire.first_code(0, CONFIGS), fire.first_code(0, RECORDS))
    logits = make_logits()
    assert np.array_equal(
        fire.sample_group(logits, 0, config, size=3), fire.sample_group(logits, 0, packed, size=3)
    )
    empty = fire.sample_group(np.zeros((0, 7), np.float32), 0, config, size=3)
    assert empty.shape == (0, 3)
    assert fire.first_code(0, RECORDS[:0]).shape == (0,)


def bad_first_codes() -> list[tuple[dict[str, Any], type[Exception], str]]:
    return [
        (dict(step=2.7), TypeError, "step is 2.7, expected a NumPy array of integers, or an integer"),
        (dict(step=STEPS[:3]), ValueError, "step has shape [3], expected [6], one a record, or [], one for"),
        (dict(step=STEPS[:, None]), ValueError, "step has shape [6, 1], expected [6], one a record, or []"),
        (dict(step=np.zeros(ROWS)), TypeError, "step has dtype float64, expected int32 or int64"),
        (dict(config=RECORDS[0]), ValueError, "records has shape [16], expected [S, 16] as made by"),
        (dict(config=RECORDS.astype(np.int64)), TypeError, "records has dtype int64, expected uint32 or int"),
        (dict(config=3), TypeError, "config is 3, expected a SamplingConfig, a sequence of them, or records"),
        (dict(config=SamplingConfig(), step=0), ValueError, "config is a single SamplingConfig beside one"),
        (dict(slot=[0] * ROWS), TypeError, "slot is of type list, expected a NumPy array"),
        (dict(slot=np.zeros(ROWS, np.int64)), TypeError, "slot has dtype int64, expected int32"),
        (dict(slot=np.zeros((ROWS, 1), np.int32)), ValueError, "slot has shape [6, 1], expected [R], one a"),
        (dict(slot=np.zeros(4, np.int32)), ValueError, "step has shape [6], expected [4], one a slot, or []"),
        (dict(config=RECORDS[:0], slot=np.zeros(6, np.int32)), ValueError, "records has S = 0, expected at"),
    ]


@pytest.mark.parametrize(("change", "error", "message"), bad_first_codes())
def test_a_bad_call_of_first_code_names_the_argument(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments: dict[str, Any] = dict(step=STEPS, config=RECORDS) | change
    with pytest.raises(error) as raised:
        fire.first_code(**arguments)
    assert str(raised.value).startswith(f"fire_sampling.numpy.first_code: {message}")


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ([0] * ROWS, TypeError, "code is of type list, expected a NumPy array"),
        (np.zeros(ROWS), TypeError, "code has dtype float64, expected uint64 or int64"),
        (np.zeros(ROWS, np.uint32), TypeError, "code has dtype uint32, expected uint64 or int64"),
        (np.zeros(3, np.uint64), ValueError, "code has shape [3], expected [6], one a row of logits"),
        (np.zeros((), np.uint64), ValueError, "code has shape [], expected [6], one a row of logits"),
    ],
)
def test_a_bad_code_is_named(code: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        fire.sample_coded(make_logits(), code, STEPS, RECORDS)
    assert str(raised.value) == f"fire_sampling.numpy.sample_coded: {message}"


@pytest.mark.parametrize("code", [-1, 2**64, 0.5])
def test_a_code_of_a_single_row_is_an_integer_of_64_bits(code: Any) -> None:
    expected = f"code is {code}, expected an integer from 0 to 2\\^64 - 1"
    with pytest.raises((TypeError, ValueError), match=expected):
        fire.sample_coded(make_logits()[0], code, 0, RECORDS[:1])


@pytest.mark.parametrize("size", [0, -1, 65537, 2.0, None])
def test_a_bad_size_of_a_group_is_named(size: Any) -> None:
    for function in (fire.sample_group, fire.sample_group_with_logprobs):
        with pytest.raises((TypeError, ValueError)) as raised:
            function(make_logits(), STEPS, RECORDS, size=size)
        name = f"fire_sampling.numpy.{function.__name__}"
        assert str(raised.value) == f"{name}: size is {size}, expected an integer from 1 to 65536"
