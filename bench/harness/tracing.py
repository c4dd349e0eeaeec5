"""Calls every cell under torch's profiler, inside ranges that NVIDIA's profilers see too."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from . import trace
from .cases import Case
from .device import GpuSession

CALLS = 5  # of each contender in a cell, after one that nobody watches


def range_name(case: Case, contender: str) -> str:
    """Begins with our prefix; R= is read again by trace.blocks_a_row."""
    return (
        f"{trace.RANGE_PREFIX}{contender}, {case.setting}, {case.dtype}, V={case.vocabulary}, R={case.rows}, "
        f"{case.kind}, {case.outputs}"
    )


@contextlib.contextmanager
def watched(name: str) -> Iterator[None]:
    """An NVTX range for nsys and ncu, and torch's own for its profiler, of the same name."""
    on_gpu = torch.cuda.is_available()
    with torch.profiler.record_function(name):
        if on_gpu:
            torch.cuda.nvtx.range_push(name)
        try:
            yield
        finally:
            if on_gpu:
                torch.cuda.nvtx.range_pop()


def call_all(session: GpuSession, cases: list[Case], count: int) -> None:
    session.use(cases)
    for case in cases:
        for name, call in session.calls_of(case):
            try:
                call()  # what a first call sets up belongs to no range
                _wait(session)
            except Exception as error:  # as where calls are timed
                session.fail(name, case, error)
                continue
            with watched(range_name(case, name)):
                for _ in range(count):
                    call()
                _wait(session)


def profile(session: GpuSession, cases: list[Case], count: int) -> list[trace.Line]:
    """The table of kernels by range; on a machine without a GPU there are none."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if session.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        call_all(session, cases, count)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(path))
        contents: dict[str, Any] = json.loads(path.read_text())
    return trace.lines(trace.launches(contents))


def _wait(session: GpuSession) -> None:
    if session.device.type == "cuda":
        torch.cuda.synchronize()
