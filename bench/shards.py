#!/usr/bin/env python3
"""Sampling from vocabulary shards beside gathering them, between processes of this machine (bench/README.md).

python bench/shards.py         measures, within ten minutes; prints the table of docs/distributed.md
python bench/shards.py --show  prints that of the committed results, and puts it and the model's on the page
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from harness import exchange_model as model
from harness.comparison import ROOT, Comparison, Results, measured_on
from harness.rows import make_rows
from harness.summary import Summary
from torch import Tensor
from views import shards_plot
from views.text import markdown_table, microseconds, write_between_markers

import fire_sampling as fire
import fire_sampling.distributed as sharded

VOCABULARY = 128_256
RANKS, ROWS = (2, 4), (1, 32)
GATHER, OURS, CHECKED = "gather, then sample", "shards", "shards, checked"
CONFIGS = {
    "top_k": fire.SamplingConfig(temperature=0.8, top_k=50, top_p=0.95, hot_steps=0),
    "nucleus": fire.SamplingConfig(temperature=0.7, top_p=0.8, hot_steps=0),
    "none": fire.SamplingConfig(hot_steps=0),
    "search": fire.SamplingConfig(temperature=3.0, top_p=0.95, hot_steps=0),
}


class Task(NamedTuple):
    """What each process is told."""

    store: str
    ranks: int
    rounds: int


def gathered(local: Tensor, ranks: int) -> Tensor:
    """Whole rows, as engines make them: one gather, one copy."""
    rows, width = local.shape
    parts = local.new_empty(ranks * rows, width)
    all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
    all_gather(parts, local)
    return parts.view(ranks, rows, width).movedim(0, 1).reshape(rows, ranks * width)


def serve(rank: int, task: Task, results: Any) -> None:
    """One rank's run."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{task.store}", rank=rank, world_size=task.ranks)
    cells = [measure_cell(rank, task, rows, name) for rows in ROWS for name in CONFIGS]
    if rank == 0:
        results.send(cells)
    dist.barrier()
    dist.destroy_process_group()


def measure_cell(rank: int, task: Task, rows: int, name: str) -> Results:
    """Times whole calls on the clock, every rank beginning with the others; they agree on the tokens."""
    width = VOCABULARY // task.ranks
    whole = make_rows("peaked", rows, VOCABULARY, "bfloat16")
    local = whole[:, width * rank : width * (rank + 1)].contiguous()
    records = fire.pack(CONFIGS[name].replace(seed=1), rows)
    ours: dict[str, Any] = {"first_id": width * rank, "vocabulary": VOCABULARY, "checked": False}
    calls = {
        GATHER: lambda step: fire.sample(gathered(local, task.ranks), step, records),
        OURS: lambda step: sharded.sample(local, step, records, **ours),
        CHECKED: lambda step: sharded.sample(local, step, records),
    }
    times: dict[str, list[float]] = {called: [] for called in calls}
    order, wrong = random.Random(1), 0
    for step in range(task.rounds + 2):
        expected = fire.sample(whole, step, records)
        for called in order.sample(list(calls), len(calls)):
            dist.barrier()
            begin = time.perf_counter()
            token = calls[called](step)
            spent = torch.tensor(time.perf_counter() - begin)
            dist.all_reduce(spent, op=dist.ReduceOp.MAX)  # the slowest rank's
            wrong += int((token != expected).sum())
            if step >= 2:  # the first find their code cold
                times[called].append(float(spent) * 1e6)
    return {
        "ranks": task.ranks,
        "rows": rows,
        "vocabulary": VOCABULARY,
        "case": name,
        "wrong": wrong,
        "exchanges": exchanges_of(lambda: calls[OURS](0)),
        "results": {called: asdict(Summary.of_turns(spent, len(spent))) for called, spent in times.items()},
    }


