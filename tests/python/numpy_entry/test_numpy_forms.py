"""What callers bring: byte order spelt out, one row without a batch, masks, threads that outlive Python."""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import RunPython
from numpy_inputs import CONFIGS, RECORDS, ROWS, STEPS, VOCABULARY, Array, make_logits

from fire_sampling import SamplingConfig, Status
from fire_sampling import numpy as fire

NATIVE, FOREIGN = ("<", ">") if np.little_endian else (">", "<")


def spelled(array: Array, order: str) -> Array:
    """The same memory, its dtype's byte order written as `order`."""
    return array.view(array.dtype.newbyteorder(order))  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [NATIVE, "=", "|"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_arrays_that_spell_out_this_machines_byte_order_are_read_as_any_other(order: str, dtype: Any) -> None:
    logits, slot = make_logits(dtype), np.arange(ROWS, dtype=np.int32)
    expected = fire.sample(logits, STEPS, RECORDS)
    logprob = fire.log_prob(logits, expected, STEPS, RECORDS)
    for steps in (STEPS, STEPS.astype(np.int32)):
        for records in (RECORDS, RECORDS.view(np.int32)):
            arguments = [spelled(array, order) for array in (logits, steps, records, slot)]
            drawn = fire.sample(*arguments)
            if steps is STEPS:
                assert np.array_equal(drawn, expected)
    ours = fire.log_prob(spelled(logits, order), spelled(expected, order), STEPS, RECORDS)
    assert np.array_equal(ours, logprob)


def test_a_bfloat16_of_a_foreign_byte_order_is_named_too() -> None:
    with pytest.raises(TypeError, match="bfloat16 in a foreign byte order"):
        fire.sample(spelled(make_logits(ml_dtypes.bfloat16), FOREIGN), STEPS, RECORDS)


def test_a_pointer_to_floats_is_sampled_without_a_copy() -> None:
    logits = make_logits()
    pointer = logits.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    array = np.ctypeslib.as_array(pointer, shape=logits.shape)
    assert np.array_equal(fire.sample(array, STEPS, RECORDS), fire.sample(logits, STEPS, RECORDS))


@pytest.mark.parametrize(
    ("argument", "dtype"),
    [
        ("logits", "float32"),
        ("logits", "float16"),
        ("step", "int64"),
        ("step", "int32"),
        ("config", "uint32"),
        ("slot", "int32"),
        ("token", "int64"),
    ],
)
def test_a_foreign_byte_order_is_named_and_how_to_convert_it(argument: str, dtype: str) -> None:
    arguments: dict[str, Any] = dict(
        logits=make_logits(),
        token=np.zeros(ROWS, np.int64),
        step=STEPS,
        config=RECORDS,
        slot=np.zeros(ROWS, np.int32),
    )
    foreign = arguments[argument].astype(np.dtype(dtype).newbyteorder(FOREIGN))  # type: ignore[arg-type]
    name = {"config": "records"}.get(argument, argument)
    with pytest.raises(TypeError) as raised:
        fire.log_prob(**arguments | {argument: foreign})
    assert str(raised.value) == (
        f"fire_sampling.numpy.log_prob: {name} has dtype {foreign.dtype}, {dtype} in a foreign byte order, "
        f'expected this machine\'s ({name}.astype("{dtype}") converts it)'
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("row", range(ROWS))
def test_a_row_without_a_batch_gives_what_a_batch_of_one_row_gives(row: int, dtype: Any) -> None:
    logits, step, records = make_logits(dtype)[row], STEPS[row], RECORDS[row : row + 1]
    one = (logits[None], STEPS[row : row + 1], records)
    token = fire.sample(logits, step, records)
    assert isinstance(token, np.int64)
    assert token == fire.sample(*one)[0]
    drawn, expected = fire.sample_with_logprobs(logits, step, records), fire.sample_with_logprobs(*one)
    for value, array in zip(drawn, expected, strict=True):
        assert isinstance(value, np.generic)
        assert value.dtype == array.dtype
        assert value.tobytes() == array.tobytes()
    assert Status(int(drawn.status)) == Status(int(expected.status[0]))
    processed = fire.process_logits(logits, step, records)
    assert processed.shape == (VOCABULARY,)
    assert processed.tobytes() == fire.process_logits(*one).tobytes()
    logprob = fire.log_prob(logits, token, step, records)
    assert isinstance(logprob, np.float32)
    assert logprob == fire.log_prob(logits[None], token[None], step, records)[0]


def test_a_row_without_a_batch_takes_its_arguments_with_or_without_a_dimension() -> None:
    logits, slot = make_logits()[0], np.array([3], np.int32)
    expected = fire.sample(logits[None], 5, RECORDS, slot)[0]
    for step in (5, np.int32(5), np.array(5), np.array([5])):
        for where in (slot, slot[0:1].reshape(())):
            assert fire.sample(logits, step, RECORDS, where) == expected
    tokens: list[Any] = [int(expected), expected, np.array(expected), np.array([expected])]
    for token in tokens:
        assert fire.log_prob(logits, token, 5, RECORDS, slot) == fire.log_prob(
            logits[None], np.array([expected]), 5, RECORDS, slot
        )


def test_a_config_for_a_row_without_a_batch_is_packed_once_and_not_once_a_logit() -> None:
    logits, config = make_logits()[0], SamplingConfig(seed=8, top_k=40)
    assert fire.sample(logits, 0, config) == fire.sample(logits[None], 0, config)[0]
    assert fire.sample(logits, 0, [CONFIGS[1]]) == fire.sample(logits[None], 0, [CONFIGS[1]])[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(step=np.zeros(2, np.int64)), "step has shape [2], expected [1], one a row of logits, or []"),
        (dict(config=RECORDS), "records has S = 6 for R = 1 rows of logits, expected a record for each row"),
        (dict(token=np.zeros(VOCABULARY, np.int64)), "token has shape [517], expected [1], one a row"),
        (dict(token=2**63), "token is 9223372036854775808, expected an integer of 64 bits, the token"),
        (dict(logits=np.zeros((), np.float32)), "logits has shape [], expected [R, V], or [V]"),
        (dict(logits=np.zeros((1, 1, 5), np.float32)), "logits has shape [1, 1, 5], expected [R, V], or [V]"),
        (dict(logits=make_logits()[0, ::2]), "logits has a stride of 8 bytes along V, expected 4"),
        (dict(logits=np.zeros(0, np.float32)), "logits has shape [0], expected [R, V] with 1 <= V"),
    ],
)
def test_what_does_not_fit_a_row_without_a_batch_is_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = dict(logits=make_logits()[0], token=0, step=0, config=RECORDS[:1])
    with pytest.raises(ValueError, match="log_prob") as raised:
        fire.log_prob(**arguments | change)
    assert str(raised.value).startswith(f"fire_sampling.numpy.log_prob: {message}")


