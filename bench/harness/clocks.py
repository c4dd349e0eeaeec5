"""Clocks: each makes calls that do the same work on different rows, and says how long one took."""

from __future__ import annotations

import ctypes
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch

Call = Callable[[], Any]
KERNEL_NODE = 0  # CUgraphNodeType


class Timed(ABC):
    """Calls that are ready to be timed, again and again. `results`: what the last of each returned."""

    results: list[Any]

    @abstractmethod
    def sample(self) -> float | None:
        """Makes all calls; microseconds of one, None where nothing is measured."""

    def launches(self) -> float | None:
        """Kernels a call, where that is known."""
        return None


Clock = Callable[[Sequence[Call]], Timed]


class Graph(Timed):
    """Captures the calls in one CUDA graph and times its replays: without the host, with launch gaps."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._count = len(calls)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            calls[0]()  # what a first call sets up must not be captured
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph(keep_graph=True)
        with torch.cuda.graph(self._graph):
            self.results = [call() for call in calls]
        self._graph.instantiate()
        self._graph.replay()
        torch.cuda.synchronize()

    def sample(self) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        self._graph.replay()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end) * 1000 / self._count)

    def launches(self) -> float | None:
        try:
            return _kernels_of(self._graph.raw_cuda_graph()) / self._count
        except (OSError, RuntimeError):  # no figure is worth less than the times
            return None


def _kernels_of(graph: int) -> int:
    """The kernel nodes of a CUgraph, asked of the driver: torch has no word for them."""
    driver = ctypes.CDLL("libcuda.so.1")
    handle, count = ctypes.c_void_p(graph), ctypes.c_size_t()
    _succeed(driver.cuGraphGetNodes(handle, None, ctypes.byref(count)), "cuGraphGetNodes")
    nodes = (ctypes.c_void_p * count.value)()
    _succeed(driver.cuGraphGetNodes(handle, nodes, ctypes.byref(count)), "cuGraphGetNodes")
    kernels = 0
    for node in nodes:
        kind = ctypes.c_int()
        _succeed(driver.cuGraphNodeGetType(ctypes.c_void_p(node), ctypes.byref(kind)), "cuGraphNodeGetType")
        kernels += kind.value == KERNEL_NODE
    return kernels


def _succeed(code: int, what: str) -> None:
    if code != 0:
        raise RuntimeError(f"{what} failed with CUDA error {code}")


class Rehearsal(Timed):
    """Makes the calls, and measures nothing."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self.results = []

    def sample(self) -> float | None:
        self.results = [call() for call in self._calls]
        return None


class Eager(Rehearsal):
    """Calls as Python makes them, until the device is done: what a caller without graphs sees."""

    def __init__(self, calls: Sequence[Call]) -> None:
        super().__init__(calls)
        self.results = [calls[0]()]
        torch.cuda.synchronize()

    def sample(self) -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        super().sample()
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) * 1e6 / len(self._calls)
