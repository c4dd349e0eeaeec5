"""What machine code must keep. Each function returns its complaints, none where all is well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from devices import Device, Launch, Shape
from hot_loops import HotLoop, bytes_loaded
from machine_code import Kernel

# Issue slots an element, of 2 and of 4 bytes. All but the weights then keep pace with the memory of an H200.
MOST_SLOTS = {
    "MaximumPass": (0.7, 1.8),
    "AppendPass": (1.0, 2.1),
    "FastMassPass<false": (13.6, 13.0),
    "FastMassPass<true": (14.1, 14.0),  # where the row may hold NaN
    "AppendAndMassPass": (14.1, 14.1),
    # It reads and writes: twice the bytes.
    "SlopePass<true": (28.2, 28.0),
    "SlopePass<false": (40.0, 40.0),
}
# Where conversions to 64 bits run at 2 lanes a clock (64 cycles of a scheduler for a weight), a weight is
# shifted instead. Where an instruction takes two floats, a weight is half of most. So many slots more:
SLOW_CONVERSIONS = (86, 120)
MORE_WEIGHT_SLOTS = {86: 2.03, 100: -4, 120: 2}
SEARCHES = ("row_search.cuh", "row_tokens.cuh", "run_search.cuh", "whole_row.cuh")
MOST_INTEGER_SLOTS = 4  # of a weight: the integer unit takes half as many lanes a clock as are issued
MOST_SLOW_PATH_SLOTS = 30  # to append a vector; up to three more of the lane go with it, for a store each
BYTES_A_TEST = 64  # of a lane: 32 elements of 2 bytes, 16 of 4
VECTOR_BYTES = 16

# 4.3 TB/s times a microsecond over 132 multiprocessors: so much must be under way in each. Where rows are
# few, one block of 512 threads reads them; where weights are read from global memory, two blocks are there.
BYTES_UNDER_WAY = 32 << 10
READING_THREADS = {
    "MaximumPass": 512,
    "AppendPass": 512,
    "FastMassPass": 1024,
    "AppendAndMassPass": 1024,
    "SlopePass": 1024,
}

MOST_REGISTERS = 64  # of a thread: two blocks of 512 fit
STATES = ("ShardBeginRows", "ShardTakeRows")  # a block is one warp, which keeps its row's state in registers
MOST_STATE_REGISTERS = 168  # 12 of them a multiprocessor
DIVISION = re.compile(r"\$__internal_\d+_\$__cuda_sm\w+_(div_rn_noftz|rcp_rn)_f32_slowpath")
# Before compute capability 9.0 a shuffle, vote, reduction or meeting of lanes that arrive apart is a call
# too, and so is the way out of a loop that lanes leave apart.
DIVERGENCE = re.compile(r"\$__internal_\d+_\$__cuda_(sm70_(shfl|vote|warp)|redux)sync\w*|\.L_x_\d+")
WAIT = "ACQBULK"  # for the kernel before this one in the stream
GLOBAL = ("LD", "LDG", "LDGSTS", "ST", "STG", "ATOM", "ATOMG", "RED", "REDG", "UBLKCP")
DOUBLE = re.compile(r"D(ADD|MUL|FMA|SETP|MNMX)\b|.*\.F64\b|MUFU\.\w+64H\b")


def slots_complaints(loop: HotLoop, more: float) -> Iterator[str]:
    """`more` than MOST_SLOTS it may take. A store for each vector kept in shared memory comes on top."""
    limits = next(limits for prefix, limits in MOST_SLOTS.items() if loop.name.startswith(prefix))
    most = limits[loop.element_bytes == 4] + more
    if loop.slots - loop.copy_slots > most:
        yield (
            f"{loop.kernel}: {loop.name} takes {loop.slots:.3f} slots an element"
            f" ({loop.copy_slots:.3f} copy it), not {most}"
        )


def loop_complaints(loop: HotLoop) -> Iterator[str]:
    where = f"{loop.kernel}: {loop.name}"
    name = loop.name.partition("<")[0]
    yield from slots_complaints(loop, 0)
    if name in ("FastMassPass", "AppendAndMassPass") and loop.unit_slots("alu") > MOST_INTEGER_SLOTS:
        yield f"{where} takes {loop.unit_slots('alu'):.3f} slots of the integer unit an element"
    # A gradient that is not aligned as its row is written logit by logit.
    if loop.name != "SlopePass<false>" and loop.tests * BYTES_A_TEST > loop.elements * loop.element_bytes:
        yield f"{where} branches {loop.tests} times for {loop.elements} elements of a lane"
    if name in ("AppendPass", "AppendAndMassPass") and loop.slow_path is None:
        yield f"{where} appends nothing"
    if loop.slow_path is not None and loop.slow_path > MOST_SLOW_PATH_SLOTS:
        yield f"{where} takes {loop.slow_path} more slots to append a vector"
    for load in loop.loads:
        if bytes_loaded(load) != VECTOR_BYTES:
            yield f"{where} loads by {load.opcode}"
    if any(load.name != "LDS" for load in loop.loads):
        under_way = loop.loads_ahead * VECTOR_BYTES * READING_THREADS[name]
        if under_way < BYTES_UNDER_WAY:
            yield f"{where} has {under_way} bytes under way in a multiprocessor"
    for call in loop.calls:
        yield f"{where} calls {call.target}"


def weight_complaints(loop: HotLoop, architecture: int) -> Iterator[str]:
    """Of a loop over weights, on an architecture that has a form of its own of them."""
    yield from slots_complaints(loop, MORE_WEIGHT_SLOTS[architecture])
    converts = any(one.name == "F2I" and "64" in one.opcode for one in loop.code)
    if converts and architecture in SLOW_CONVERSIONS:
        yield f"{loop.kernel}: {loop.name} converts to 64 bits"


def search_complaints(kernel: Kernel) -> Iterator[str]:
    """Of the loops that search a row by key, on such an architecture."""
    searches = [
        one
        for block in kernel.blocks
        for one in block
        if any(Path(site.file).name in SEARCHES for site in one.sites)
    ]
    if not searches:
        yield f"{kernel.name} searches no row"
    if any(one.name == "F2I" and "64" in one.opcode for one in searches):
        yield f"{kernel.name}: a search converts to 64 bits"


def missing_loops(loops: Iterable[HotLoop], kernels: Iterable[str]) -> Iterator[str]:
    """The passes that each kernel must have: an unknown loop is no loop within the limits."""
    found = {(loop.kernel, loop.name) for loop in loops}
    for kernel in kernels:
        resident = str(kernel.endswith("true>")).lower()
        wanted = [f"MaximumPass<true, {resident}>", "MaximumPass<true, false>", "MaximumPass<false, false>"]
        wanted += [f"FastMassPass<{has_nan}, {resident}>" for has_nan in ("false", "true")]
        if kernel.startswith("SupportGradientRows"):
            wanted = ["SlopePass<true>", "SlopePass<false>"]
        elif kernel.startswith("ShardEntryRows"):
            wanted = ["MaximumPass<true, false>", "MaximumPass<false, false>"]
        elif kernel.startswith("ShardAnswerRows"):
            wanted = ["FastMassPass<true, false>"]  # where a row of the shard holds NaN, nobody has told
        elif kernel.startswith("Shard"):
            wanted = []  # logit by logit, or of no logits
        elif not kernel.startswith("SupportLogProbRows"):
            wanted += [f"AppendPass<{resident}>"]
            wanted += [] if resident == "true" else ["AppendAndMassPass<false>"]
        yield from (f"{kernel}: no loop of {name} is found" for name in wanted if (kernel, name) not in found)


def instruction_complaints(kernel: Kernel, architecture: int) -> Iterator[str]:
    for one in kernel.instructions:
        if DOUBLE.match(one.opcode):
            yield f"{kernel.name} computes in double precision: {one.opcode} {one.operands}"
        if one.name in ("LDL", "STL"):
            yield f"{kernel.name} uses local memory: {one.opcode} {one.operands}"
        is_known = DIVISION.fullmatch(one.target) or (architecture < 90 and DIVERGENCE.fullmatch(one.target))
        if one.name == "CALL" and not is_known:
            yield f"{kernel.name} calls {one.target or one.operands}"


def wait_complaints(kernel: Kernel, architecture: int) -> Iterator[str]:
    """Of a kernel that may begin while the one before it still writes: what it touches too early, or reads as
    if nobody wrote there while it runs, by which the compiler and the device may read early.
    """
    if architecture < 90:
        return
    if all(one.name != WAIT for one in kernel.instructions):
        yield f"{kernel.name} does not wait for the kernel before it"
        return
    for one in kernel.before(WAIT):
        if one.name in GLOBAL:
            yield f"{kernel.name} does not wait before {one.opcode} {one.operands}"
    for one in kernel.instructions:
        if one.name in GLOBAL and ".CONSTANT" in one.opcode:
            yield f"{kernel.name} takes for constant what others write: {one.opcode} {one.operands}"


def resource_complaints(row: Mapping[str, Any]) -> Iterator[str]:
    where = f"{row['kernel']} for sm_{row['architecture']}"
    if row["registers"] > (MOST_STATE_REGISTERS if row["kernel"] in STATES else MOST_REGISTERS):
        yield f"{where} takes {row['registers']} registers"
    if row["shared_bytes"] != 0:
        yield f"{where} takes {row['shared_bytes']} bytes of shared memory beside its storage"
    if row["local_bytes"] != 0:
        yield f"{where} takes {row['local_bytes']} bytes of local memory"


def residency_complaints(
    device: Device, shapes: Sequence[Shape], launches: Sequence[Launch]
) -> Iterator[str]:
    for shape, launch in zip(shapes, launches, strict=True):
        if launch.dynamic_bytes > device.block_shared_bytes:
            yield f"{device.name}: {shape} asks for {launch.dynamic_bytes} bytes of shared memory a block"
        if launch.cluster > device.largest_cluster:
            yield f"{device.name}: {shape} asks for a cluster of {launch.cluster}"


def block_complaints(row: Mapping[str, Any], multiprocessors: int) -> Iterator[str]:
    """One block fits at least; where rows are many two, so that one reads while the other computes."""
    many = row["cluster"] == 1 and max(row["rows"]) >= 2 * multiprocessors
    if row["blocks"] < 1 + many:
        yield f"{row['device']}: {row['blocks']} blocks of {row['kernel']} fit where rows are {row['rows']}"
