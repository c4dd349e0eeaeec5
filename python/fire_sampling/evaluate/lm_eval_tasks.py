"""Tasks of lm-evaluation-harness: its documents, examples, prompts, filters and metrics.

The samples are drawn by the backends here, not by lm-eval's model classes: those return text alone, and a
completion that was cut off must not be read for its last number.
"""

from __future__ import annotations

import argparse
import functools
import json
from typing import Any

from fire_sampling._messages import shown
from fire_sampling.evaluate.packages import EvaluationError, need
from fire_sampling.evaluate.prompts import Judgement, Prompt

# What a filter of lm-eval returns where it finds no answer.
_NO_ANSWER = "[invalid]"
# lm-eval's own default, by which it chooses examples.
_FEWSHOT_SEED = 1234


def read(options: argparse.Namespace) -> list[Prompt]:
    """The prompts of `--task`, in the order of its documents.

    Raises:
        EvaluationError: lm-eval is missing or cannot load the task; it is a group, or ranks given answers
            instead of generating; it has no such filter or metric.
    """
    manager = _manager(options.tasks_folder)
    if options.task not in manager.all_tasks:
        raise EvaluationError(f"--task: got {options.task!r}, which lm-eval does not know (lm_eval ls tasks)")
    tasks = list(manager.load([options.task])["tasks"].values())
    if len(tasks) != 1:
        names = ", ".join(task.task_name for task in tasks)
        raise EvaluationError(f"--task: {options.task} is a group, expected one task: one of {names}")
    (task,) = tasks
    if task.OUTPUT_TYPE != "generate_until":
        raise EvaluationError(
            f"--task: {options.task} is of type {task.OUTPUT_TYPE}, expected generate_until: it ranks given "
            "answers, and has nothing to sample"
        )
    if options.fewshot is not None:
        task.set_config("num_fewshot", options.fewshot)
    task.set_fewshot_seed(_FEWSHOT_SEED)
    end = None if options.limit is None else options.skip + options.limit
    task.build_all_requests(
        limit=end,
        apply_chat_template=options.chat,
        fewshot_as_multiturn=options.chat,
        # The messages travel through lm-eval as text; the backend's own tokenizer renders them.
        chat_template=(lambda messages, **_: json.dumps(messages)) if options.chat else None,
    )
    return [_prompt(task, instance, options) for instance in task.instances]


@functools.cache
def _manager(folder: str | None) -> Any:
    """lm-eval's index of its tasks and of those in a folder, which takes it many seconds."""
    return need("lm_eval.tasks", "lm-eval", "--task").TaskManager(include_path=folder)


def _prompt(task: Any, instance: Any, options: argparse.Namespace) -> Prompt:
    context, generation = instance.args[:2]
    until = generation.get("until") or []
    stops = (*([until] if isinstance(until, str) else until), *options.stop)
    return Prompt(
        name=f"{task.task_name}/{instance.doc_id}",
        messages=json.loads(context) if options.chat else context,
        expected=str(task.doc_to_target(instance.doc)),
        judge=_Judge(task, instance, options.filter, options.metric),
        stops=tuple(stop for stop in stops if stop),
    )


class _Judge:
    """A completion, filtered as the task says, and its metric."""

    def __init__(self, task: Any, instance: Any, filter_name: str | None, metric: str | None) -> None:
        self._task, self._instance, self._metric = task, instance, metric
        filters = {ensemble.name: ensemble for ensemble in getattr(task, "_filters", [])}
        self._filter = filter_name or next(iter(filters), "none")
        if filter_name is not None and filter_name not in filters:
            raise EvaluationError(f"--filter: got {filter_name!r}, expected one of {', '.join(filters)}")
        self._ensemble = filters.get(self._filter)

    def __call__(self, completion: str) -> Judgement:
        answer: Any = completion
        if self._ensemble is not None:
            self._instance.resps = [completion]
            self._ensemble.apply([self._instance])
            answer = self._instance.filtered_resps[self._filter]
        scores = self._task.process_results(self._instance.doc, [answer])
        name = self._metric or next(iter(scores))
        if name not in scores:
            raise EvaluationError(f"--metric: got {name!r}, expected one of {', '.join(scores)}")
        score = scores[name]
        if not isinstance(score, int | float):
            expected = "a number for each sample, 1 for a right one"
            raise EvaluationError(f"--metric: {name} gives {shown(score)}, expected {expected}")
        found = None if answer in ("", _NO_ANSWER) else str(answer)
        return Judgement(found, float(score) == 1.0)
