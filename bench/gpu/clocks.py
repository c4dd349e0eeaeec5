"""Clocks: each takes calls that do the same work on different rows, and returns microseconds a call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

Call = Callable[[], Any]


class Clock(Protocol):
    def samples(self, calls: Sequence[Call]) -> list[float]: ...


class GraphClock:
    """Captures the calls in one CUDA graph and times its replays: without the host, with launch gaps."""

    def __init__(self, replays: int = 15) -> None:
        self._replays = replays

    def samples(self, calls: Sequence[Call]) -> list[float]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            calls[0]()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for call in calls:
                call()
        graph.replay()
        torch.cuda.synchronize()
        found = []
        for _ in range(self._replays):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            graph.replay()
            end.record()
            end.synchronize()
            found.append(begin.elapsed_time(end) * 1000 / len(calls))
        return found


class EagerClock:
    """Calls as Python makes them, until the device is done: what a caller without graphs sees."""

    def __init__(self, rounds: int = 5) -> None:
        self._rounds = rounds

    def samples(self, calls: Sequence[Call]) -> list[float]:
        found = []
        for _ in range(self._rounds):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            for call in calls:
                call()
            torch.cuda.synchronize()
            found.append((time.perf_counter() - begin) * 1e6 / len(calls))
        return found


class RehearsalClock:
    """Makes the calls, and measures nothing."""

    def samples(self, calls: Sequence[Call]) -> list[float]:
        for call in calls:
            call()
        return []