def exchanges_of(call: Any) -> list[tuple[str, int]]:
    """The collectives of a call on shards, each with the bytes that a rank brings."""
    from fire_sampling.distributed._ranks import Ranks

    done: list[tuple[str, int]] = []
    kept = {name: getattr(Ranks, name) for name in (model.GATHER, model.ADD, "first")}

    def spied(name: str) -> Any:
        def method(self: Ranks, mine: Tensor) -> Tensor:
            done.append((name, mine.nbytes))
            result: Tensor = kept[name](self, mine)
            return result

        return method

    try:
        for name in kept:
            setattr(Ranks, name, spied(name))
        call()
    finally:
        for name, method in kept.items():
            setattr(Ranks, name, method)
    return done


def measure(options: argparse.Namespace) -> Results:
    context = multiprocessing.get_context("spawn")
    cells: list[Results] = []
    for ranks in RANKS:
        with tempfile.TemporaryDirectory() as folder:
            here, there = context.Pipe()
            task = Task(str(Path(folder) / "store"), ranks, options.rounds)
            processes = [context.Process(target=serve, args=(rank, task, there)) for rank in range(ranks)]
            for process in processes:
                process.start()
            there.close()  # so that a rank that dies is heard
            cells += here.recv()
            for process in processes:
                process.join()
    return {"cells": cells}


def table(run: Results) -> str:
    lines = []
    for cell in run["cells"]:
        found = cell["results"]
        base = found[GATHER]["median"]
        lines.append(
            (
                str(cell["ranks"]),
                str(cell["rows"]),
                model.CASES[cell["case"]].title,
                str(len(cell["exchanges"])),
                f"{sum(sent for _, sent in cell['exchanges']) / 1024:,.1f}",
                f"{cell['rows'] * model.gathered_bytes(cell['ranks'], cell['vocabulary']) / 1024:,.0f}",
                microseconds(base),
                microseconds(found[OURS]["median"]),
                f"{base / found[OURS]['median']:.2f}",
                f"{base / found[CHECKED]['median']:.2f}",
            )
        )
    header = (
        "ranks",
        "rows",
        "setting",
        "exchanges",
        "KiB a rank brings",
        "of the gather",
        "gather and sample, µs",
        "shards, µs",
        "times as fast",
        "with the header",
    )
    return markdown_table(header, lines)


def about(run: Results) -> str:
    cell = run["cells"][0]
    calls = (
        f" of {cell['results'][OURS]['calls']} calls, each that of the slowest rank, on bfloat16 rows of "
        f"{cell['vocabulary']:,},\nranks that are processes of this machine and exchange by gloo,\n"
    )
    wrong = sum(one["wrong"] for one in run["cells"])
    told = f"{wrong} tokens of any rank differed from the whole rows'."
    return f"{measured_on(run, calls, ', one thread a rank')} {told}"


def predicted() -> str:
    """What a rank brings for a row, counted; and microseconds by the model."""
    sizes, cases = shards_plot.VOCABULARIES, model.CASES.values()
    titles = (*(f"gather, V = {size:,}" for size in sizes), *(case.title for case in cases))
    sent = [("exchanges", "1", "1", *(str(len(case.exchanges(2))) for case in cases))]
    times = []
    for ranks in shards_plot.RANKS:
        brought = [model.gathered_bytes(ranks, size) for size in sizes]
        brought += [case.row_bytes(ranks) for case in cases]
        sent.append((str(ranks), *(f"{count:,}" for count in brought)))
        for rows in shards_plot.ROWS:
            spent = [model.gather_microseconds(ranks, size, rows) for size in sizes]
            spent += [case.microseconds(ranks, rows) for case in cases]
            times.append((str(ranks), str(rows), *map(microseconds, spent)))
    return f"{markdown_table(('tp', *titles), sent)}\n\n{markdown_table(('tp', 'rows', *titles), times)}"


PROGRAM = Comparison("shards", "distributed.md", measure, table, about, checked="tokens")
MODEL = "bench/harness/exchange_model.py"


def main() -> int:
    options = PROGRAM.parser(__doc__, rounds=30).parse_args()
    status = PROGRAM.main(options)
    if options.show and options.out == PROGRAM.results:
        write_between_markers(PROGRAM.document, MODEL, predicted(), "bench/shards.py")
        shards_plot.draw(ROOT / "docs/images/distributed.svg")
    return status


if __name__ == "__main__":
    sys.exit(main())
