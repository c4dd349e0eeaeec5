"""The kernels that ship, for every architecture."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from devices import DEVICES, TASKS, Device, Shape, launches
from hot_loops import HotLoop, hot_loops
from limits import (
    MORE_WEIGHT_SLOTS,
    SLOW_CONVERSIONS,
    block_complaints,
    instruction_complaints,
    loop_complaints,
    missing_loops,
    residency_complaints,
    resource_complaints,
    search_complaints,
    wait_complaints,
    weight_complaints,
)
from machine_code import read_kernels
from resources import TABLE, Cubins, differences
from toolchain import ARCHITECTURES, DTYPES, FILES, FLAGS, ROOT

pytest_plugins = ["compiled"]

VOCABULARIES = (1, 31, 1000, 4096, 32_000, 50_257, 128_256, 151_936, 262_144, 1 << 20, 1 << 21)
ROWS = (1, 2, 5, 8, 16, 33, 66, 96, 132, 133, 264, 1024, 1 << 31)


def test_the_gates_compile_as_the_product_does() -> None:
    build = (ROOT / "cmake" / "cuda.cmake").read_text()
    assert [flag for flag in FLAGS if flag not in build] == []


def test_hot_loops_keep_their_limits(loops: list[HotLoop]) -> None:
    assert [complaint for loop in loops for complaint in loop_complaints(loop)] == []


@pytest.mark.parametrize(("dtype", "architecture"), list(product(DTYPES, MORE_WEIGHT_SLOTS)))
def test_a_weight_costs_what_its_form_on_an_architecture_may(
    cubins: Cubins, dtype: str, architecture: int
) -> None:
    found = [loop for loop in hot_loops(cubins[f"rows_{dtype}", architecture]) if "MassPass" in loop.name]
    assert len({loop.kernel for loop in found}) == FILES[f"rows_{dtype}"]
    assert [told for loop in found for told in weight_complaints(loop, architecture)] == []


@pytest.mark.parametrize(("dtype", "architecture"), list(product(DTYPES, SLOW_CONVERSIONS)))
def test_no_search_waits_for_a_slow_conversion(cubins: Cubins, dtype: str, architecture: int) -> None:
    kernels = read_kernels(cubins[f"rows_{dtype}", architecture].listing(with_sites=True))
    assert [told for kernel in kernels for told in search_complaints(kernel)] == []


def test_no_hot_loop_escapes_the_count(loops: list[HotLoop], made: dict[str, Any]) -> None:
    assert list(missing_loops(loops, {row["kernel"] for row in made["kernels"]})) == []


@pytest.mark.parametrize(("file", "architecture"), list(product(FILES, ARCHITECTURES)))
def test_no_double_no_local_memory_no_call_but_division_and_nothing_before_the_kernel_ahead_is_done(
    cubins: Cubins, file: str, architecture: int
) -> None:
    kernels = list(read_kernels(cubins[file, architecture].listing()))
    assert len(kernels) == FILES[file]
    assert [told for kernel in kernels for told in instruction_complaints(kernel, architecture)] == []
    assert [told for kernel in kernels for told in wait_complaints(kernel, architecture)] == []


def test_kernels_leave_room_for_a_second_block(made: dict[str, Any]) -> None:
    assert [complaint for row in made["kernels"] for complaint in resource_complaints(row)] == []
    count = {device.name: device.multiprocessors for device in DEVICES}
    assert [text for row in made["blocks"] for text in block_complaints(row, count[row["device"]])] == []


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_every_plan_fits_its_device(device: Device) -> None:
    shapes = [Shape(*shape) for shape in product(TASKS, ROWS, VOCABULARIES, DTYPES)]
    assert list(residency_complaints(device, shapes, launches(shapes, device))) == []


def test_the_committed_table_is_of_this_code(made: dict[str, Any]) -> None:
    told = differences(json.loads(TABLE.read_text()), made)
    assert told == [], "python tests/gates/resources.py --write"