@pytest.mark.parametrize("argument", ["logits", "step", "config", "slot", "token"])
def test_a_masked_array_is_refused_and_does_not_lose_its_mask_without_a_word(argument: str) -> None:
    arguments: dict[str, Any] = dict(
        logits=make_logits(),
        token=np.zeros(ROWS, np.int64),
        step=STEPS,
        config=RECORDS,
        slot=np.zeros(ROWS, np.int32),
    )
    name = {"config": "records"}.get(argument, argument)
    hint = " (logits.filled(-numpy.inf) has tokens that are never drawn)" if argument == "logits" else ""
    with pytest.raises(TypeError) as raised:
        fire.log_prob(**arguments | {argument: np.ma.masked_array(arguments[argument])})
    assert str(raised.value) == (
        f"fire_sampling.numpy.log_prob: {name} is a masked array, whose mask would be lost; "
        f"expected one without{hint}"
    )


def test_logits_filled_as_the_refusal_of_a_mask_says_are_never_drawn() -> None:
    masked = np.ma.masked_array(make_logits())
    masked[:, 3:] = np.ma.masked
    assert fire.sample(masked.filled(-np.inf), STEPS, RECORDS).max() < 3


# Every function in turn on a thread that Python does not wait for; the main thread ends while one is at work.
ENDS_WHILE_A_THREAD_SAMPLES = """
import sys, threading, time
import numpy as np
from fire_sampling import SamplingConfig, numpy as fire

logits = np.zeros((64, 100_000), np.float32)
records = fire.pack(SamplingConfig(seed=1, top_p=0.9), rows=64)
token = np.zeros(64, np.int64)
calls = {
    "sample": lambda: fire.sample(logits, 1, records),
    "sample_with_logprobs": lambda: fire.sample_with_logprobs(logits, 1, records),
    "sample_with_support": lambda: fire.sample_with_support(logits, 1, records, width=64),
    "process_logits": lambda: fire.process_logits(logits, 1, records),
    "log_prob": lambda: fire.log_prob(logits, token, 1, records),
    "sample_group": lambda: fire.sample_group(logits, 1, records, size=64),
    "sample_coded": lambda: fire.sample_coded(logits, token, 1, records),
    "first_code": lambda: fire.first_code(1, np.tile(records, (1000, 1))),
    "support_log_prob": lambda: fire.support_log_prob(logits, token, token[:, None].astype(np.int32), 1.0),
}
call = calls[sys.argv[1]]
begun = threading.Event()

def work():
    while True:
        begun.set()
        call()

threading.Thread(target=work, daemon=True).start()
begun.wait()
time.sleep(0.05)
"""


@pytest.mark.parametrize(
    "function",
    [
        "sample",
        "sample_with_logprobs",
        "sample_with_support",
        "process_logits",
        "log_prob",
        "sample_group",
        "sample_coded",
        "first_code",
        "support_log_prob",
    ],
)
def test_a_daemon_thread_still_sampling_does_not_abort_the_process_at_its_end(
    run_python: RunPython, function: str
) -> None:
    child = run_python("-c", ENDS_WHILE_A_THREAD_SAMPLES, function)
    assert (child.returncode, child.stderr) == (0, "")
