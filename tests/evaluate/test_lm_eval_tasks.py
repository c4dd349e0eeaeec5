"""Tasks of lm-evaluation-harness: its documents, stops, filters and metric, and samples that are ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tasks_folder
import tiny_models
from tiny_models import one_thread  # noqa: F401

from fire_sampling.evaluate import arguments, lm_eval_tasks
from fire_sampling.evaluate.__main__ import main
from fire_sampling.evaluate.packages import EvaluationError
from fire_sampling.evaluate.prompts import Prompt

DRAWN = ["--samples", "6", "--max-new-tokens", "12", "--temperature", "1.5", "--no-chat-template"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_models.llama().save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tasks_folder.write(tmp_path_factory.mktemp("tasks"))


def read(tasks: Path, *options: str, task: str = "digits") -> list[Prompt]:
    given = ["--model", "m", "--task", task, "--tasks-folder", str(tasks), *options]
    return lm_eval_tasks.read(arguments.parse(given))


def test_a_task_gives_the_samples_and_verdicts_of_the_same_prompts_in_a_file(
    model: Path, tasks: Path, tmp_path: Path
) -> None:
    lines = [{"prompt": question, "answer": answer} for question, answer in tasks_folder.ANSWERS.items()]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "last_digit.py").write_text(
        "import re\n"
        "def judge(completion, line):\n"
        "    found = re.findall('[0-9]', completion)\n"
        "    return (found[-1], found[-1] == line['answer']) if found else (None, False)\n"
    )
    task = ["--task", "digits", "--tasks-folder", str(tasks)]
    file = ["--jsonl", str(tmp_path / "prompts.jsonl"), "--stop", *tasks_folder.STOPS]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        for name, source in (("task", task), ("file", [*file, "--judge", "last_digit:judge"])):
            assert main(["--model", str(model), "--output", str(tmp_path / name), *source, *DRAWN]) == 0
    by_task, by_file = (_arms(tmp_path / name) for name in ("task", "file"))
    assert by_task == by_file
    assert any(any(arm["correct"]) for entry in by_task for arm in entry.values()), "some are right"


def _arms(output: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (output / "samples.jsonl").open()][1:]
    for line in lines:
        for arm in line["arms"].values():
            del arm["seconds"]
    return [line["arms"] for line in lines]


def test_prompts_have_names_answers_and_stops_of_the_task(tasks: Path) -> None:
    prompts = read(tasks, "--no-chat-template", "--skip", "1", "--limit", "2", "--stop", "K")
    assert [prompt.name for prompt in prompts] == ["digits/0", "digits/1", "digits/2"], "--skip comes later"
    assert [prompt.messages for prompt in prompts] == ["aaa!7", "bbb!4", "ccc!1"]
    assert [prompt.expected for prompt in prompts] == ["5", "7", "6"]
    assert prompts[0].stops == (*tasks_folder.STOPS, "K")


def test_a_chat_has_the_examples_as_turns(tasks: Path) -> None:
    (prompt, *_) = read(tasks, "--fewshot", "1")
    assert [turn["role"] for turn in prompt.messages] == ["user", "assistant", "user"]
    assert prompt.messages[-1] == {"role": "user", "content": "aaa!7"}


def test_the_first_filter_judges_unless_another_is_named(tasks: Path) -> None:
    (prompt, *_) = read(tasks, "--no-chat-template")
    assert prompt.judge("4, so 5.") == ("5", True)
    assert prompt.judge("5, no 4.") == ("4", False)
    assert prompt.judge("none") == (None, False)
    (prompt, *_) = read(tasks, "--no-chat-template", "--filter", "first", "--metric", "exact_match")
    assert prompt.judge("5, no 4.") == ("5", True)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("no_such_task", [], "--task: got 'no_such_task', which lm-eval does not know"),
        ("ranked", [], "--task: ranked is of type multiple_choice, expected generate_until"),
        ("digits", ["--filter", "middle"], "--filter: got 'middle', expected one of last, first"),
        ("digits", ["--metric", "bleu"], "--metric: got 'bleu', expected one of exact_match"),
    ],
)
def test_what_a_task_lacks_is_named(tasks: Path, task: str, options: list[str], message: str) -> None:
    with pytest.raises(EvaluationError, match=message.replace("(", r"\(")):
        read(tasks, "--no-chat-template", *options, task=task)[0].judge("7")
