"""A run on a GPU, or its rehearsal on a CPU: one process that replays graphs or makes calls from Python."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from .cases import Case, Pool, by_pool, pool_of
from .clocks import Call, Clock, Eager, Graph, Rehearsal, Timed
from .kept_set import KeptSets, joined
from .records import kept_in_first_row
from .rows import batches_of, make_pool
from .session import Session, differing
from .summary import Summary

MOST_FAILURES = 3  # of a contender, before it is left out
MOST_CALLS = 512  # of a turn
TURN_US = 3000.0  # about the length of a turn
LEAST_TURNS, MOST_TURNS = 5, 15
BUDGET_US = 45_000.0  # of a contender in a case, LEAST_TURNS apart
CHECKED_ROWS = 2048  # of a contender in a case, at most


@dataclass(eq=False)
class Seat:
    """A contender in a case, ready to be timed for so many rounds."""

    name: str
    contender: Any
    timed: Timed
    batches: list[Tensor]
    rounds: int
    peak_bytes: int | None
    samples: list[float] = field(default_factory=list)


class GpuSession(Session[Seat]):
    """`clocks`: by launch. `cache_bytes`: of the device's last cache. `load`: the adapter of a name."""

    def __init__(
        self,
        device: torch.device,
        cache_bytes: int,
        clocks: dict[str, Clock],
        load: Callable[[str], Any],
        names: Sequence[str],
    ) -> None:
        super().__init__()
        self.device, self._cache_bytes, self._clocks = device, cache_bytes, clocks
        self.refusals: dict[str, set[str]] = {}
        self.failures: dict[str, list[str]] = {}
        self._pools: dict[Pool, tuple[list[Case], Tensor, KeptSets]] = {}
        self._contenders: dict[str, Any] = {}
        for name in names:
            try:
                self._contenders[name] = load(name)
            except (ImportError, OSError, RuntimeError) as error:
                self.left_out[name] = f"{type(error).__name__}: {error}"
        # Read between turns, so that nobody finds in the cache what another has left there.
        self._sweep = torch.ones(max(1, cache_bytes // 2), dtype=torch.float32, device=device)

    def use(self, cases: Sequence[Case]) -> None:
        wanted = by_pool(cases)
        self._pools = {
            key: pool for key, pool in self._pools.items() if set(wanted.get(key, ())) <= set(pool[0])
        }
        for key, of_pool in wanted.items():
            if key not in self._pools:
                logits = make_pool(of_pool, self._cache_bytes, str(self.device))
                self._pools[key] = (of_pool, logits, KeptSets(logits))

    def _batches(self, case: Case) -> list[Tensor]:
        return batches_of(self._pools[pool_of(case)][1], case)

    def seats_of(self, case: Case) -> list[Seat]:
        return [seat for name in self._contenders if (seat := self._seat(name, case)) is not None]

    def take_turn(self, case: Case, seat: Seat) -> None:
        if case.out_of_cache:
            self._sweep.sum()
        sample = seat.timed.sample()
        if sample is not None:
            seat.samples.append(sample)

    def kept(self, case: Case) -> int | None:
        ours = any(one.role == "ours" for one in self._contenders.values())
        return kept_in_first_row(case, self._pools[pool_of(case)][1]) if ours else None

    def results(self, case: Case, seats: Sequence[Seat]) -> dict[str, dict[str, Any]]:
        return {seat.name: self._result(case, seat) for seat in seats}

    def calls_of(self, case: Case) -> Iterator[tuple[str, Call]]:
        """A call of each contender that the case is for, on the first logits."""
        for name in self._contenders:
            contender = self._contender(name, case)
            if contender is not None:
                yield name, contender.ready(self._batches(case)[0], 0)

    def that_compile(self, case: Case) -> list[str]:
        """Contenders with a place in the case whose first calls take long."""
        compiling = [name for name, adapter in self._contenders.items() if adapter.compiles]
        return [name for name in compiling if self._contender(name, case) is not None]

    def _contender(self, name: str, case: Case) -> Any:
        """None where the case is not for it, or its package turns out to be missing."""
        adapter = self._contenders[name]
        if name in self.left_out:
            return None
        try:
            return adapter(case, self.device)
        except adapter.refuses as refusal:
            self.refusals.setdefault(name, set()).add(f"{case.setting}, {case.outputs}: {refusal}")
        except ImportError as error:
            self.left_out[name] = f"{type(error).__name__}: {error}"
        return None

    def _seat(self, name: str, case: Case) -> Seat | None:
        """The contender, ready for its turns."""
        contender = self._contender(name, case)
        if contender is None:
            return None
        batches = self._batches(case)
        try:
            estimate, peak = self._first_call(contender.ready(batches[0], 0))
            count = _calls(estimate, case, len(batches))
            calls = [contender.ready(batches[i % len(batches)], i) for i in range(count)]
            timed = self._clocks[case.launch](calls)
        except Exception as error:  # whatever a peer's own code raises: the others go on without it
            self.fail(name, case, error)
            return None
        rounds = max(LEAST_TURNS, min(MOST_TURNS, int(BUDGET_US / (count * estimate)))) if estimate else 1
        return Seat(name, contender, timed, batches, rounds, peak)

    def fail(self, name: str, case: Case, error: Exception) -> None:
        """Records a peer's failure in this case; one that fails again and again is left out. Raises ours."""
        if self._contenders[name].role == "ours":
            raise error
        reason = f"{case}: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        print(f"{name} failed: {reason}", flush=True)
        self.failures.setdefault(name, []).append(reason)
        if len(self.failures[name]) == MOST_FAILURES:
            self.left_out[name] = f"failed {MOST_FAILURES} times, first in {self.failures[name][0]}"

    def _first_call(self, call: Call) -> tuple[float | None, int | None]:
        """About how many microseconds a call takes, and how many bytes it holds at most; else None."""
        if self.device.type != "cuda":
            call()
            return None, None
        for _ in range(2):  # the first may compile
            call()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        begin = time.perf_counter()
        result = call()
        torch.cuda.synchronize()
        estimate = (time.perf_counter() - begin) * 1e6
        peak = torch.cuda.max_memory_allocated() - before
        del result
        return estimate, peak

    def _result(self, case: Case, seat: Seat) -> dict[str, Any]:
        calls = len(seat.samples) * len(seat.timed.results)
        launches = seat.timed.launches()
        checked, wrong = self._check(case, seat)
        return {
            **asdict(Summary.of_turns(seat.samples, calls)),
            **({} if launches is None else {"launches": round(launches)}),
            **({} if seat.peak_bytes is None else {"peak_bytes": seat.peak_bytes}),
            **{"checked": checked, "wrong": wrong},
        }

    def _check(self, case: Case, seat: Seat) -> tuple[int, int]:
        """How many of the timed calls' tokens were looked at, and how many are wrong."""
        contender, batches = seat.contender, seat.batches
        if not contender.samples:
            return 0, 0
        results = seat.timed.results[: max(1, CHECKED_ROWS // case.rows)]
        checked = len(results) * case.rows
        if contender.role == "ours":
            on_cpu = type(contender)(case, torch.device("cpu"))
            calls = zip(itertools.count(), results, itertools.cycle(batches), strict=False)
            expected = ((result, on_cpu.call(logits.cpu(), draw)) for draw, result, logits in calls)
            return checked, sum(differing(*map(as_outputs, both)) for both in expected)
        # Calls go through the batches in order: what one round of them drew is checked at once.
        rounds = [results[first : first + len(batches)] for first in range(0, len(results), len(batches))]
        draws = (joined([contender.drawn(result) for result in one]) for one in rounds)
        kept_sets = self._pools[pool_of(case)][2]
        return checked, sum(kept_sets.wrong(drawn, 0, contender.of_rows, contender.order) for drawn in draws)


def as_outputs(result: Any) -> tuple[Tensor, ...]:
    """Of one of our operators, whichever it is."""
    return (result,) if isinstance(result, Tensor) else tuple(result)


def _calls(estimate: float | None, case: Case, batches: int) -> int:
    """Calls of a turn: as many as it has time for; out of cache, each on logits that no other has read."""
    if estimate is None:
        return min(2, batches) if case.out_of_cache else 2
    count = max(1, min(MOST_CALLS, int(TURN_US / estimate)))
    return count if not case.out_of_cache else min(count, batches)


def clocks_of(device: torch.device) -> dict[str, Clock]:
    if device.type != "cuda":
        return {"graph": Rehearsal, "eager": Rehearsal}
    return {"graph": Graph, "eager": Eager}
