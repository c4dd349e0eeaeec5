"""GPUs that the kernels run on, which launches they get, and how many blocks a multiprocessor holds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from toolchain import BUILD, DTYPES, ROOT, run, tool

KIB = 1024
RESERVED = KIB  # of a block's shared memory, for the system: from compute capability 8.0 on
# As kernels/plan.h counts them.
TASKS = (
    "sample",
    "sample_with_reference",
    "sample_group",
    "process_logits",
    "heat_logits_",
    "log_prob",
    "log_prob_backward",
    "sample_with_support",
    "support_log_prob",
    "support_log_prob_backward",
    "shard_answer",
)


@dataclass(frozen=True)
class Device:
    """The table "Technical Specifications per Compute Capability" of the CUDA programming guide."""

    name: str
    compute_capability: int
    architecture: int  # whose machine code it runs
    multiprocessors: int
    threads: int  # of a multiprocessor
    shared_bytes: int  # of a multiprocessor
    block_shared_bytes: int  # that a block may opt into
    largest_cluster: int
    # Of 2, 4, 8 and 16 blocks, how many run at once with a block a multiprocessor: published of an H100,
    # assumed of others. 0: as many as the multiprocessors would hold.
    clusters: tuple[int, int, int, int] = (0, 0, 0, 0)


DEVICES = (
    Device("A100", 80, 80, 108, 2048, 164 * KIB, 163 * KIB, 1),
    Device("A10", 86, 86, 72, 1536, 100 * KIB, 99 * KIB, 1),
    Device("L40S", 89, 86, 142, 1536, 100 * KIB, 99 * KIB, 1),
    Device("H200", 90, 90, 132, 2048, 228 * KIB, 227 * KIB, 16, (66, 30, 15, 7)),
    Device("B200", 100, 100, 148, 2048, 228 * KIB, 227 * KIB, 16, (74, 36, 17, 7)),
    Device("RTX 5090", 120, 120, 170, 1536, 100 * KIB, 99 * KIB, 8, (85, 41, 20, 0)),
)


@dataclass(frozen=True, order=True)
class Shape:
    """What decides a launch, besides the device."""

    task: str
    rows: int
    vocabulary: int
    dtype: str


@dataclass(frozen=True, order=True)
class Launch:
    threads: int
    cluster: int
    resident: bool
    pilot_shift: int
    dynamic_bytes: int


@cache
def _program() -> Path:
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / "launches"
    include = Path(tool("nvcc")).resolve().parents[1] / "include"
    sources = (Path(__file__).with_name("launches.cpp"), ROOT / "kernels" / "plan.cpp")
    flags = ("-std=c++17", "-O1", "-I.", "-Icsrc", "-Icsrc/include", "-isystem", include)
    run(os.environ.get("CXX", "c++"), *flags, *sources, "-o", path)
    return path


def _ask(questions: Iterable[str]) -> list[list[int]]:
    return [list(map(int, line.split())) for line in run(_program(), text="\n".join(questions)).splitlines()]


def launches(shapes: Iterable[Shape], device: Device) -> list[Launch]:
    """What kernels/plan.cpp has for them."""
    traits = f"{device.compute_capability} {device.multiprocessors} {device.block_shared_bytes}"
    questions = (
        f"plan {TASKS.index(shape.task)} {shape.rows} {shape.vocabulary} {DTYPES.index(shape.dtype)}"
        f" {traits} {device.largest_cluster} {' '.join(map(str, device.clusters))}"
        for shape in shapes
    )
    return [
        Launch(threads, cluster, bool(resident), pilot_shift, dynamic)
        for threads, cluster, resident, pilot_shift, dynamic in _ask(questions)
    ]


def blocks_of_multiprocessor(device: Device, registers: int, static_bytes: int, launch: Launch) -> int:
    """By NVIDIA's cuda_occupancy.h."""
    traits = f"{device.threads} {device.shared_bytes} {device.block_shared_bytes} {RESERVED}"
    block = f"{registers} {static_bytes} {launch.threads} {launch.dynamic_bytes}"
    return _ask([f"blocks {device.compute_capability} {traits} {block}"])[0][0]
