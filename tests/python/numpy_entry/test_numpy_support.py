"""Supports of the NumPy entry; tests/python/operators compares their bits with torch's."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from numpy_inputs import RECORDS, ROWS, STEPS, VOCABULARY, make_logits

import fire_sampling
from fire_sampling import SamplingConfig, Status
from fire_sampling import numpy as fire


def test_the_outputs_of_both_entries_are_those_of_a_sample_and_two_more() -> None:
    hints = get_type_hints(fire.SampleWithSupport)
    dtypes = {name: get_args(get_args(hint)[1])[0].__name__ for name, hint in hints.items()}
    names = (*fire.SampleWithLogprobs._fields, "support", "support_logprob")
    assert tuple(dtypes) == fire_sampling.SampleWithSupport._fields == names
    drawn = fire.sample_with_support(make_logits(), STEPS, RECORDS, width=4)
    assert {name: str(array.dtype) for name, array in drawn._asdict().items()} == dtypes


def test_a_support_is_what_process_logits_keeps() -> None:
    logits = make_logits()
    drawn = fire.sample_with_support(logits, STEPS, RECORDS, width=VOCABULARY + 3)
    alone = fire.sample_with_logprobs(logits, STEPS, RECORDS)
    for name, wanted in alone._asdict().items():
        assert getattr(drawn, name).tobytes() == wanted.tobytes()
    processed = fire.process_logits(logits, STEPS, RECORDS)
    for row in range(ROWS):
        kept = np.isfinite(processed[row]).nonzero()[0]
        assert drawn.support[row].tolist() == kept.tolist() + [-1] * (VOCABULARY + 3 - len(kept))
        assert (drawn.support_logprob[row, len(kept) :] == -np.inf).all()
        at_token = drawn.support[row] == drawn.token[row]
        assert drawn.support_logprob[row, at_token].tolist() == [drawn.logprob[row]]


def test_a_cut_support_says_so_and_holds_the_drawn_token() -> None:
    drawn = fire.sample_with_support(make_logits(), STEPS, RECORDS, width=2)
    cut = (drawn.status & Status.SUPPORT_CUT) != 0
    assert cut.tolist() == (drawn.kept > 2).tolist()
    assert cut.any()
    assert ((drawn.support == drawn.token[:, None]).sum(axis=1) == 1).all()


@pytest.mark.parametrize("row", range(ROWS))
def test_a_row_without_a_batch_has_a_support_without_one(row: int) -> None:
    logits, step, records = make_logits()[row], STEPS[row], RECORDS[row : row + 1]
    one: Any = fire.sample_with_support(logits, step, records, width=5)
    batch: Any = fire.sample_with_support(logits[None], step, records, width=5)
    assert one.support.shape == one.support_logprob.shape == (5,)
    for ours, of_batch in zip(one, batch, strict=True):
        assert ours.tobytes() == of_batch[0].tobytes()


def test_configs_and_no_rows_count_as_they_do_for_sample() -> None:
    logits, config = make_logits(), SamplingConfig(seed=8, top_k=40)
    ours: Any = fire.sample_with_support(logits, 0, config, width=40, reference=False)
    packed: Any = fire.sample_with_support(logits, 0, fire.pack(config, rows=ROWS), width=40, reference=False)
    for a, b in zip(ours, packed, strict=True):
        assert a.tobytes() == b.tobytes()
    assert np.isnan(ours.ref_logprob).all()
    empty = fire.sample_with_support(np.zeros((0, 7), np.float32), 0, config, width=3)
    assert [output.shape for output in empty] == [(0,)] * 6 + [(0, 3)] * 2


@pytest.mark.parametrize("width", [0, -1, 2**21 + 1, 2.0, None, True])
def test_a_bad_width_is_named(width: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        fire.sample_with_support(make_logits(), STEPS, RECORDS, width=width)
    name = "fire_sampling.numpy.sample_with_support"
    assert str(raised.value) == f"{name}: width is {width}, expected an integer from 1 to 2097152"
