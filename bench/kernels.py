"""Times the operators' CUDA kernels beside their goals: python bench/kernels.py [--json FILE]

Every cell's rows rotate over several times the L2 cache, its calls are captured in one CUDA graph, and its
tokens are compared with the CPU backend's. Needs torch and the operators' two objects, nothing of the Python
package.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gpu import goals
from gpu.cells import DTYPES, ROWS, VOCABULARY, Cell, cells, logits, records
from gpu.clocks import Clock, EagerClock, GraphClock, RehearsalClock
from gpu.table import kernels_table
from torch import Tensor

SCHEMA = 1
ROTATION = 4  # times the L2 that a cell's rows fill
MOST_CALLS = 512  # of a graph
LEAST_CALLS = 8
CHECKED_ROWS = 64
REHEARSED_ROWS = (1, 8)
REHEARSED_VOCABULARY = 512


@dataclass(frozen=True)
class Bench:
    device: torch.device
    clock: Clock
    l2_bytes: int

    def calls(self, cell: Cell, pool: Tensor) -> int:
        """So many that their rows fill the caches over and over, or that the graph is long enough."""
        wanted = ROTATION * self.l2_bytes // cell.bytes
        return max(LEAST_CALLS, min(MOST_CALLS, wanted, 4 * pool.shape[0] // cell.rows))

    def work(self, cell: Cell, pool: Tensor) -> tuple[list[Callable[[], Any]], Tensor, Tensor]:
        """The cell's calls, each on the next rows of the pool, and their steps and records."""
        cfg = records(cell.setting, cell.rows).to(self.device)
        step = torch.zeros(cell.rows, dtype=torch.int64, device=self.device)
        places = pool.shape[0] // cell.rows

        def call_on(part: Tensor) -> Callable[[], Any]:
            if cell.setting.outputs == "token":
                return lambda: torch.ops.fire.sample(part, step, cfg)
            reference = cell.setting.outputs == "reference"
            return lambda: torch.ops.fire.sample_with_logprobs(part, step, cfg, reference=reference)

        parts = [pool[place * cell.rows : (place + 1) * cell.rows] for place in range(places)]
        return [call_on(parts[i % places]) for i in range(self.calls(cell, pool))], step, cfg

    def measure(self, cell: Cell, pool: Tensor) -> dict[str, Any]:
        calls, step, cfg = self.work(cell, pool)
        samples = sorted(self.clock.samples(calls))
        median = statistics.median(samples) if samples else None
        checked, wrong = self.check(cell, calls[0](), pool, step, cfg)
        return {
            "setting": cell.setting.name,
            "dtype": cell.dtype,
            "rows": cell.rows,
            "us": median,
            "low": samples[len(samples) // 10] if samples else None,
            "high": samples[-1 - len(samples) // 10] if samples else None,
            "gb_s": cell.bytes / median / 1e3 if median else None,
            "calls": len(calls),
            "floor_us": goals.floor_us(cell),
            "goal_us": goals.goal_us(cell),
            "predicted_us": goals.predicted_us(cell),
            "checked": checked,
            "wrong": wrong,
        }

    def check(self, cell: Cell, found: Any, pool: Tensor, step: Tensor, cfg: Tensor) -> tuple[int, int]:
        """How many tokens were compared with the CPU's, and how many differ."""
        count = min(cell.rows, CHECKED_ROWS)
        token = (found if cell.setting.outputs == "token" else found[0])[:count].cpu()
        expected = torch.ops.fire.sample(pool[:count].cpu(), step[:count].cpu(), cfg[:count].cpu())
        return count, int((token != expected).sum())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operators", type=Path, default=None, help="folder of the operators' objects")
    parser.add_argument("--json", type=Path, help="where to write the results, again after every setting")
    parser.add_argument(
        "--limit-s", type=float, default=600, help="cells that it does not reach are a failure"
    )
    parser.add_argument("--settings", nargs="+", help="just these")
    parser.add_argument("--rows", nargs="+", type=int, help="just these numbers of rows")
    parser.add_argument("--once", action="store_true", help="call every cell once, for a profiler; no times")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, on short rows; no times")
    chosen = parser.parse_args(arguments)
    load_operators(chosen.operators or installed_operators(), with_cuda=not chosen.rehearse)
    bench = make_bench(chosen)
    wanted = cells(
        tuple(chosen.rows or (REHEARSED_ROWS if chosen.rehearse else ROWS)),
        REHEARSED_VOCABULARY if chosen.rehearse else VOCABULARY,
    )
    wanted = [cell for cell in wanted if chosen.settings is None or cell.setting.name in chosen.settings]
    found = run(bench, wanted, chosen.limit_s, chosen.json)
    if not chosen.rehearse and not chosen.once:
        found["eager"] = eager(bench, wanted)
        save(found, chosen.json)
    print(kernels_table(found))
    wrong = sum(cell["wrong"] for cell in found["cells"])
    missed = len(wanted) - len(found["cells"])
    print(f"{len(found['cells'])} cells, {missed} not reached, {wrong} wrong tokens")
    return 1 if wrong or missed else 0


def make_bench(chosen: argparse.Namespace) -> Bench:
    if chosen.rehearse:
        return Bench(torch.device("cpu"), RehearsalClock(), 1 << 16)
    device = torch.device("cuda", 0)
    l2_bytes = torch.cuda.get_device_properties(device).L2_cache_size
    return Bench(device, RehearsalClock() if chosen.once else GraphClock(), 0 if chosen.once else l2_bytes)


def run(bench: Bench, wanted: list[Cell], limit_s: float, json_path: Path | None) -> dict[str, Any]:
    begin = time.monotonic()
    found: dict[str, Any] = {"schema": SCHEMA, "vocabulary": wanted[0].vocabulary, "cells": []}
    pools: dict[tuple[str, bool], Tensor] = {}
    for cell in wanted:
        if time.monotonic() - begin > limit_s:
            break
        key = (cell.dtype, cell.setting.flat)
        if key not in pools:
            # One dtype's rows at a time; as many as the largest batch takes twice.
            pools = {kept: pool for kept, pool in pools.items() if kept[0] == cell.dtype}
            most = max(other.rows for other in wanted)
            rows = max(2 * most, ROTATION * bench.l2_bytes // cell.row_bytes)
            pools[key] = logits(rows, cell.vocabulary, DTYPES[cell.dtype], cell.setting.flat, bench.device)
        found["cells"].append(bench.measure(cell, pools[key]))
        save(found, json_path)
    return found


def eager(bench: Bench, wanted: list[Cell]) -> list[dict[str, Any]]:
    """What a call costs from Python, for few rows, where that is the larger part."""
    clock = EagerClock()
    found = []
    for cell in wanted:
        if cell.setting.name == wanted[0].setting.name and cell.dtype == wanted[0].dtype and cell.rows <= 64:
            pool = logits(4 * cell.rows, cell.vocabulary, DTYPES[cell.dtype], cell.setting.flat, bench.device)
            calls, _, _ = bench.work(cell, pool)
            us = statistics.median(clock.samples(calls * 16))
            found.append({"setting": cell.setting.name, "dtype": cell.dtype, "rows": cell.rows, "us": us})
    return found


def save(found: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps(found, allow_nan=False) + "\n")
        os.replace(beside, path)


def installed_operators() -> Path:
    """The package's folder, found without importing it."""
    found = importlib.util.find_spec("fire_sampling")
    if found is None or not found.submodule_search_locations:
        sys.exit("fire_sampling is not installed; --operators names the folder of its objects")
    return Path(found.submodule_search_locations[0])


def load_operators(folder: Path, with_cuda: bool) -> None:
    torch.ops.load_library(str(folder / "libfire_sampling_torch_cpu.so"))
    if with_cuda:
        torch.ops.load_library(str(folder / "libfire_sampling_torch_cuda.so"))


if __name__ == "__main__":
    sys.exit(main())
