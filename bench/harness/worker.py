"""A process in which contenders are timed, one turn at a time, at the word of processes.py.

Processes, because an instruction set is chosen once in each; and so that no contender meets another's heap,
threads or crash. Only the one whose turn it is runs, the others wait on a pipe.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from . import operators
from .cases import STEPS, Case
from .kept_set import Drawn, KeptSets
from .memory import peak_extra_bytes
from .native import Native
from .records import kept_in_first_row, records, steps
from .rows import Rotation
from .session import differing
from .turns import TURN, Estimate

CPU = torch.device("cpu")


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
    checked: int
    wrong: int


class Worker:
    """The methods that processes.py calls."""

    def __init__(
        self, load: Callable[[str], Any], instruction_set: str, folder: Path, sweep_bytes: int
    ) -> None:
        torch.set_num_threads(1)
        operators.load(None, with_cuda=False)
        self._native = Native(instruction_set, folder, sweep_bytes)
        self._load = load

    def import_contenders(self, names: list[str]) -> dict[str, str]:
        """Imports the adapters; returns why some cannot be."""
        missing = {}
        for name in names:
            try:
                self._load(name)
            except (ImportError, OSError, RuntimeError) as error:
                missing[name] = f"{type(error).__name__}: {error}"
        return missing

    def load_pool(self, path: Path) -> None:
        self._pool = torch.load(path)
        self._kept_sets = KeptSets(self._pool)

    def describe(self, names: list[str]) -> dict[str, dict[str, str]]:
        """What the results file says of each adapter."""
        found = {name: self._load(name) for name in names}
        return {
            name: {"title": one.title, "notes": one.notes, "role": one.role} for name, one in found.items()
        }

    def open(self, case: Case, names: list[str]) -> dict[str, Estimate]:
        """Sets up a case; returns about how long a call takes of those that do what the case asks for."""
        self._rotation = Rotation(case, self._pool)
        self._case = case
        self._contenders = {}
        for name in names:
            adapter = self._load(name)
            with contextlib.suppress(adapter.refuses):
                self._contenders[name] = self._made(name, case)
        self._draws = dict.fromkeys(self._contenders, 0)
        self._calls: dict[str, list[Call]] = {name: [] for name in self._contenders}
        return {name: self._estimate(name) for name in self._contenders}

    def _made(self, name: str, case: Case) -> Any:
        adapter = self._load(name)
        adapter.native = self._native
        return adapter(case, CPU)

    def turn(self, name: str, calls: int, warm_up: int, threads: int) -> list[int]:
        """Times `calls` calls, each on its own, after `warm_up` more; nanoseconds."""
        torch.set_num_threads(threads)
        gc.disable()
        times = [self._timed_call(name) for _ in range(warm_up + calls)]
        gc.enable()
        return times[warm_up:]

    def keys_of_ours(self) -> list[tuple[int, int]]:
        """The batch and the steps of every call of ours since `open`."""
        return [call.key for name, calls in self._calls.items() for call in calls if self._is_ours(name)]

    def check(self, expected: Mapping[tuple[int, int], Any]) -> dict[str, Check]:
        """Checks every call since `open`: ours by what is `expected` of its key, another by its kept set."""
        return {
            name: Check(
                sum(len(call.drawn.tokens) for call in calls),
                sum(self._wrong(name, call, expected) for call in calls),
            )
            for name, calls in self._calls.items()
        }

    def _is_ours(self, name: str) -> bool:
        return bool(self._contenders[name].role == "ours")

    def _wrong(self, name: str, call: Call, expected: Mapping[tuple[int, int], Any]) -> int:
        contender, logits = self._contenders[name], self._rotation.batches[call.batch]
        if not contender.samples:
            return int(contender.wrong(call.drawn, logits))
        if self._is_ours(name):
            right = (None if one is None else torch.from_numpy(one) for one in expected[call.key])
            return differing(call.drawn, tuple(right))
        first_row = call.batch * self._case.rows
        return self._kept_sets.wrong(call.drawn, first_row, contender.of_rows, contender.order)

    def expected(self, case: Case, keys: list[tuple[int, int]]) -> dict[tuple[int, int], Any]:
        """What fire-sampling must draw in each (batch, draw), as NumPy arrays in the order of `Drawn`: by the
        NumPy entry, from float32 copies."""
        from fire_sampling import numpy as fire_numpy

        rotation, config = Rotation(case, self._pool), records(case).numpy()
        found: dict[tuple[int, int], Any] = {}
        for batch, draw in keys:
            logits, step = rotation.batches[batch].float().numpy(), steps(case, draw).numpy()
            if case.outputs == "token":
                found[batch, draw] = (fire_numpy.sample(logits, step, config), None, None)
                continue
            reference = case.outputs == "reference"
            sample = fire_numpy.sample_with_logprobs(logits, step, config, reference=reference)
            found[batch, draw] = (sample.token, sample.logprob, sample.ref_logprob if reference else None)
        return found

    def kept(self, case: Case) -> int:
        return kept_in_first_row(case, self._pool)

    def peak_extra_bytes(self, case: Case, name: str) -> int:
        """The most memory that a call holds beyond what was there before it."""
        return peak_extra_bytes(self._made(name, case).ready(Rotation(case, self._pool).batches[0], 0))

    def pack_times(self, rows: int, calls: int) -> list[int]:
        """Nanoseconds of `fire_sampling.pack` of one config for so many rows."""
        import fire_sampling

        filters = self._case.sampled_with.of_row(0)
        config = fire_sampling.SamplingConfig(**filters.arguments())
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
        call = contender.ready(self._rotation.batches[batch], draw)
        if self._case.out_of_cache and contender.ready_fills_caches:
            self._native.sweep()
        begin = time.perf_counter_ns()
        result = call()
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
