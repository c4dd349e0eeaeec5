"""Eight processes that are the ranks of a gloo process group, for many tests."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

WORLD = 8
# The groups of each size: not the first ranks, not neighbours, and those of 2 and 4 may be at work at once.
MEMBERS = {1: (3,), 2: (1, 4), 3: (0, 2, 7), 4: (2, 3, 5, 6), 8: tuple(range(WORLD))}
_SECONDS = 300  # for one job on a machine that is shared


class Place(NamedTuple):
    """Where a job runs."""

    group: dist.ProcessGroup | None  # None: the default group, of all
    rank: int  # in it
    size: int


class Failed(NamedTuple):
    """What a job has raised."""

    kind: str
    text: str


class RankPool:
    """Runs functions on the ranks of a group."""

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch.distributed", "fire_sampling.distributed"])
        self._pipes: list[Connection] = []
        self._processes = []
        for rank in range(WORLD):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(rank, str(folder / "store"), there), daemon=True)
            process.start()
            self._pipes.append(here)
            self._processes.append(process)

    def run(self, job: Callable[..., Any], *arguments: Any, size: int = WORLD) -> list[Any]:
        """What `job(place, *arguments)` returns on each rank of the group of `size`, or how it failed."""
        return self.run_each({size: (job, arguments)})[size]

    def run_each(self, jobs: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]]) -> dict[int, list[Any]]:
        """The same of groups that share no rank, all at once."""
        for size, (job, arguments) in jobs.items():
            for member in MEMBERS[size]:
                self._pipes[member].send((job.__module__, job.__name__, size, arguments))
        return {size: [self._receive(member) for member in MEMBERS[size]] for size in jobs}

    def stop(self) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
        for process in self._processes:
            process.join(20)
            if process.is_alive():
                process.kill()

    def _receive(self, member: int) -> Any:
        assert self._pipes[member].poll(_SECONDS), (
            f"rank {member} has not answered for {_SECONDS} s: it hangs"
        )
        return self._pipes[member].recv()


def rank_pool(folder: Path) -> Iterator[RankPool]:
    """A pool that ends with the test session."""
    pool = RankPool(folder)
    try:
        yield pool
    finally:
        pool.stop()


def _serve(rank: int, store: str, pipe: Connection) -> None:
    """The life of one rank."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=WORLD,
        timeout=datetime.timedelta(seconds=_SECONDS),
    )
    groups = {size: dist.new_group(members) for size, members in MEMBERS.items() if size < WORLD}
    while (message := pipe.recv()) is not None:
        module, name, size, arguments = message
        try:
            job = getattr(importlib.import_module(module), name)
            result = job(Place(groups.get(size), MEMBERS[size].index(rank), size), *arguments)
        except Exception as error:
            result = Failed(type(error).__name__, str(error))
        pipe.send(result)
    dist.destroy_process_group()
