"""What is measured beside the table of cells: the price of packing, threads, memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from .cases import SHOWN_VOCABULARY, Case, Selection, by_pool, pool_of
from .memory import MALLOC_ENVIRONMENT
from .rows import write_pool
from .schema import Cell, Pack, Peak
from .session import Remote, Seat, Session
from .settings import SETTINGS
from .summary import Summary

THREADS = 2
THREAD_ROWS = 64
MEMORY_ROWS = (1, 64)
_WARM_VOCABULARY = 4096  # the code's own pages are touched on shorter rows first


def call_costs(session: Session, selection: Selection) -> tuple[list[Cell], list[Pack]]:
    """Cells at V = 32, and the cost of `pack`."""
    cells: list[Cell] = []
    for pool, cases in by_pool(selection.call_cases()).items():
        session.use_pool(pool, cases)
        if not cells:
            session.measure(cases[0])  # the first calls of all find their code cold
        cells += [session.measure(case) for case in cases]
    worker = session.workers[session.instruction_sets[0]]
    packs: list[Any] = [
        {"rows": rows, **asdict(Summary.of_nanoseconds(worker.ask("pack_times", rows, 100)))}
        for rows in (1, 64)
    ]
    return cells, packs


def thread_cases(selection: Selection) -> list[Case]:
    return [
        Case(SHOWN_VOCABULARY, "bfloat16", name, kind, THREAD_ROWS, "out of cache")
        for name in selection.settings()
        for kind in SETTINGS[name].kinds
    ]


def threads(session: Session, case: Case) -> Cell:
    """One cell of our own with one thread and with two, in turns."""
    best = session.instruction_sets[0]
    return session.measure(case, [Seat(best, "fire"), Seat(best, "fire", THREADS)])


def memory(session: Session, selection: Selection) -> Iterator[Peak]:
    """Peak extra memory of one call, per contender, setting and number of rows."""
    best = session.instruction_sets[0]
    names = ["fire"] + [seat.contender for seat in session.seats if seat.worker == "peers"]
    cases = sorted(
        (
            Case(vocabulary, "bfloat16", name, kind, rows, "in cache")
            for vocabulary in (_WARM_VOCABULARY, SHOWN_VOCABULARY)
            for name in selection.settings()
            if not SETTINGS[name].mixed
            for kind in SETTINGS[name].kinds
            for rows in MEMORY_ROWS
        ),
        key=pool_of,
    )
    pools = by_pool(cases)
    paths = {pool: session.folder / f"memory-{pool[0]}-{pool[2]}.npy" for pool in pools}
    for pool, path in paths.items():
        write_pool(path, pool, cache_bytes=0, largest=max(MEMORY_ROWS))
    for name in names:
        worker = Remote({**MALLOC_ENVIRONMENT, "FIRE_CPU": best}, best, session.folder, 0)
        for pool, group in pools.items():
            worker.ask("load_pool", paths[pool])
            for case in group:
                if name != "fire" and case.rows > 1:
                    continue
                peak = worker.ask("peak_extra_bytes", case, name)
                if case.vocabulary == SHOWN_VOCABULARY:
                    key = f"fire/{best}" if name == "fire" else name
                    found: Any = {**case.as_dict(), "contender": key, "peak_bytes": peak}
                    yield found
        worker.close()
