"""What the operators return, whatever the layout of their arguments."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from backends import DEVICE, on_device, pack
from operator_inputs import (
    CONFIGS,
    DTYPES,
    GROUP,
    OPERATORS,
    READING,
    WIDTH,
    Inputs,
    arguments_of,
    assert_as_on_the_cpu,
    assert_same_bits,
    make_inputs,
    results_of,
)

import fire_sampling.numpy as fire_numpy
from fire_sampling import selftest

pytestmark = pytest.mark.every_backend

SLOT_OUT_OF_RANGE = 1 << 5

RESULT_DTYPES = {
    "sample": (torch.int64,),
    "sample_with_logprobs": (
        torch.int64,
        torch.float32,
        torch.float32,
        torch.int32,
        torch.int32,
        torch.int32,
    ),
    "process_logits": (torch.float32,),
    "sample_group": (torch.int64,),
    "heat_logits_": (torch.float32,),
    "log_prob": (torch.float32,),
    "sample_coded": (torch.int64, torch.int64),
    "first_code": (torch.int64,),
}
RESULT_DTYPES["sample_group_with_logprobs"] = RESULT_DTYPES["sample_with_logprobs"]
RESULT_DTYPES["sample_with_support"] = (*RESULT_DTYPES["sample_with_logprobs"], torch.int32, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATORS)
def test_results_have_the_documented_shapes_and_dtypes(name: str, dtype: torch.dtype) -> None:
    inputs = make_inputs(rows=5, vocabulary=40, dtype=dtype)
    results = results_of(name, arguments_of(name, inputs))
    assert tuple(result.dtype for result in results) == RESULT_DTYPES.get(name, (dtype,))
    shapes = {
        **{whole: [(5, 40)] for whole in ("process_logits", "heat_logits_", "log_prob_backward")},
        "sample_group": [(5, GROUP)],
        "sample_group_with_logprobs": [(5, GROUP)] * 4 + [(5,)] * 2,
        "sample_with_support": [(5,)] * 6 + [(5, WIDTH)] * 2,
    }
    assert [result.shape for result in results] == shapes.get(name, [(5,)] * len(results))


@pytest.mark.parametrize("dtype", DTYPES[::2])
def test_the_operators_equal_the_numpy_entry_bit_for_bit(dtype: torch.dtype) -> None:
    inputs = make_inputs(rows=40, vocabulary=300, dtype=dtype)
    arrays = [tensor.numpy(force=True) for tensor in inputs]
    assert_as_on_the_cpu(
        results_of("sample_with_logprobs", inputs),
        tuple(map(torch.from_numpy, fire_numpy.sample_with_logprobs(*arrays))),
    )
    assert_as_on_the_cpu(
        results_of("sample_group_with_logprobs", inputs),
        tuple(map(torch.from_numpy, fire_numpy.sample_group_with_logprobs(*arrays, size=GROUP))),
    )
    assert_as_on_the_cpu(
        results_of("sample_with_support", inputs),
        tuple(map(torch.from_numpy, fire_numpy.sample_with_support(*arrays, width=WIDTH))),
    )
    for name in ("sample", "process_logits"):
        expected = getattr(fire_numpy, name)(*arrays)
        assert_as_on_the_cpu(results_of(name, inputs), (torch.from_numpy(expected),))
    grouped = fire_numpy.sample_group(*arrays, size=GROUP)
    assert_same_bits(results_of("sample_group", inputs), on_device(torch.from_numpy(grouped)))
    codes = [
        fire_numpy.first_code(*arrays[1:]),
        *fire_numpy.sample_coded(*(a.numpy(force=True) for a in arguments_of("sample_coded", inputs))),
    ]
    assert_same_bits(
        (
            *results_of("first_code", inputs[1:]),
            *results_of("sample_coded", arguments_of("sample_coded", inputs)),
        ),
        on_device(*(torch.from_numpy(code.view(np.int64)) for code in codes)),
    )
    arguments = arguments_of("log_prob", inputs)
    expected = fire_numpy.log_prob(*(argument.numpy(force=True) for argument in arguments))
    assert_as_on_the_cpu(results_of("log_prob", arguments), (torch.from_numpy(expected),))


@pytest.mark.parametrize(
    "name",
    ["sample", "sample_with_logprobs", "sample_with_support", "sample_group", "sample_group_with_logprobs"],
)
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_a_16_bit_row_gives_the_token_of_its_float32_copy(name: str, dtype: torch.dtype) -> None:
    inputs = make_inputs(rows=40, vocabulary=300, dtype=dtype)
    assert_same_bits(
        results_of(name, inputs), results_of(name, inputs._replace(logits=inputs.logits.float()))
    )


@pytest.mark.parametrize("name", OPERATORS)
def test_a_row_does_not_depend_on_the_rows_beside_it(name: str) -> None:
    inputs = make_inputs(rows=11)
    batch = results_of(name, arguments_of(name, inputs))
    for row in range(11):
        arguments = tuple(argument[row : row + 1] for argument in arguments_of(name, inputs))
        assert_same_bits(results_of(name, arguments), tuple(result[row : row + 1] for result in batch))


@pytest.mark.parametrize("dtype", selftest.DTYPES)
def test_the_table_of_answers_holds_on_this_backend(dtype: str) -> None:
    draw = functools.partial(selftest.draw_with_torch, device=DEVICE)
    table = json.loads(selftest.ANSWERS.read_text())
    for name, answer in selftest.answers(draw, (dtype,)):
        assert answer == table[name], name


def strided(tensor: torch.Tensor) -> torch.Tensor:
    """An equal 1-D tensor with stride 3."""
    return torch.stack([tensor, tensor, tensor], dim=1)[:, 1]


def padded(logits: torch.Tensor) -> torch.Tensor:
    """Equal logits in a padded vocabulary, from an address that is aligned to one element only."""
    rows, vocabulary = logits.shape
    store = torch.full((rows, vocabulary + 8), torch.inf, dtype=logits.dtype)
    store[:, 1 : vocabulary + 1] = logits
    return store[:, 1 : vocabulary + 1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATORS)
def test_strides_and_an_unaligned_base_change_nothing(name: str, dtype: torch.dtype) -> None:
    arguments = arguments_of(name, make_inputs(dtype=dtype))
    cfg = arguments[-1]
    laid_out = tuple(
        padded(argument) if argument.dim() == 2 else strided(argument) for argument in arguments[:-1]
    )
    assert_same_bits(
        results_of(name, (*laid_out, cfg)), results_of(name, arguments_of(name, make_inputs(dtype=dtype)))
    )


def test_heat_logits_leaves_the_padding_between_rows_alone() -> None:
    logits, step, cfg = make_inputs()
    heated = padded(logits)
    torch.ops.fire.heat_logits_(heated, step * 0, cfg)
    store = heated.as_strided((9, 61 + 8), (61 + 8, 1), storage_offset=0)
    assert not torch.equal(heated, logits)
    assert torch.isposinf(store[:, :1]).all()
    assert torch.isposinf(store[:, 62:]).all()


@pytest.mark.parametrize("name", [*READING, "log_prob", "sample_coded"])
def test_one_row_expanded_is_read_as_many_rows(name: str) -> None:
    logits, step, cfg = make_inputs()
    expanded = logits[:1].expand(9, -1)
    assert expanded.stride() == (0, 1)
    assert_same_bits(
        results_of(name, arguments_of(name, Inputs(expanded, step, cfg))),
        results_of(name, arguments_of(name, Inputs(expanded.contiguous(), step, cfg))),
    )


@pytest.mark.parametrize("name", OPERATORS)
def test_a_vocabulary_of_one_may_have_any_stride(name: str) -> None:
    logits, step, cfg = make_inputs(rows=4, vocabulary=1)
    apart = torch.zeros(4, 7)
    apart[:, 3] = logits[:, 0]
    apart = apart.as_strided((4, 1), (7, 5), storage_offset=3)
    assert_same_bits(
        results_of(name, arguments_of(name, Inputs(apart, step, cfg))),
        results_of(name, arguments_of(name, Inputs(logits, step, cfg))),
    )


@pytest.mark.parametrize("with_slot", [False, True])
@pytest.mark.parametrize("name", OPERATORS)
def test_no_rows_give_empty_results(name: str, with_slot: bool) -> None:
    slot = torch.zeros(0, dtype=torch.int32) if with_slot else None
    records = make_inputs(rows=3).cfg if with_slot else torch.zeros(0, 16, dtype=torch.int32)
    inputs = Inputs(torch.zeros(0, 61), torch.zeros(0, dtype=torch.int64), records)
    for result in results_of(name, arguments_of(name, inputs), slot=slot):
        assert result.shape[0] == 0


@pytest.mark.parametrize("name", OPERATORS)
def test_int32_steps_equal_int64_steps(name: str) -> None:
    inputs = make_inputs()
    narrow = inputs._replace(step=inputs.step.int())
    assert_same_bits(
        results_of(name, arguments_of(name, narrow)), results_of(name, arguments_of(name, inputs))
    )


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("name", OPERATORS)
def test_a_0d_step_counts_for_every_row(name: str, dtype: torch.dtype) -> None:
    inputs = make_inputs()
    shared = inputs._replace(step=torch.tensor(2, dtype=dtype))
    each = inputs._replace(step=torch.full((9,), 2))
    assert_same_bits(results_of(name, arguments_of(name, shared)), results_of(name, arguments_of(name, each)))


@pytest.mark.parametrize("name", OPERATORS)
def test_slot_chooses_the_record_of_each_row(name: str) -> None:
    inputs = make_inputs()
    slot = torch.tensor([3, 3, 0, 6, 1, 2, 5, 4, 0], dtype=torch.int32)
    records = pack(list(CONFIGS))
    gathered = results_of(name, arguments_of(name, inputs._replace(cfg=records[slot.long()])))
    for indices in (slot, strided(slot)):
        arguments = arguments_of(name, inputs._replace(cfg=records))
        assert_same_bits(results_of(name, arguments, slot=indices), gathered)


def test_a_slot_out_of_range_is_clamped_and_reported() -> None:
    inputs = make_inputs(rows=4)
    records = pack(list(CONFIGS))
    slot = torch.tensor([-1, 7, 2**31 - 1, 6], dtype=torch.int32)
    clamped = slot.clamp(0, 6)
    *results, status = torch.ops.fire.sample_with_logprobs(inputs.logits, inputs.step, records, slot)
    *expected, plain = torch.ops.fire.sample_with_logprobs(inputs.logits, inputs.step, records, clamped)
    assert_same_bits(tuple(results), tuple(expected))
    assert ((status ^ plain) == torch.tensor([SLOT_OUT_OF_RANGE] * 3 + [0])).all()


@pytest.mark.parametrize(
    "name", ["sample_with_logprobs", "sample_group_with_logprobs", "sample_with_support"]
)
def test_without_reference_only_ref_logprob_and_rank_are_missing(name: str) -> None:
    inputs = make_inputs()
    full = results_of(name, inputs)
    token, logprob, ref_logprob, rank, *others = results_of(name, inputs, reference=False)
    assert_same_bits((token, logprob, *others), (full[0], full[1], *full[4:]))
    assert ref_logprob.isnan().all()
    assert (rank == -1).all()


@pytest.mark.parametrize("name", OPERATORS)
def test_autocast_leaves_the_operators_alone(name: str) -> None:
    inputs = make_inputs()
    expected = results_of(name, arguments_of(name, inputs))
    with torch.autocast(torch.device(DEVICE).type, dtype=torch.bfloat16):
        assert_same_bits(results_of(name, arguments_of(name, inputs)), expected)


@pytest.mark.parametrize("name", OPERATORS)
def test_inference_mode_changes_nothing(name: str) -> None:
    expected = results_of(name, arguments_of(name, make_inputs()))
    outside = arguments_of(name, make_inputs())
    with torch.inference_mode():
        assert_same_bits(results_of(name, outside), expected)
        assert_same_bits(results_of(name, arguments_of(name, make_inputs())), expected)


@pytest.mark.parametrize("name", OPERATORS)
def test_meta_tensors_give_the_results_layout(name: str) -> None:
    inputs = make_inputs()
    real = results_of(name, arguments_of(name, inputs))
    slot = torch.zeros(9, dtype=torch.int32, device="meta")
    for keywords in ({}, {"slot": slot}):
        arguments = tuple(argument.to("meta") for argument in arguments_of(name, inputs))
        for result, expected in zip(results_of(name, arguments, **keywords), real, strict=True):
            assert result.device.type == "meta"
            assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
            assert result.stride() == expected.stride()


# The library's own pool is told to be large, so that a single use of it would show.
THREADS_PROGRAM = """
import os, torch, fire_sampling as fire
torch.set_num_threads({threads})
logits = torch.randn(64, 4096)
step, records = torch.tensor(0), fire.pack(fire.SamplingConfig(seed=1), rows=64)
before = len(os.listdir("/proc/self/task"))
torch.ops.fire.sample(logits, step, records)
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.cpu_only("threads over rows")
@pytest.mark.parametrize("threads", [1, 3])
def test_rows_run_on_as_many_threads_as_torch_is_told(threads: int) -> None:
    run = subprocess.run(
        [sys.executable, "-c", THREADS_PROGRAM.format(threads=threads)],
        env=os.environ | {"FIRE_NUM_THREADS": "16"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) == threads - 1
