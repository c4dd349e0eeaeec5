"""What is measured beside the table of cells: the price of packing, threads, memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch

from .cases import CPU_VOCABULARY, Case, by_pool, call_cases, pool_of
from .memory import MALLOC_ENVIRONMENT
from .processes import CpuSession, Seat
from .rows import make_pool
from .schema import Pack, Peak
from .settings import SETTINGS
from .summary import Summary

THREADS = 2
THREAD_ROWS = 64
MEMORY_ROWS = (1, 64)
_WARM_VOCABULARY = 4096  # the code's own pages are touched on shorter rows first


def call_costs(
    session: CpuSession, settings: Sequence[str], dtypes: Sequence[str]
) -> tuple[list[Any], list[Pack]]:
    """Cells at V = 32, and the cost of `pack`."""
    cells: list[Any] = []
    for cases in by_pool(call_cases(settings, dtypes)).values():
        session.use(cases)
        if not cells:
            session.measure(cases[0])  # the first calls of all find their code cold
        cells += [session.measure(case) for case in cases]
    worker = session.workers[session.instruction_sets[0]]
    packs: list[Any] = [
        {"rows": rows, **asdict(Summary.of_nanoseconds(worker.ask("pack_times", rows, 100)))}
        for rows in (1, 64)
    ]
    return cells, packs


def thread_cases(settings: Sequence[str]) -> list[Case]:
    return [
        Case(CPU_VOCABULARY, THREAD_ROWS, "bfloat16", name, kind)
        for name in settings
        for kind in SETTINGS[name].kinds
    ]


def threads(session: CpuSession, case: Case) -> dict[str, Any]:
    """One cell of our own with one thread and with two, in turns."""
    best = session.instruction_sets[0]
    return session.measure(case, session.placed(case, [Seat(best, "fire"), Seat(best, "fire", THREADS)]))


def memory(session: CpuSession, settings: Sequence[str]) -> Iterator[Peak]:
    """Peak extra memory of one call, per contender, setting and number of rows."""
    best = session.instruction_sets[0]
    names = ["fire"] + [seat.contender for seat in session.seats if seat.worker == "peers"]
    cases = sorted(
        (
            Case(vocabulary, rows, "bfloat16", name, kind, place="in cache")
            for vocabulary in (_WARM_VOCABULARY, CPU_VOCABULARY)
            for name in settings
            if not SETTINGS[name].mixed
            for kind in SETTINGS[name].kinds
            for rows in MEMORY_ROWS
        ),
        key=pool_of,
    )
    pools = by_pool(cases)
    paths = {pool: session.folder / f"memory-{pool[0]}-{pool[2]}.pt" for pool in pools}
    for pool, path in paths.items():
        torch.save(make_pool(pools[pool], cache_bytes=0), path)
    for name in names:
        worker = session.worker(best, **MALLOC_ENVIRONMENT)
        for pool, group in pools.items():
            worker.ask("load_pool", paths[pool])
            for case in group:
                if name != "fire" and case.rows > 1:
                    continue
                peak = worker.ask("peak_extra_bytes", case, name)
                if case.vocabulary == CPU_VOCABULARY:
                    key = f"fire/{best}" if name == "fire" else name
                    found: Any = {**case.as_dict(), "contender": key, "peak_bytes": peak}
                    yield found
        worker.close()
