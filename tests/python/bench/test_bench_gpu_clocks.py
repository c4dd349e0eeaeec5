"""How bench/kernels.py times calls on a GPU, on stand-ins for torch.cuda and the driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from bench_runs import BENCH  # noqa: F401 (finds the next ones)
from harness import clocks


class RecordedCuda:
    """Stands in for the parts of torch.cuda that the clocks use; `log` has what they did, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.Stream = self.current_stream = lambda: SimpleNamespace(wait_stream=lambda _: None)

    def CUDAGraph(self, keep_graph: bool) -> SimpleNamespace:  # noqa: N802
        assert keep_graph  # else its nodes are gone before they are counted
        return SimpleNamespace(
            replay=lambda: self.log.append("replay"),
            instantiate=lambda: self.log.append("instantiate"),
            raw_cuda_graph=lambda: 77,
        )

    def Event(self, enable_timing: bool) -> SimpleNamespace:  # noqa: N802
        assert enable_timing
        return SimpleNamespace(
            record=lambda: self.log.append("event"), synchronize=lambda: None, elapsed_time=lambda _: 0.5
        )

    def synchronize(self) -> None:
        self.log.append("wait")

    def call(self, name: str) -> clocks.Call:
        def made() -> str:
            self.log.append(name)
            return f"result of {name}"

        return made

    def stream(self, _: object) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def graph(self, _: object) -> Iterator[None]:
        self.log.append("capture")
        yield
        self.log.append("captured")


class Driver:
    """Stands in for libcuda: a graph of four kernels and two other nodes."""

    def cuGraphGetNodes(self, graph: Any, nodes: Any, count: Any) -> int:  # noqa: N802
        assert graph.value == 77
        count._obj.value = 6
        for place in range(6 if nodes else 0):
            nodes[place] = place + 1
        return 0

    def cuGraphNodeGetType(self, node: Any, kind: Any) -> int:  # noqa: N802
        kind._obj.value = 0 if node.value <= 4 else 1
        return 0


def test_the_graph_clock_times_replays_of_all_calls_and_counts_their_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = RecordedCuda()
    monkeypatch.setattr(clocks, "torch", SimpleNamespace(cuda=recorded))
    monkeypatch.setattr(clocks.ctypes, "CDLL", lambda name: Driver())
    timed = clocks.Graph([recorded.call("a"), recorded.call("b")])
    assert [timed.sample(), timed.sample()] == [250.0, 250.0]  # half a millisecond for two calls
    assert timed.results == ["result of a", "result of b"]
    assert timed.launches() == 2
    ready = ["a", "capture", "a", "b", "captured", "instantiate", "replay", "wait"]
    # One call before the capture: nothing may be set up within it; one replay before the timed ones.
    assert recorded.log == [*ready, *["event", "replay", "event"] * 2]


def test_a_driver_that_refuses_to_count_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks.ctypes, "CDLL", lambda _: SimpleNamespace(cuGraphGetNodes=lambda *_: 1))
    with pytest.raises(RuntimeError, match="cuGraphGetNodes failed with CUDA error 1"):
        clocks._kernels_of(1)


def test_the_eager_clock_waits_for_the_device_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = RecordedCuda()
    monkeypatch.setattr(clocks, "torch", SimpleNamespace(cuda=recorded))
    timed = clocks.Eager([recorded.call("a")])
    assert (timed.sample() or 0) > 0
    assert recorded.log == ["a", "wait", "wait", "a", "wait"]
