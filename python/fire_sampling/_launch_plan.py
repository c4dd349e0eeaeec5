"""`python -m fire_sampling plan`: which CUDA launch a batch gets.

Rows, vocabulary, type, outputs and device decide it, nothing else: PlanFor of kernels/plan.cpp.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

from fire_sampling import _native
from fire_sampling.selftest import DTYPES


class Device(NamedTuple):
    """What the plan needs to know of a GPU."""

    compute_capability: int  # 10 · major + minor
    multiprocessors: int
    shared_bytes: int  # that a block may opt into
    largest_cluster: int  # blocks; 1 where there are no clusters
    # Of 2, 4, 8 and 16 blocks, how many run at once with a block a multiprocessor: published of an H100,
    # assumed of others. 0: as many as the multiprocessors would hold.
    clusters: tuple[int, ...] = (0, 0, 0, 0)


DEVICES = {
    "t4": Device(75, 40, 64 << 10, 1),
    "a100": Device(80, 108, 163 << 10, 1),
    "l40s": Device(89, 142, 99 << 10, 1),
    "h100": Device(90, 132, 227 << 10, 16, (66, 30, 15, 7)),
    "h200": Device(90, 132, 227 << 10, 16, (66, 30, 15, 7)),
    "b200": Device(100, 148, 227 << 10, 16, (74, 36, 17, 7)),
    "rtx5090": Device(120, 170, 99 << 10, 8, (85, 41, 20, 0)),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `plan`."""
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--vocabulary", type=int, required=True)
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    parser.add_argument("--task", choices=_native.TASKS, default="sample")
    parser.add_argument("--device", choices=DEVICES, default="h200", help="default: h200")
    for trait in Device._fields:
        option = f"--{trait.replace('_', '-')}"
        values = 4 if trait == "clusters" else None
        parser.add_argument(option, type=int, nargs=values, metavar="N", help="instead of the device's own")


def show(parsed: argparse.Namespace) -> int:
    """Prints the launch and returns the exit status."""
    given = {trait: getattr(parsed, trait) for trait in Device._fields}
    changed = {trait: value for trait, value in given.items() if value is not None}
    device = DEVICES[parsed.device]._replace(**changed)
    try:
        plan = _native.plan(parsed.task, parsed.rows, parsed.vocabulary, parsed.dtype, **device._asdict())
    except ValueError as error:
        print(error)
        return 2
    for name, value in {**device._asdict(), **plan}.items():
        print(f"{name:<20}{value}")
    return 0
