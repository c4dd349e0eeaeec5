"""Every gate finds what it is there to find: planted mistakes, one each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from devices import DEVICES, Shape, launches
from hot_loops import HotLoop, hot_loops
from limits import (
    block_complaints,
    instruction_complaints,
    loop_complaints,
    missing_loops,
    residency_complaints,
    resource_complaints,
    wait_complaints,
    weight_complaints,
)
from machine_code import Kernel, read_kernels
from resources import differences
from toolchain import BUILD, CompileError, Cubin, compile_cubin

pytest_plugins = ["compiled"]

PLANTED = Path(__file__).with_name("planted")
PASSES = PLANTED / "passes.cuh"


@pytest.fixture(scope="module")
def cubin() -> Cubin:
    """Compiled without the flags that would refuse it."""
    path = BUILD / "planted.cubin"
    return Cubin("planted", 90, compile_cubin(PLANTED / "kernels.cu", 90, path, flags=()))


@pytest.fixture(scope="module")
def planted_loops(cubin: Cubin) -> Mapping[str, HotLoop]:
    return {loop.kernel: loop for loop in hot_loops(cubin, PASSES)}


@pytest.fixture(scope="module")
def planted_kernels(cubin: Cubin) -> Mapping[str, Kernel]:
    return {kernel.name: kernel for kernel in read_kernels(cubin.listing())}


@pytest.mark.parametrize("kernel", ["Maximum_kNone", "Append_kNone", "Mass_kNone"])
def test_a_loop_without_a_mistake_draws_no_complaint(
    planted_loops: Mapping[str, HotLoop], kernel: str
) -> None:
    assert list(loop_complaints(planted_loops[kernel])) == []
    assert planted_loops[kernel].elements == 16
    assert planted_loops[kernel].loads_ahead == 4


@pytest.mark.parametrize(
    ("kernel", "complaint"),
    [
        ("Maximum_kWords", "loads by LDG.E.CONSTANT"),
        ("Maximum_kSlots", "slots an element"),
        ("Maximum_kWaits", "bytes under way"),
        ("Maximum_kDivides", "calls $__internal"),
        ("Append_kBranches", "branches 4 times"),
        ("Append_kSlowPath", "more slots to append"),
        ("Mass_kIntegers", "slots of the integer unit"),
    ],
)
def test_a_mistake_in_a_hot_loop_is_found(
    planted_loops: Mapping[str, HotLoop], kernel: str, complaint: str
) -> None:
    assert any(complaint in told for told in loop_complaints(planted_loops[kernel]))


def test_a_weight_by_a_slow_conversion_is_found(planted_loops: Mapping[str, HotLoop]) -> None:
    assert list(weight_complaints(planted_loops["Mass_kNone"], 120)) == []
    complaints = list(weight_complaints(planted_loops["Mass_kConverts"], 120))
    assert any("converts to 64 bits" in told for told in complaints)


def test_a_weight_computed_alone_where_two_go_together_is_found(planted_loops: Mapping[str, HotLoop]) -> None:
    loop = planted_loops["Mass_kConverts"]
    more = next(one for one in loop.code if one not in loop.loads)
    alone = replace(loop, code=(*loop.code, *[more] * (10 * loop.elements)))
    assert list(weight_complaints(loop, 100)) == []
    assert any("slots an element" in told for told in weight_complaints(alone, 100))


def test_a_pass_that_appends_nothing_is_found(planted_loops: Mapping[str, HotLoop]) -> None:
    loop = replace(planted_loops["Append_kNone"], slow_path=None)
    assert any("appends nothing" in told for told in loop_complaints(loop))


def test_a_loop_that_is_not_recognised_is_missed() -> None:
    told = list(missing_loops([], ["SampleRows<Float32Logits, true>", "WriteRows<Float32Logits>"]))
    assert "SampleRows<Float32Logits, true>: no loop of AppendPass<true> is found" in told
    assert "WriteRows<Float32Logits>: no loop of FastMassPass<true, false> is found" in told


@pytest.mark.parametrize(
    ("kernel", "complaint"),
    [("Doubles", "in double precision"), ("Local", "uses local memory"), ("Calls", "calls ")],
)
def test_a_forbidden_instruction_is_found(
    planted_kernels: Mapping[str, Kernel], kernel: str, complaint: str
) -> None:
    assert any(complaint in told for told in instruction_complaints(planted_kernels[kernel], 90))


def test_a_division_is_allowed(planted_kernels: Mapping[str, Kernel]) -> None:
    kernel = planted_kernels["Maximum_kDivides"]
    assert any(one.name == "CALL" for one in kernel.instructions)
    assert list(instruction_complaints(kernel, 90)) == []


@pytest.mark.parametrize(
    ("kernel", "complaint"),
    [
        ("Waits_kNever", "does not wait for the kernel before it"),
        ("Waits_kLate", "does not wait before LDG.E R"),
        ("Waits_kPassedBy", "does not wait before LDG.E R"),
        ("Waits_kConstant", "takes for constant what others write: LDG.E.CONSTANT"),
    ],
)
def test_a_load_that_does_not_wait_is_found(
    planted_kernels: Mapping[str, Kernel], kernel: str, complaint: str
) -> None:
    told = list(wait_complaints(planted_kernels[kernel], 90))
    assert complaint in told[0]


def test_a_load_that_waits_is_allowed(planted_kernels: Mapping[str, Kernel]) -> None:
    assert list(wait_complaints(planted_kernels["Waits_kNone"], 90)) == []
    assert list(wait_complaints(planted_kernels["Waits_kNever"], 80)) == []


@pytest.mark.parametrize(
    ("source", "complaint"),
    [("spills.cu", "Registers are spilled to local memory"), ("local_memory.cu", "Local memory used")],
)
def test_the_compiler_refuses_spills_and_local_memory(source: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=complaint):
        compile_cubin(PLANTED / source, 90, tmp_path / "refused.cubin")


@pytest.mark.parametrize("name", ["registers", "shared_bytes", "local_bytes"])
def test_a_kernel_that_takes_too_much_is_found(name: str) -> None:
    row = {"kernel": "k", "architecture": 90, "registers": 64, "shared_bytes": 0, "local_bytes": 0}
    assert list(resource_complaints(row)) == []
    assert len(list(resource_complaints({**row, name: 65}))) == 1


def test_a_plan_that_does_not_fit_is_found() -> None:
    device = next(device for device in DEVICES if device.name == "H200")
    shapes = [Shape("sample", 1, 128_256, "float32")]
    fitting = launches(shapes, device)
    assert list(residency_complaints(device, shapes, fitting)) == []
    smaller = replace(device, block_shared_bytes=64 << 10, largest_cluster=4)
    assert len(list(residency_complaints(smaller, shapes, fitting))) == 2


def test_a_block_without_a_neighbour_is_found_where_rows_are_many() -> None:
    row = {"device": "d", "kernel": "k", "rows": [1024], "cluster": 1, "blocks": 1}
    assert len(list(block_complaints(row, 132))) == 1
    assert list(block_complaints({**row, "blocks": 2}, 132)) == []
    assert list(block_complaints({**row, "rows": [128]}, 132)) == []


def test_a_stale_table_is_told_row_by_row() -> None:
    committed = {"compiler": "1", "loops": [{"slots": 1}, {"slots": 2}]}
    made = {"compiler": "2", "loops": [{"slots": 1}, {"slots": 3}]}
    told = ['- compiler: "1"', '- loops: {"slots": 2}', '+ compiler: "2"', '+ loops: {"slots": 3}']
    assert differences(committed, made) == told
    assert differences(made, made) == []
