"""`python -m fire_sampling.evaluate` on a tiny model: its files, a kill, and its tokens."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from evaluations import SMALL, evaluate, samples, write_model, write_prompts
from pages import blocks
from tiny_models import one_thread  # noqa: F401

import fire_sampling as fire
from fire_sampling.evaluate.backends import Drawn
from fire_sampling.evaluate.judges import named
from fire_sampling.evaluate.prompts import Judgement, Prompt, read_jsonl
from fire_sampling.evaluate.transformers_backend import Transformers
from fire_sampling.integrations.transformers import fire_generate

HOT = fire.SamplingConfig(temperature=0.9, top_k=20, hot_top_k=16, seed=5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of four prompts, and beside it their file."""
    folder = tmp_path_factory.mktemp("whole")
    write_prompts(folder / "prompts.jsonl")
    assert evaluate(model, folder / "prompts.jsonl", folder / "out", "--judge", "number") == 0
    return folder


def test_a_run_leaves_samples_a_result_and_a_picture(whole: Path) -> None:
    lines = samples(whole / "out")
    assert [line["name"] for line in lines[1:]] == ["p0", "p1", "p2", "p3"]
    result = json.loads((whole / "out" / "result.json").read_text())
    assert result["prompts"] == 4
    assert result["settings"]["hot_top_k"] == 16
    assert result["settings"]["hot_top_p"] == 0.95, "a default that follows another option is recorded"
    for way in ("plain", "FIRE"):
        of = [line["arms"][way] for line in lines[1:]]
        assert all(len(arm["correct"]) == 6 for arm in of)
        assert result[way]["speed"]["tokens"] == sum(arm["tokens"] for arm in of)
    assert "pass@k" in (whole / "out" / "result.svg").read_text()


def test_the_two_ways_differ_in_the_hot_token_and_neither_begins_with_the_end(whole: Path) -> None:
    lines = samples(whole / "out")[1:]
    firsts = {way: [line["arms"][way]["first"] for line in lines] for way in ("plain", "FIRE")}
    assert firsts["plain"] != firsts["FIRE"]
    assert all(tiny_models.EOS not in of for way in firsts.values() for of in way)


