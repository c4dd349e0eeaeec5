"""`fire_sampling.numpy.support_log_prob`: the operator's bits, and what it says to wrong arguments."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from numpy_inputs import make_logits
from support_inputs import make_support_inputs

import fire_sampling
from fire_sampling import numpy as fire

DTYPES = {np.float32: torch.float32, np.float16: torch.float16, ml_dtypes.bfloat16: torch.bfloat16}


def make_arguments(dtype: Any = np.float32) -> dict[str, Any]:
    logits, token, support, temperature = make_support_inputs(dtype=DTYPES[dtype])
    array = logits.float().numpy().astype(dtype)
    return dict(logits=array, token=token.numpy(), support=support.numpy(), temperature=temperature.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_equals_the_operator_bit_for_bit(dtype: Any) -> None:
    expected = fire_sampling.support_log_prob(*make_support_inputs(dtype=DTYPES[dtype]))
    found = fire.support_log_prob(**make_arguments(dtype))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.numpy().dtype
        assert ours.tobytes() == theirs.numpy().tobytes()


def test_rows_with_gaps_and_strided_arguments_are_read_as_their_copies() -> None:
    plain = make_arguments()
    expected = fire.support_log_prob(**plain)
    wide = {name: np.repeat(plain[name], 2, axis=0)[::2] for name in plain}
    for ours, theirs in zip(fire.support_log_prob(**wide), expected, strict=True):
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("row", range(9))
def test_a_row_without_a_batch_gives_scalars(row: int) -> None:
    arguments = make_arguments()
    expected = fire.support_log_prob(**arguments)
    alone: dict[str, Any] = {name: values[row] for name, values in arguments.items()}
    for token in (alone["token"], int(alone["token"]), alone["token"][None]):
        for temperature in (alone["temperature"], float(alone["temperature"]), alone["temperature"][None]):
            found = fire.support_log_prob(**alone | {"token": token, "temperature": temperature})
            for ours, theirs in zip(found, expected, strict=True):
                assert isinstance(ours, np.generic)
                assert ours.tobytes() == theirs[row].tobytes()


def test_no_rows_give_empty_results() -> None:
    empty = {name: values[:0] for name, values in make_arguments().items()}
    assert [len(values) for values in fire.support_log_prob(**empty)] == [0, 0, 0]


A_NUMBER = "expected a finite number of at least 2^-64, or a NumPy array of float32"
PLACES = "expected [9, width], the places of each row of logits"
IDS = "expected ids from 0 to 60 in ascending order, then -1"
BAD_CALLS: list[tuple[str, Any, type[Exception], str]] = [
    ("logits", [[0.0]], TypeError, "is of type list, expected a NumPy array"),
    ("logits", torch.zeros(9, 61), TypeError, "is of type Tensor, expected a NumPy array"),
    ("logits", np.zeros((9, 61)), TypeError, "has dtype float64, expected float32, bfloat16 or float16"),
    ("logits", np.zeros((1, 9, 61), np.float32), ValueError, "has shape [1, 9, 61], expected [R, V], or [V]"),
    ("token", [0] * 9, TypeError, "is of type list, expected a NumPy array"),
    ("token", np.zeros(9, np.int32), TypeError, "has dtype int32, expected int64"),
    ("token", np.zeros(8, np.int64), ValueError, "has shape [8], expected [9], one a row of logits"),
    ("support", [[0]] * 9, TypeError, "is of type list, expected a NumPy array"),
    ("support", np.zeros((9, 2), np.int64), TypeError, "has dtype int64, expected int32"),
    ("support", np.zeros(9, np.int32), ValueError, f"has shape [9], {PLACES}"),
    ("support", np.zeros((8, 1), np.int32), ValueError, f"has shape [8, 1], {PLACES}"),
    (
        "support",
        np.zeros((9, 0), np.int32),
        ValueError,
        f"has shape [9, 0], {PLACES} with 1 <= width <= 2097152",
    ),
    ("support", np.ma.masked_array(np.zeros((9, 1), np.int32)), TypeError, "is a masked array, whose mask"),
    ("support", np.full((9, 1), 61, np.int32), ValueError, f"of row 0 has 61 in place 0, {IDS}"),
    ("support", np.ones((9, 2), np.int32), ValueError, f"of row 0 has 1 behind 1 in place 1, {IDS}"),
    ("temperature", "1", TypeError, f"is '1', {A_NUMBER}"),
    ("temperature", [1.0] * 9, TypeError, f"is of type list, {A_NUMBER}"),
    ("temperature", 0, ValueError, f"is 0, {A_NUMBER}"),
    ("temperature", np.zeros(9), TypeError, "has dtype float64, expected float32"),
    (
        "temperature",
        np.ones(8, np.float32),
        ValueError,
        "has shape [8], expected [9], one a row of logits, or []",
    ),
    (
        "temperature",
        np.array([1, 1, 1, 1, 1, -2, 1, 1, 0], np.float32),
        ValueError,
        "of row 5 is -2, expected a finite one of at least 2^-64",
    ),
]


@pytest.mark.parametrize(("argument", "value", "error", "message"), BAD_CALLS)
def test_a_wrong_argument_is_refused_by_name(
    argument: str, value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        fire.support_log_prob(**make_arguments() | {argument: value})
    assert str(caught.value).startswith(f"fire_sampling.numpy.support_log_prob: {argument} {message}")


def test_a_row_without_a_batch_has_a_support_without_one() -> None:
    logits = make_logits()[0]
    with pytest.raises(ValueError, match="support_log_prob") as caught:
        fire.support_log_prob(logits, 3, np.zeros((1, 2), np.int32), 1.0)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "fire_sampling.numpy.support_log_prob: support has shape [1, 2], expected [width], the places of the "
        "row"
    )
