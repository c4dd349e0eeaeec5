"""One interleaved run: in each cell every contender gets its turns on the same logits, in random order, and
what it returned while it was timed is checked.
"""

from __future__ import annotations

import functools
import itertools
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from harness.summary import quantile
from torch import Tensor

from .clocks import Call, Clock, EagerClock, GraphClock, RehearsalClock, Timed
from .contenders import OURS, Contender, RefusalError, load
from .contenders.fire import Fire
from .kept import KeptSets, wrong_references
from .logits import Pool
from .records import records, steps
from .selection import Cell

MOST_FAILURES = 3  # of a contender, before it is left out
MOST_CALLS = 512  # of a turn
TURN_US = 3000.0  # about the length of a turn
LEAST_TURNS, MOST_TURNS = 5, 15
BUDGET_US = 45_000.0  # of a contender in a cell, LEAST_TURNS apart
CHECKED_ROWS = 2048  # of a contender in a cell, at most
LOGPROB_TOLERANCE = 1e-6  # of ours, between backends: times max(1, |value|)

Result = dict[str, Any]


@dataclass
class Session:
    """`clocks`: by launch. `cache_bytes`: of the device's last cache."""

    device: torch.device
    cache_bytes: int
    clocks: dict[str, Clock]
    names: list[str]
    left_out: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, set[str]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._shuffle = random.Random(3)
        self._pools: dict[tuple[int, str, str], Pool] = {}
        self._kept: dict[tuple[int, str, str], KeptSets] = {}
        self._contenders: dict[str, type[Contender]] = {}
        for name in self.names:
            try:
                self._contenders[name] = load(name)
            except (ImportError, OSError, RuntimeError) as error:
                self.left_out[name] = f"{type(error).__name__}: {error}"
        # Read between turns, so that nobody finds in the cache what another has left there.
        self._sweep = torch.ones(max(1, self.cache_bytes // 2), dtype=torch.float32, device=self.device)

    def use(self, cells: Sequence[Cell]) -> None:
        """Makes the logits of these cells, and forgets those of others."""
        wanted: dict[tuple[int, str, str], list[Cell]] = {}
        for cell in cells:
            wanted.setdefault(_pool_of(cell), []).append(cell)
        self._pools = {key: pool for key, pool in self._pools.items() if pool.serves(wanted.get(key, []))}
        self._kept = {key: kept for key, kept in self._kept.items() if key in self._pools}
        for key, of_pool in wanted.items():
            if key not in self._pools:
                self._pools[key] = Pool(of_pool, self.cache_bytes, self.device)
                self._kept[key] = KeptSets(self._pools[key].logits)

    def measure(self, cell: Cell) -> dict[str, Any]:
        """The cell as a results file has it."""
        seats = [seat for name in self._contenders if (seat := self._seat(name, cell)) is not None]
        for turn in range(MOST_TURNS):
            order = [seat for seat in seats if turn < seat.turns]
            self._shuffle.shuffle(order)
            for seat in order:
                if cell.out_of_cache:
                    self._sweep.sum()
                seat.take_turn()
        results = {seat.name: self._result(seat) for seat in seats}
        return {**cell.as_dict(), "results": results, **self._kept_of(cell)}

    def _kept_of(self, cell: Cell) -> dict[str, int]:
        """How many tokens the first row keeps, by our word."""
        if OURS not in self._contenders:
            return {}
        inputs = (self._pools[_pool_of(cell)].logits[:1], steps(cell)[:1], records(cell)[:1])
        drawn = torch.ops.fire.sample_with_logprobs(*(one.cpu() for one in inputs), reference=False)
        return {"kept": int(drawn[4])}

    def calls_of(self, cell: Cell) -> Iterator[tuple[str, Call]]:
        """A call of each contender that the cell is for, on the first logits."""
        for name in self._contenders:
            contender = self._contender(name, cell)
            if contender is not None:
                yield name, functools.partial(contender.call, self._pools[_pool_of(cell)].batches(cell)[0])

    def that_compile(self, cell: Cell) -> list[str]:
        """Contenders with a place in the cell whose first calls take long."""
        compiling = [name for name, adapter in self._contenders.items() if adapter.compiles]
        return [name for name in compiling if self._contender(name, cell) is not None]

    def _contender(self, name: str, cell: Cell) -> Contender | None:
        """None where the cell is not for it, or its package turns out to be missing."""
        if name in self.left_out:
            return None
        try:
            return self._contenders[name](cell, self.device)
        except RefusalError as refusal:
            self.refusals.setdefault(name, set()).add(f"{cell.setting}, {cell.outputs}: {refusal}")
        except ImportError as error:
            self.left_out[name] = f"{type(error).__name__}: {error}"
        return None

    def _seat(self, name: str, cell: Cell) -> Seat | None:
        """The contender, ready for its turns."""
        contender = self._contender(name, cell)
        if contender is None:
            return None
        batches = self._pools[_pool_of(cell)].batches(cell)
        try:
            estimate, peak = self._first_call(functools.partial(contender.call, batches[0]))
            count = _calls(estimate, cell, len(batches))
            calls = [functools.partial(contender.call, batches[i % len(batches)]) for i in range(count)]
            timed = self.clocks[cell.launch].ready(calls)
        except Exception as error:  # whatever a peer's own code raises: the others go on without it
            self.fail(name, cell, error)
            return None
        turns = max(LEAST_TURNS, min(MOST_TURNS, int(BUDGET_US / (count * estimate)))) if estimate else 1
        return Seat(name, contender, timed, batches, turns, peak)

    def fail(self, name: str, cell: Cell, error: Exception) -> None:
        """Records a peer's failure in this cell; one that fails again and again is left out. Raises ours."""
        if self._contenders[name].role == "ours":
            raise error
        reason = f"{cell}: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
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

    def _result(self, seat: Seat) -> Result:
        ordered = sorted(seat.samples)
        result: Result = {"median": None, "p10": None, "p90": None, "calls": len(seat.samples) * seat.calls}
        if ordered:
            result |= {name: round(quantile(ordered, at), 3) for name, at in (("p10", 0.1), ("p90", 0.9))}
            result["median"] = round(statistics.median(ordered), 3)
        launches = seat.timed.launches()
        result |= {} if launches is None else {"launches": round(launches)}
        result |= {} if seat.peak_bytes is None else {"peak_bytes": seat.peak_bytes}
        checked, wrong = self._check(seat)
        return {**result, "checked": checked, "wrong": wrong}

    def _check(self, seat: Seat) -> tuple[int, int]:
        """How many of the timed calls' tokens were looked at, and how many are wrong."""
        contender, cell = seat.contender, seat.contender.cell
        if not contender.samples:
            return 0, 0
        most = max(1, CHECKED_ROWS // cell.rows)
        results = seat.timed.results[:most]
        if isinstance(contender, Fire):
            checks = zip(results, itertools.cycle(seat.batches), strict=False)
            return len(results) * cell.rows, sum(wrong_of_ours(contender, *one) for one in checks)
        wrong = 0
        # Calls go through the batches in order: what one round of them drew is checked at once.
        for first in range(0, len(results), len(seat.batches)):
            wrong += self._wrong_of_round(contender, results[first : first + len(seat.batches)])
        return len(results) * cell.rows, wrong

    def _wrong_of_round(self, contender: Contender, results: list[Any]) -> int:
        """Of calls on the pool's batches, one each, from the first on."""
        pool = _pool_of(contender.cell)
        tokens = torch.cat([contender.tokens(result) for result in results])
        of_rows = contender.of_rows * len(results)
        wrong = self._kept[pool].wrong(tokens, 0, of_rows, contender.order)
        references = [one for result in results if (one := contender.reference(result)) is not None]
        if wrong == 0 and references:
            wrong = wrong_references(self._pools[pool].logits[: len(tokens)], tokens, torch.cat(references))
        return wrong


@dataclass
class Seat:
    """A contender in a cell, ready to be timed."""

    name: str
    contender: Contender
    timed: Timed
    batches: list[Tensor]
    turns: int
    peak_bytes: int | None
    samples: list[float] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return len(self.timed.results)

    def take_turn(self) -> None:
        sample = self.timed.sample()
        if sample is not None:
            self.samples.append(sample)


def wrong_of_ours(contender: Fire, result: Any, logits: Tensor) -> int:
    """Rows where an output differs from the CPU backend's: by a bit, log-probabilities by over 1e-6."""
    outputs = (result,) if isinstance(result, Tensor) else tuple(result)
    differs = torch.zeros(logits.shape[0], dtype=torch.bool)
    for got, expected in zip(outputs, contender.expected(logits), strict=True):
        got = got.cpu()
        equal = (got == expected) | (got.isnan() & expected.isnan())
        if expected.is_floating_point():
            equal |= (got - expected).abs() <= LOGPROB_TOLERANCE * expected.abs().clamp(min=1)
        differs |= ~equal
    return int(differs.sum())


def _calls(estimate: float | None, cell: Cell, batches: int) -> int:
    """Calls of a turn: as many as it has time for; out of cache, each on logits that no other has read."""
    if estimate is None:
        return min(2, batches) if cell.out_of_cache else 2
    count = max(1, min(MOST_CALLS, int(TURN_US / estimate)))
    return count if not cell.out_of_cache else min(count, batches)


def _pool_of(cell: Cell) -> tuple[int, str, str]:
    return cell.vocabulary, cell.dtype, cell.kind


def clocks_of(device: torch.device) -> dict[str, Clock]:
    if device.type != "cuda":
        return {"graph": RehearsalClock(), "eager": RehearsalClock()}
    return {"graph": GraphClock(), "eager": EagerClock()}