def test_a_kill_loses_the_prompt_under_way_and_nothing_else(
    model: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kill_at_third.py").write_text(
        "import os, signal\n"
        "from fire_sampling.evaluate.judges import last_number\n"
        "def judge(completion, line):\n"
        "    if line['id'] == 'p2' and os.environ.get('KILL'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    answer = last_number(completion)\n"
        "    return answer, answer == '7'\n"
    )
    program = [sys.executable, "-m", "fire_sampling.evaluate", "--model", str(model), *SMALL]
    program += ["--jsonl", str(whole / "prompts.jsonl"), "--judge", "kill_at_third:judge"]
    killed = subprocess.run(
        [*program, "--output", str(tmp_path / "out")],
        env={"KILL": "1", "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert killed.returncode == -9, killed.stderr
    assert [line["name"] for line in samples(tmp_path / "out")[1:]] == ["p0", "p1"]
    with (tmp_path / "out" / "samples.jsonl").open("a") as file:
        file.write('{"name": "p2", "arms": {"pl')  # a kill in the middle of a write

    monkeypatch.syspath_prepend(tmp_path)
    again = (model, whole / "prompts.jsonl", tmp_path / "out", "--judge", "kill_at_third:judge")
    assert evaluate(*again) == 1, "without --resume nothing is overwritten"
    assert evaluate(*again, "--resume") == 0
    assert samples(tmp_path / "out")[1:] == samples(whole / "out")[1:]


def test_resuming_with_another_setting_or_other_prompts_names_what_differs(
    model: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = whole / "prompts.jsonl"
    assert evaluate(model, prompts, whole / "out", "--judge", "number", "--resume", "--top-k", "7") == 1
    assert "was begun with top_k 50, and this run has 7" in capsys.readouterr().err
    other = tmp_path / "prompts.jsonl"
    other.write_text(prompts.read_text().replace("aaa", "aab"))
    assert evaluate(model, other, whole / "out", "--judge", "number", "--resume") == 1
    assert "was begun with prompts_sha256" in capsys.readouterr().err


def test_a_finished_run_is_told_again_with_other_k_without_drawing(
    model: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole / "out", tmp_path / "out")
    monkeypatch.setattr("fire_sampling.evaluate.__main__.load", None)
    again = ("--judge", "number", "--resume", "--pass-at", "3", "--title", "again")
    assert evaluate(model, whole / "prompts.jsonl", tmp_path / "out", *again) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["settings"]["title"] == "again"
    assert "pass@3" in result["plain"]


def test_samples_of_another_version_are_not_gone_on_with(
    model: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole / "out", tmp_path / "out")
    file = tmp_path / "out" / "samples.jsonl"
    lines = file.read_text().splitlines(keepends=True)[:3]
    file.write_text("".join(lines).replace(f'"torch": "{torch.__version__}"', '"torch": "1.0"'))
    assert evaluate(model, whole / "prompts.jsonl", tmp_path / "out", "--judge", "number", "--resume") == 1
    assert f"--resume: the samples there are of torch 1.0, and this run has {torch.__version__}" in (
        capsys.readouterr().err
    )
    assert len(file.read_text().splitlines()) == 3


def test_a_file_of_one_line_is_not_overwritten(model: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text("notes of mine\n")
    for more in ((), ("--resume",)):
        assert evaluate(model, whole / "prompts.jsonl", tmp_path, "--judge", "number", *more) == 1
        assert (tmp_path / "samples.jsonl").read_text() == "notes of mine\n"


def test_a_line_separator_in_a_text_ends_no_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "one\u2028two", "answer": "7"}\n', encoding="utf-8")
    (prompt,) = read_jsonl(path, named("number"))
    assert prompt.messages == "one\u2028two"


def a_prompt(stops: tuple[str, ...] = ()) -> Prompt:
    return Prompt("p", "abc", "7", lambda text: Judgement(text, True), stops)


def drawn(prompt: Prompt, batch: int = 64, limit: int = 10, samples: int = 8) -> Drawn:
    backend = Transformers(tiny_models.llama(), tiny_models.tokenizer(), False, limit, batch)
    (only,) = backend.draw(prompt, [HOT], samples, first_row=3)
    return only


def test_the_tokens_are_those_of_fire_generate() -> None:
    tokenizer = tiny_models.tokenizer()
    inputs = torch.tensor([tokenizer("abc")["input_ids"]])
    arguments: dict[str, Any] = {
        **{"do_sample": True, "temperature": 0.9, "top_k": 20, "max_new_tokens": 10, "min_new_tokens": 1},
        **{"num_return_sequences": 8, "custom_generate": fire_generate},
        **{"fire_config": fire.SamplingConfig(hot_top_k=16), "fire_seed": 5, "fire_first_row": 3},
    }
    rows = tiny_models.llama().generate(inputs, **arguments)[:, inputs.shape[1] :]
    ours = drawn(a_prompt())
    assert [one.first for one in ours.completions] == rows[:, 0].tolist()
    assert [one.text for one in ours.completions] == tokenizer.batch_decode(rows, skip_special_tokens=True)
    ended = [tiny_models.EOS in row for row in rows.tolist()]
    assert [one.ended for one in ours.completions] == ended
    assert 0 < sum(ended) < 8, "rows that end and rows that do not"


def test_a_batch_in_parts_gives_the_same_samples() -> None:
    assert drawn(a_prompt(), batch=3).completions == drawn(a_prompt()).completions


def test_both_ways_in_one_batch_give_the_same_samples() -> None:
    backend = Transformers(tiny_models.llama(), tiny_models.tokenizer(), False, 10, 64)
    plain, hot = backend.draw(a_prompt(), [HOT.replace(hot_steps=0), HOT], 8, first_row=3)
    assert hot.completions == drawn(a_prompt()).completions
    assert plain.completions != hot.completions


def test_a_string_that_ends_an_answer_is_no_part_of_it_and_the_row_leaves_the_batch() -> None:
    whole = drawn(a_prompt(), limit=16)
    stop = next(one.text[3:5] for one in whole.completions if len(one.text) > 8)
    cut = drawn(a_prompt((stop,)), limit=16)
    for with_it, without in zip(whole.completions, cut.completions, strict=True):
        assert without.text == with_it.text.partition(stop)[0]
        if stop in with_it.text:
            assert without.ended
            assert without.tokens == len(without.text) + len(stop)


def test_the_pages_file_for_evalplus_has_a_line_a_sample(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = blocks("docs/evaluate.md", "python", '"solution"')
    (tmp_path / "evaluation").symlink_to(whole / "out")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/evaluate.md", "exec"), {})
    lines = [json.loads(line) for line in (tmp_path / "FIRE.jsonl").open()]
    assert [line["task_id"] for line in lines] == [f"p{n}" for n in range(4) for _ in range(6)]
    assert lines[0]["solution"] == samples(whole / "out")[1]["arms"]["FIRE"]["texts"][0]
