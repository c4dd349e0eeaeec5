"""What the NumPy entry says to wrong arguments: function, argument, what came, what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy_inputs import RECORDS, ROWS, STEPS, make_logits

from fire_sampling import SamplingConfig
from fire_sampling import numpy as fire


def bad_calls() -> list[tuple[str, dict[str, Any], type[Exception], str]]:
    logits = make_logits()
    wide = np.broadcast_to(np.float32(0), (6, 2**21 + 1))
    columns = np.asfortranarray(logits)
    slot = np.zeros(ROWS, np.int32)
    words = RECORDS.astype(np.int64)
    return [
        ("logits", dict(logits=[[1.0]]), TypeError, "is of type list, expected a NumPy array"),
        (
            "logits",
            dict(logits=logits.astype(np.float64)),
            TypeError,
            "has dtype float64, expected float32, bfloat16 or float16 "
            "(call logits.astype(numpy.float32) first)",
        ),
        (
            "logits",
            dict(logits=logits.astype(">f4")),
            TypeError,
            "has dtype >f4, float32 in a foreign byte order, expected this machine's",
        ),
        ("logits", dict(logits=logits.view(np.uint32)), TypeError, "has dtype uint32, expected float32"),
        (
            "logits",
            dict(logits=logits[None]),
            ValueError,
            "has shape [1, 6, 517], expected [R, V], or [V] for a single row",
        ),
        ("step", dict(logits=logits[0]), ValueError, "has shape [6], expected [1], one a row of logits, or"),
        (
            "logits",
            dict(logits=logits[:, :0]),
            ValueError,
            "has shape [6, 0], expected [R, V] with 1 <= V",
        ),
        (
            "logits",
            dict(logits=wide),
            ValueError,
            "has shape [6, 2097153]",
        ),
        (
            "logits",
            dict(logits=logits[:, ::2]),
            ValueError,
            "has a stride of 8 bytes along V, expected 4 (call numpy.ascontiguousarray(logits) first)",
        ),
        (
            "logits",
            dict(logits=columns),
            ValueError,
            "has a stride of 24 bytes along V, expected 4",
        ),
        (
            "logits",
            dict(logits=np.zeros(6, np.dtype([("row", "f4", (5,)), ("tail", "u1")]))["row"]),
            ValueError,
            "has a row stride of 21 bytes, expected a multiple of 4",
        ),
        ("step", dict(step=[0] * 6), TypeError, "is of type list, expected a NumPy array of integers, or an"),
        (
            "step",
            dict(step=2.7),
            TypeError,
            "is 2.7, expected a NumPy array of integers, or an integer of 64",
        ),
        ("step", dict(step=np.float64(2)), TypeError, "is np.float64(2.0), expected"),
        ("step", dict(step=True), TypeError, "is True, expected"),
        ("step", dict(step=None), TypeError, "is None, expected"),
        ("step", dict(step="2"), TypeError, "is '2', expected"),
        ("step", dict(step=2**63), ValueError, "is 9223372036854775808, expected a NumPy array of integers"),
        ("step", dict(step=-(2**63) - 1), ValueError, "is -9223372036854775809, expected"),
        ("step", dict(step=np.uint64(2**63)), ValueError, "is 9223372036854775808, expected"),
        (
            "config",
            dict(config=torch.zeros(6, 16, dtype=torch.int32)),
            TypeError,
            "is of type Tensor, records of the other entry; use fire_sampling.numpy.pack",
        ),
        (
            "config",
            dict(config=3),
            TypeError,
            "is 3, expected a SamplingConfig, a sequence of them, or records made by fire_sampling.numpy",
        ),
        ("config", dict(config=[3]), TypeError, "is a list of int, expected a SamplingConfig, a sequence of"),
        ("step", dict(step=np.zeros(6)), TypeError, "has dtype float64, expected int32 or int64"),
        ("step", dict(step=np.zeros(6, np.uint64)), TypeError, "has dtype uint64, expected int32 or int64"),
        (
            "step",
            dict(step=np.zeros(5, np.int64)),
            ValueError,
            "has shape [5], expected [6], one a row of logits, or [], one for all",
        ),
        ("step", dict(step=np.zeros((6, 1), np.int64)), ValueError, "has shape [6, 1], expected [6]"),
        (
            "records",
            dict(config=words),
            TypeError,
            "has dtype int64, expected uint32 or int32",
        ),
        (
            "records",
            dict(config=RECORDS[:, :15]),
            ValueError,
            "has shape [6, 15], expected [S, 16] as made by fire_sampling.numpy.pack",
        ),
        ("records", dict(config=RECORDS[0]), ValueError, "has shape [16], expected [S, 16]"),
        (
            "records",
            dict(config=RECORDS[:1]),
            ValueError,
            "has S = 1 for R = 6 rows of logits, expected a record for each row "
            "(fire_sampling.numpy.pack(config, rows=6) makes them, each with a seed of its own) "
            "or a slot that names each row's record",
        ),
        (
            "records",
            dict(config=RECORDS[:0], slot=slot),
            ValueError,
            "has S = 0, expected at least one record for slot to choose from",
        ),
        ("slot", dict(slot=[0] * 6), TypeError, "is of type list, expected a NumPy array"),
        ("slot", dict(slot=slot.astype(np.int64)), TypeError, "has dtype int64, expected int32"),
        ("slot", dict(slot=slot[:5]), ValueError, "has shape [5], expected [6], one a row of logits"),
        (
            "slot",
            dict(config=SamplingConfig(), slot=slot),
            ValueError,
            "comes with a single SamplingConfig, expected a sequence of them or the records that",
        ),
    ]


FUNCTIONS = (
    "sample",
    "sample_with_logprobs",
    "sample_with_support",
    "process_logits",
    "log_prob",
    "sample_group",
    "sample_group_with_logprobs",
    "sample_coded",
)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("argument", "change", "error", "message"), bad_calls())
def test_a_bad_call_names_the_function_the_argument_what_came_and_what_was_expected(
    function: str, argument: str, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments: dict[str, Any] = dict(logits=make_logits(), step=STEPS, config=RECORDS) | change
    if function == "log_prob":
        arguments["token"] = np.zeros(ROWS, np.int64)
    if function == "sample_coded":
        arguments["code"] = np.zeros(ROWS, np.uint64)
    if function.startswith("sample_group"):
        arguments["size"] = 2
    if function == "sample_with_support":
        arguments["width"] = 4
    with pytest.raises(error) as raised:
        getattr(fire, function)(**arguments)
    assert str(raised.value).startswith(f"fire_sampling.numpy.{function}: {argument} {message}")


@pytest.mark.parametrize(
    ("token", "error", "message"),
    [
        ([0] * 6, TypeError, "token is of type list, expected a NumPy array"),
        (np.zeros(ROWS, np.int32), TypeError, "token has dtype int32, expected int64"),
        (np.zeros(3, np.int64), ValueError, "token has shape [3], expected [6], one a row of logits"),
        (np.array(0), ValueError, "token has shape [], expected [6], one a row of logits"),
    ],
)
def test_a_bad_token_is_named(token: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        fire.log_prob(make_logits(), token, STEPS, RECORDS)
    assert str(raised.value) == f"fire_sampling.numpy.log_prob: {message}"
