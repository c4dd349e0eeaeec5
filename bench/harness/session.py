"""One interleaved run: the session says whose turn it is, in random order, round after round."""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import peers

from .cases import Case, Pool
from .kept_set import Drawn
from .machine import StolenTime
from .rows import ROTATION, write_pool
from .schema import Cell, Contender
from .summary import Summary
from .turns import Estimate, Pace, turns
from .worker import serve

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")  # each includes the one before it


class WorkerError(RuntimeError):
    """What a worker was asked for failed there."""


class Remote:
    """A Worker in a process of its own, started with these environment variables."""

    def __init__(self, environment: Mapping[str, str], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
        with _environment(environment):
            self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments: Any) -> Any:
        self._connection.send((method, arguments))
        try:
            result, error = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise WorkerError(f"{method}: the worker died, exit code {self._process.exitcode}") from None
        if error is not None:
            raise WorkerError(f"{method}: {error}")
        return result

    def close(self) -> None:
        self._connection.close()
        self._process.join()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def differing(drawn: Drawn, expected: Drawn) -> int:
    """Rows whose token or, by more than 1e-6 · max(1, |value|), log-probability differs."""
    wrong = drawn.tokens != expected.tokens
    for value, right in ((drawn.logprob, expected.logprob), (drawn.reference, expected.reference)):
        if value is not None and right is not None:
            wrong = wrong | ~(np.abs(value - right) <= 1e-6 * np.maximum(1, np.abs(right)))
    return int(wrong.sum())


@dataclass(frozen=True)
class Seat:
    """A contender in the process that holds it. Ours and the read are there once per instruction set."""

    worker: str
    contender: str
    threads: int = 1

    @property
    def key(self) -> str:
        """Its name in the results: `fire/avx2`, `fire/avx2/2 threads`, `hf`."""
        name = self.contender if self.worker == "peers" else f"{self.contender}/{self.worker}"
        return name if self.threads == 1 else f"{name}/{self.threads} threads"


@dataclass
class Session:
    """The worker processes of a run.

    instruction_sets: those to measure, the machine's best first. budget: seconds of timing per contender and
    cell, unless its LEAST_ROUNDS take longer.
    """

    folder: Path
    cache_bytes: int
    instruction_sets: list[str]
    peer_names: list[str]
    budget: float
    left_out: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arguments = (self.folder, ROTATION * self.cache_bytes)
        best = self.instruction_sets[0]
        self.workers = {name: Remote({"FIRE_CPU": name}, name, *arguments) for name in self.instruction_sets}
        self.workers["peers"] = Remote({}, best, *arguments)
        # Every token of ours is compared with those of the plainest code.
        self._referee = Remote({"FIRE_CPU": "baseline"}, "baseline", *arguments)
        self._shuffle = random.Random(3)
        self.left_out = self.workers["peers"].ask("import_contenders", self.peer_names)
        self.seats = [Seat(name, ours) for name in self.instruction_sets for ours in peers.OURS]
        self.seats += [Seat("peers", name) for name in self.peer_names if name not in self.left_out]
        for name in self.instruction_sets:
            found = self.workers[name].ask("instruction_set")
            if found != name:
                raise WorkerError(f"FIRE_CPU={name} was asked for, the sampler runs {found}")

    def close(self) -> None:
        for worker in (*self.workers.values(), self._referee):
            worker.close()

    def contenders(self) -> dict[str, Contender]:
        """What the results file says of them: ours, the limits that they are held against, the peers."""
        found: dict[str, Contender] = {}
        ours: dict[str, Any] = self.workers[self.instruction_sets[0]].ask("describe", list(peers.OURS))
        for name in self.instruction_sets:
            found[f"fire/{name}"] = ours["fire"] | {"limit": f"read/{name}"}
        for name in self.instruction_sets:
            found[f"read/{name}"] = dict(ours["read"])  # type: ignore[assignment]
        for key in found:
            found[key]["title"] += f" ({key.split('/')[1]})"
        names = [seat.contender for seat in self.seats if seat.worker == "peers"]
        found.update(self.workers["peers"].ask("describe", names))
        return found

    def use_pool(self, pool: Pool, cases: Iterable[Case]) -> None:
        """Makes the rows of these cases, which share a pool, and has every worker load them."""
        path = self.folder / "pool.npy"
        write_pool(path, pool, self.cache_bytes, max(case.rows for case in cases))
        for worker in (*self.workers.values(), self._referee):
            worker.ask("load_pool", path)
        path.unlink()

    def measure(self, case: Case, seats: list[Seat] | None = None) -> Cell:
        """Times a case in turns and checks every token drawn; the cell as it is stored."""
        seats = self.seats if seats is None else seats
        stolen = StolenTime()
        estimates: dict[tuple[str, str], Estimate] = {}
        for worker in dict.fromkeys(seat.worker for seat in seats):
            names = list(dict.fromkeys(seat.contender for seat in seats if seat.worker == worker))
            for name, estimate in self.workers[worker].ask("open", case, names).items():
                estimates[worker, name] = estimate
        seats = [seat for seat in seats if (seat.worker, seat.contender) in estimates]
        paces = {seat: Pace.of(estimates[seat.worker, seat.contender], self.budget) for seat in seats}
        times: dict[Seat, list[int]] = {seat: [] for seat in seats}
        for seat in turns({seat: pace.rounds for seat, pace in paces.items()}, self._shuffle):
            pace = paces[seat]
            times[seat] += self.workers[seat.worker].ask(
                "turn", seat.contender, pace.calls, pace.warm_up, seat.threads
            )
        cell: Any = {**case.as_dict(), "stolen_percent": stolen.percent(), "results": {}}
        checks = self._checks(case, seats)
        for seat in seats:
            cell["results"][seat.key] = {**asdict(Summary.of_nanoseconds(times[seat])), **checks[seat]}
        cell["kept"] = self._referee.ask("kept", case)
        measured: Cell = cell
        return measured

    def _checks(self, case: Case, seats: list[Seat]) -> dict[Seat, dict[str, int]]:
        """Per seat: how many rows' draws were checked, and how many were wrong."""
        found = {worker: self.workers[worker].ask("check") for worker in {seat.worker for seat in seats}}
        expected: dict[tuple[int, int], Drawn] = {}
        checks = {}
        for seat in seats:
            check = found[seat.worker][seat.contender]
            checks[seat] = {"checked": check.tokens, "wrong": check.wrong}
            if seat.contender == "fire":
                drawn = self.workers[seat.worker].ask("calls", "fire")
                keys = {call.key for call in drawn} - expected.keys()
                expected |= self._referee.ask("expected", case, sorted(keys))
                checks[seat]["wrong"] = sum(differing(call.drawn, expected[call.key]) for call in drawn)
        return checks
