"""The tables of the FIRE paper in miniature: teaches tiny transformers, samples them plain and with FIRE, and
reports.

Also trains some of them on rollouts with hot first tokens.
"""

import argparse
import os
import platform
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
import transformers

import fire_sampling as fire
from examples.page import fill
from examples.paper import plot
from examples.paper.findings import findings, how_it_ran
from examples.paper.jobs import Size, run
from examples.paper.results import Results
from examples.paper.sampling import REGULAR
from examples.paper.study import HOT_TEMPERATURE
from examples.paper.tables import tables, training_tables
from examples.paper.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "paper.md"
TRAINING_PAGE = ROOT / "docs" / "training.md"
FILE = ROOT / "bench" / "results" / "paper" / "paper.json"
WRITER = "examples/paper --write-docs"


def main() -> int:
    arguments = _parse()
    if arguments.report:
        results = Results.read(arguments.report)
    else:
        size = Size(arguments.seeds, arguments.prompts, arguments.samples, arguments.steps, arguments.updates)
        results = make(size, arguments.processes)
        results.write(arguments.output / "paper.json")
        print(f"Results: {arguments.output / 'paper.json'}")
    for table in [*tables(results), *training_tables(results)]:
        print(f"\n{table.text()}")
    print(f"\n{findings(results)}\n\n{how_it_ran(results)}")
    pictures = plot.draw_all(results, arguments.output)
    for picture in pictures:
        print(f"Picture: {picture}")
    if arguments.write_docs:
        source = arguments.report or arguments.output / "paper.json"
        if source.resolve() != FILE:
            shutil.copyfile(source, FILE)
        for picture in pictures:
            shutil.copyfile(picture, PAGE.parent / "images" / picture.name)
        fill(PAGE, WRITER, page_text(results))
        fill(TRAINING_PAGE, WRITER, training_text(results))
    return 0


def page_text(results: Results) -> str:
    """What the command writes into docs/paper.md."""
    made = [*tables(results), *training_tables(results)]
    return "\n\n".join([findings(results), how_it_ran(results), *(table.markdown() for table in made)])


def training_text(results: Results) -> str:
    """What the command writes into docs/training.md."""
    return "\n\n".join(table.markdown() for table in training_tables(results))


def make(size: Size, processes: int) -> Results:
    """Runs everything."""
    begin = time.perf_counter()
    done = run(size, processes)
    settings = {
        **asdict(size),
        "regular": REGULAR,
        "hot_temperature": HOT_TEMPERATURE,
        "hot_top_k": {task.name: task.hot_top_k for task in TASKS},
    }
    machine = {
        "platform": platform.machine(),
        "processes": processes,
        "wall_seconds": round(time.perf_counter() - begin),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "fire_sampling": fire.__version__,
    }
    return Results(
        settings,
        machine,
        [each.model for each in done],
        [entry for each in done for entry in each.entries],
        [trained for each in done for trained in each.trained],
    )


def _parse() -> argparse.Namespace:
    size = Size()
    parser = argparse.ArgumentParser(prog="python -m examples.paper", description=__doc__)
    parser.add_argument("--seeds", type=int, default=size.seeds, help="models a task (default %(default)s)")
    parser.add_argument("--prompts", type=int, default=size.prompts, help="(default %(default)s)")
    parser.add_argument(
        "--samples", type=int, default=size.samples, help="answers to a prompt (default %(default)s)"
    )
    parser.add_argument("--steps", type=int, help="of teaching (default: each task's own number)")
    parser.add_argument(
        "--updates", type=int, default=size.updates, help="of training on rollouts (default %(default)s)"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="models at a time; the results do not depend on it (default: the cores, %(default)s)",
    )
    parser.add_argument("--report", type=Path, help="only report this results file")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "paper_output", help="folder for results and pictures"
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="put tables and pictures into docs/paper.md and docs/training.md, results into bench/results",
    )
    arguments = parser.parse_args()
    for name in ("seeds", "prompts", "samples", "steps", "updates", "processes"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: got {value}, expected at least 1")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
