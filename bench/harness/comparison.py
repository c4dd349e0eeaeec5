"""A program that times a few calls beside each other: how it measures, and where it shows what it found."""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from views.text import write_between_markers

from . import machine, operators, results_file
from .summary import Summary

ROOT = Path(__file__).resolve().parents[2]

Results = dict[str, Any]
Call = Callable[[Tensor], Any]  # of a batch of logits


def interleaved(
    calls: Mapping[str, Call],
    batches: Sequence[Tensor],
    rounds: int,
    cold: int = 0,
    kept: str = "",
    per: int = 1,
) -> tuple[Results, list[tuple[Tensor, Any]]]:
    """Times every call once a round, in random order, each on the batch that comes next.

    Time is the thread's own on its processor, which no other process lengthens by taking turns. The first
    `cold` rounds are not timed: they find their code cold.

    Returns:
        Each call's summary, of a `per`-th of a call; and the batches and results of the call named `kept`.
    """
    order, upcoming = random.Random(1), itertools.cycle(batches)
    times: dict[str, list[int]] = {name: [] for name in calls}
    found = []
    for turn in range(rounds + cold):
        for name in order.sample(list(calls), len(calls)):
            batch = next(upcoming)
            begin = time.thread_time_ns()
            result = calls[name](batch)
            if turn >= cold:
                times[name].append((time.thread_time_ns() - begin) // per)
            if name == kept:
                found.append((batch, result))
    return {name: asdict(Summary.of_nanoseconds(spent)) for name, spent in times.items()}, found


@dataclass(frozen=True)
class Comparison:
    """bench/NAME.py."""

    name: str
    page: str  # of docs, that shows its table
    measure: Callable[[argparse.Namespace], Results]  # the cells, and what else a run holds
    table: Callable[[Results], str]
    about: Callable[[Results], str]  # the sentences below the table
    missed: Callable[[Results], list[str]] = lambda _: []  # the cells that miss their goal, in words
    checked: str = ""  # what a cell's "wrong" counts

    @property
    def results(self) -> Path:
        return ROOT / "bench" / "results" / self.name / "cpu.json"

    @property
    def document(self) -> Path:
        return ROOT / "docs" / self.page

    @property
    def place(self) -> tuple[str, str]:
        """What the page's markers name: the results, and the program."""
        return str(self.results.relative_to(ROOT)), f"bench/{self.name}.py"

    def part(self, run: Results) -> str:
        """What the page shows."""
        return f"{self.table(run)}\n\n{self.about(run)}"

    def run(self, options: argparse.Namespace) -> Results:
        """Measures on one thread, and says on what."""
        torch.set_num_threads(1)
        operators.load(None, with_cuda=False)
        stolen = machine.StolenTime()
        found = self.measure(options)
        from fire_sampling import _native

        return {
            "machine": machine.describe(),
            "instruction_set": _native.build_info()["instruction_set"],
            # Processes that wanted to run in the last minute, ours among them: the reader's measure of trust.
            "load": Path("/proc/loadavg").read_text().split()[0],
            "stolen_percent": stolen.percent(),
            **found,
        }

    def parser(self, description: str | None, rounds: int | None = None) -> argparse.ArgumentParser:
        """`rounds`: the default of --rounds, of a program that has it."""
        parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--show", action="store_true", help="measure nothing")
        if rounds is not None:
            help_text = "calls of each kind a cell; %(default)s"
            parser.add_argument("--rounds", type=int, default=rounds, help=help_text)
        parser.add_argument("--out", type=Path, default=self.results, help=f"default: {self.place[0]}")
        return parser

    def main(self, options: argparse.Namespace) -> int:
        """Measures, writes and prints; or shows an earlier run, the committed one on its page too."""
        if options.show:
            run = json.loads(options.out.read_text())
            print(self.part(run))
            if options.out == self.results:
                name, program = self.place
                write_between_markers(self.document, name, self.part(run), program)
            return 0
        run = self.run(options)
        results_file.write(options.out, run)
        print(self.table(run))
        told = [f"missed: {one}" for one in self.missed(run)]
        wrong = sum(cell.get("wrong", 0) for cell in run["cells"])
        if self.checked:
            told.append(f"{wrong} wrong {self.checked}: {options.out}")
        print("\n".join(told))
        return 1 if wrong else 0


def measured_on(run: Results, calls: str, threads: str = "", between: str = "") -> str:
    """On what a run was measured: of how many `calls`, and what stands before them."""
    where = run["machine"]
    return (
        f"{where['name']}, {run['instruction_set']}{threads}; {where['date']}. {between}Medians"
        f"{calls}on a machine that others used: a load of {run['load']} on {where['facts']['cores']} cores."
    )
