"""A process in which contenders are timed, one turn at a time, at the word of session.py.

Processes, because an instruction set is chosen once in each; and so that no contender meets another's heap,
threads or crash. Only the one whose turn it is runs, the others wait on a pipe.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import peers
import torch

from .cases import STEPS, Case
from .kept_set import Drawn
from .memory import peak_extra_bytes
from .native import Native
from .rows import Rotation, load_pool
from .turns import TURN, Estimate


@dataclass
class Call:
    """One finished call, for the check after the timing."""

    batch: int
    draw: int
    drawn: Drawn

    @property
    def key(self) -> tuple[int, int]:
        """What decides a draw of ours, besides the case: the batch and the steps."""
        return self.batch, self.draw % STEPS


@dataclass
class Check:
    tokens: int
    wrong: int


class Worker:
    """The methods that session.py calls."""

    def __init__(self, instruction_set: str, folder: Path, sweep_bytes: int) -> None:
        torch.set_num_threads(1)
        self._native = Native(instruction_set, folder, sweep_bytes)
        self._pool = torch.empty(0)

    def import_contenders(self, names: list[str]) -> dict[str, str]:
        """Imports the adapters; returns why some cannot be."""
        missing = {}
        for name in names:
            try:
                peers.load(name)
            except (ImportError, OSError, RuntimeError) as error:
                missing[name] = f"{type(error).__name__}: {error}"
        return missing

    def load_pool(self, path: Path) -> None:
        self._pool = load_pool(path)

    def describe(self, names: list[str]) -> dict[str, dict[str, str]]:
        """What the results file says of each adapter."""
        found = {name: peers.load(name) for name in names}
        return {
            name: {"title": one.title, "notes": one.notes, "role": one.role} for name, one in found.items()
        }

    def open(self, case: Case, names: list[str]) -> dict[str, Estimate]:
        """Sets up a case; returns about how long a call takes of those that do what the case asks for."""
        self._rotation = Rotation(case, self._pool)
        self._case = case
        names = [name for name in names if peers.load(name).does(case)]
        self._draws = dict.fromkeys(names, 0)
        self._calls: dict[str, list[Call]] = {name: [] for name in names}
        self._contenders = {
            name: peers.load(name)(case, self._rotation.batches, self._native) for name in names
        }
        return {name: self._estimate(name) for name in names}

    def turn(self, name: str, calls: int, warm_up: int, threads: int) -> list[int]:
        """Times `calls` calls, each on its own, after `warm_up` more; nanoseconds."""
        torch.set_num_threads(threads)
        gc.disable()
        times = [self._timed_call(name) for _ in range(warm_up + calls)]
        gc.enable()
        return times[warm_up:]

    def check(self) -> dict[str, Check]:
        """Checks every call since `open` against the contender's own kept set."""
        checks = {}
        for name, calls in self._calls.items():
            contender = self._contenders[name]
            wrong = sum(contender.wrong(call.drawn, call.batch) for call in calls)
            checks[name] = Check(sum(call.drawn.tokens.size for call in calls), wrong)
        return checks

    def calls(self, name: str) -> list[Call]:
        return self._calls[name]

    def expected(self, case: Case, keys: list[tuple[int, int]]) -> dict[tuple[int, int], Drawn]:
        """What fire-sampling must draw in each (batch, draw): by the NumPy entry, from float32 copies."""
        from peers.fire import configurations, steps

        from fire_sampling import numpy as fire_numpy

        rotation = Rotation(case, self._pool)
        config, reference = configurations(case), case.outputs == "reference"
        found = {}
        for batch, draw in keys:
            logits = rotation.batches[batch].float().numpy()
            if case.outputs == "token":
                found[batch, draw] = Drawn(fire_numpy.sample(logits, steps(case, draw), config))
                continue
            sample = fire_numpy.sample_with_logprobs(logits, steps(case, draw), config, reference=reference)
            found[batch, draw] = Drawn(
                sample.token, sample.logprob.astype(np.float64), sample.ref_logprob.astype(np.float64)
            )
        return found

    def kept(self, case: Case) -> int:
        """The size of the kept set in the first row."""
        from peers.fire import configuration

        import fire_sampling

        rows = Rotation(case, self._pool).batches[0][:1]
        records = fire_sampling.pack(configuration(case.sampled_with.of_row(0)), rows=1)
        return int(torch.ops.fire.sample_with_logprobs(rows, torch.tensor(0), records, reference=False)[4])

    def peak_extra_bytes(self, case: Case, name: str) -> int:
        """The most memory that a call holds beyond what was there before it."""
        contender = peers.load(name)(case, Rotation(case, self._pool).batches, self._native)
        contender.prepare(0, 0)
        return peak_extra_bytes(contender.call)

    def pack_times(self, rows: int, calls: int) -> list[int]:
        """Nanoseconds of `fire_sampling.pack` of one config for so many rows."""
        from peers.fire import configuration

        import fire_sampling

        config = configuration(self._case.sampled_with.of_row(0))
        times = []
        for _ in range(calls):
            begin = time.perf_counter_ns()
            fire_sampling.pack(config, rows=rows)
            times.append(time.perf_counter_ns() - begin)
        return times

    def instructions_per_ns(self) -> float:
        return self._native.instructions_per_ns()

    def instruction_set(self) -> str:
        from fire_sampling import _native

        name: str = _native.build_info()["instruction_set"]
        return name

    def _timed_call(self, name: str) -> int:
        contender, draw, batch = self._contenders[name], self._draws[name], self._rotation.take()
        self._draws[name] += 1
        contender.prepare(batch, draw)
        if self._case.out_of_cache and contender.prepare_fills_caches:
            self._native.sweep()
        begin = time.perf_counter_ns()
        result = contender.call()
        end = time.perf_counter_ns()
        self._calls[name].append(Call(batch, draw, contender.drawn(result)))
        return end - begin

    def _estimate(self, name: str) -> Estimate:
        estimate = self._timed_estimate(name)
        if estimate.call < TURN:
            estimate = self._timed_estimate(name)
        return estimate

    def _timed_estimate(self, name: str) -> Estimate:
        begin = time.perf_counter_ns()
        call = self._timed_call(name)
        return Estimate(call, time.perf_counter_ns() - begin)


def serve(connection: Connection, *arguments: Any) -> None:
    """Runs a Worker: answers (method, arguments) with (result, None) or (None, error)."""
    worker = Worker(*arguments)
    while True:
        try:
            method, method_arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send((getattr(worker, method)(*method_arguments), None))
        except Exception as error:  # the session decides what to do about it
            connection.send((None, f"{type(error).__name__}: {error}"))
