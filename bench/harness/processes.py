"""A run on a CPU: contenders in processes of their own, each of which runs only while it is its turn."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from .cases import Case
from .rows import ROTATION, make_pool
from .schema import Contender
from .session import Session
from .summary import Summary
from .turns import Pace
from .worker import serve

_ONE_CALL = Pace(calls=1, warm_up=0, rounds=1)
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


@dataclass(frozen=True)
class Seat:
    """A contender in the process that holds it. Ours and the read are there once per instruction set."""

    worker: str
    contender: str
    threads: int = 1
    pace: Pace = _ONE_CALL
    times: list[int] = field(default_factory=list, compare=False)

    @property
    def key(self) -> str:
        """Its name in the results: `fire/avx2`, `fire/avx2/2 threads`, `hf`."""
        name = self.contender if self.worker == "peers" else f"{self.contender}/{self.worker}"
        return name if self.threads == 1 else f"{name}/{self.threads} threads"

    @property
    def rounds(self) -> int:
        return self.pace.rounds


class CpuSession(Session[Seat]):
    """The worker processes of a run.

    instruction_sets: those to measure, the machine's best first. budget: seconds of timing per contender and
    case, unless its LEAST_ROUNDS take longer. load: the adapter of a name; ours: names of which every
    instruction set has one, the sampler and then its limit.
    """

    def __init__(
        self,
        folder: Path,
        cache_bytes: int,
        instruction_sets: Sequence[str],
        load: Callable[[str], Any],
        ours: tuple[str, str],
        peers: Sequence[str],
        budget: float,
    ) -> None:
        super().__init__()
        self.folder, self.instruction_sets, self._ours = folder, instruction_sets, ours
        self._cache_bytes, self._budget, self._load = cache_bytes, budget, load
        self.workers = {name: self.worker(name) for name in instruction_sets}
        self.workers["peers"] = self.worker(instruction_sets[0])
        # Every token of ours is compared with those of the plainest code.
        self._referee = self.worker("baseline")
        self.left_out = self.workers["peers"].ask("import_contenders", list(peers))
        self.seats = [Seat(name, one) for name in instruction_sets for one in reversed(ours)]
        self.seats += [Seat("peers", name) for name in peers if name not in self.left_out]
        for name in instruction_sets:
            found = self.workers[name].ask("instruction_set")
            if found != name:
                raise WorkerError(f"FIRE_CPU={name} was asked for, the sampler runs {found}")

    def worker(self, instruction_set: str, **environment: str) -> Remote:
        """One more process, with nothing loaded."""
        variables = {"FIRE_CPU": instruction_set, **environment}
        return Remote(variables, self._load, instruction_set, self.folder, ROTATION * self._cache_bytes)

    def close(self) -> None:
        for worker in (*self.workers.values(), self._referee):
            worker.close()

    def contenders(self) -> dict[str, Contender]:
        """What the results file says of them: ours, the limits that they are held against, the peers."""
        found: dict[str, Contender] = {}
        sampler, limit = self._ours
        ours: dict[str, Any] = self.workers[self.instruction_sets[0]].ask("describe", list(self._ours))
        for name in self.instruction_sets:
            found[f"{sampler}/{name}"] = ours[sampler] | {"limit": f"{limit}/{name}"}
        for name in self.instruction_sets:
            found[f"{limit}/{name}"] = dict(ours[limit])  # type: ignore[assignment]
        for key in found:
            found[key]["title"] += f" ({key.split('/')[1]})"
        names = [seat.contender for seat in self.seats if seat.worker == "peers"]
        found.update(self.workers["peers"].ask("describe", names))
        return found

    def use(self, cases: Sequence[Case]) -> None:
        """The cases share a pool."""
        path = self.folder / "pool.pt"
        torch.save(make_pool(cases, self._cache_bytes), path)
        for worker in (*self.workers.values(), self._referee):
            worker.ask("load_pool", path)
        path.unlink()

    def seats_of(self, case: Case) -> list[Seat]:
        return self.placed(case, self.seats)

    def placed(self, case: Case, seats: Sequence[Seat]) -> list[Seat]:
        """Of these, the ones that do what the case asks for."""
        found = []
        for worker in dict.fromkeys(seat.worker for seat in seats):
            here = [seat for seat in seats if seat.worker == worker]
            estimates = self.workers[worker].ask("open", case, list(dict.fromkeys(s.contender for s in here)))
            found += [
                replace(seat, pace=Pace.of(estimates[seat.contender], self._budget), times=[])
                for seat in here
                if seat.contender in estimates
            ]
        return found

    def take_turn(self, case: Case, seat: Seat) -> None:
        pace = seat.pace
        arguments = (seat.contender, pace.calls, pace.warm_up, seat.threads)
        seat.times.extend(self.workers[seat.worker].ask("turn", *arguments))

    def results(self, case: Case, seats: Sequence[Seat]) -> dict[str, dict[str, Any]]:
        expected: dict[tuple[int, int], Any] = {}
        checks = {}
        for name in dict.fromkeys(seat.worker for seat in seats):
            keys = set(self.workers[name].ask("keys_of_ours")) - expected.keys()
            expected |= self._referee.ask("expected", case, sorted(keys)) if keys else {}
            checks[name] = self.workers[name].ask("check", expected if name != "peers" else {})
        return {
            seat.key: {
                **asdict(Summary.of_nanoseconds(seat.times)),
                **asdict(checks[seat.worker][seat.contender]),
            }
            for seat in seats
        }

    def kept(self, case: Case) -> int | None:
        found: int = self._referee.ask("kept", case)
        return found
