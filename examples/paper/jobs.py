"""The parts of a run, each a model's whole life: taught, then measured, or trained on rollouts by every
remedy."""

import copy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import torch
from tqdm import tqdm

from examples.paper.grpo import REMEDIES, WITHOUT_BETTER, train_on_rollouts
from examples.paper.model import train
from examples.paper.openers import Openers
from examples.paper.results import Entry, Trained
from examples.paper.sampling import REGULAR
from examples.paper.study import first_token_probability, measure
from examples.paper.tasks import TASKS

# The seed of a test's prompts is a training seed and this, so that they are drawn anew. Prompts of a small
# task come again all the same: docs/paper.md says how many.
TEST_SEED = 10**6
HABIT_STEPS, HABIT_RATE = 100, 1e-3


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes:
        seeds: models a task.
        prompts, samples: of a test.
        steps: of training from demonstrations; None is each task's own number.
        updates: of training on rollouts.
    """

    seeds: int = 3
    prompts: int = 200
    samples: int = 40
    steps: int | None = None
    updates: int = 100


@dataclass(frozen=True)
class Done:
    """What a job made: a line about its model, and what was measured of it."""

    model: dict[str, Any]
    entries: list[Entry]
    trained: list[Trained]


def run(size: Size, processes: int) -> list[Done]:
    """Every job, in the order of their list whatever the number of processes: so are their results."""
    jobs: list[tuple[Callable[..., Done], Any, int]] = [
        (job, which, seed)
        for job, kinds in ((roll_out_and_measure, (True, False)), (teach_and_measure, range(len(TASKS))))
        for which in kinds
        for seed in range(size.seeds)
    ]
    bar = tqdm(total=len(jobs), unit="model", desc="models taught and measured", dynamic_ncols=True)
    done: dict[int, Done] = {}
    with bar:
        if processes == 1:
            for index, (job, which, seed) in enumerate(jobs):
                done[index] = job(which, seed, size)
                bar.update()
        else:
            with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
                futures = {
                    pool.submit(job, which, seed, size): index
                    for index, (job, which, seed) in enumerate(jobs)
                }
                for future in as_completed(futures):
                    done[futures[future]] = future.result()
                    bar.update()
    return [done[index] for index in range(len(jobs))]


def teach_and_measure(task_index: int, seed: int, size: Size) -> Done:
    """Tables 1, 2, 3 and 5 of one model of a task."""
    task = TASKS[task_index]
    with one_thread():
        begin = time.process_time()
        model = train(task, seed, size.steps)
        taught = time.process_time() - begin
        prompts, answers = task.problems(size.prompts, TEST_SEED + seed, testing=True)
        outcomes = measure(model, task, prompts, answers, size.samples)
        entries = [Entry(task.name, seed, measured) for measured in outcomes]
        sure = first_token_probability(model, prompts, REGULAR["temperature"])
    line = _line(task.name, seed, model, begin, taught) | {"first_token_probability": round(sure, 4)}
    return Done(line, entries, [])


def roll_out_and_measure(known: bool, seed: int, size: Size) -> Done:
    """Table 4 of one model that has a habit: every remedy from the same weights and on the same prompts."""
    task = Openers(known)
    with one_thread():
        begin = time.process_time()
        model = train(Openers(known, habits=False), seed, size.steps)
        habit_steps = HABIT_STEPS if size.steps is None else size.steps
        model = train(task, seed + TEST_SEED // 2, habit_steps, model, HABIT_RATE)
        taught = time.process_time() - begin
        prompts, _ = task.problems(size.prompts, TEST_SEED + seed, testing=True)
        trained = []
        for remedy in REMEDIES if known else WITHOUT_BETTER:
            policy = copy.deepcopy(model)
            checkpoints = train_on_rollouts(policy, task, remedy, seed, size.updates, prompts)
            trained.append(Trained(task.name, seed, remedy, checkpoints))
    return Done(_line(task.name, seed, model, begin, taught), [], trained)


def _line(task: str, seed: int, model: Any, begin: float, taught: float) -> dict[str, Any]:
    return {
        "task": task,
        "seed": seed,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_cpu_seconds": round(taught, 1),
        "cpu_seconds": round(time.process_time() - begin, 1),
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """So small a model gains nothing from a second thread, and its sums have one order on any machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
