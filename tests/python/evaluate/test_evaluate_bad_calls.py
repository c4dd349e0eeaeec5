"""What an evaluation refuses, and that the message names the option, what came and what was expected."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tiny_models
from evaluations import evaluate, write_prompts

from fire_sampling.evaluate.backends import encode
from fire_sampling.evaluate.decoding import prefill
from fire_sampling.evaluate.packages import EvaluationError
from fire_sampling.evaluate.prompts import read_jsonl

NOWHERE = Path("no-such-model")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", "0"], "--samples: got 0, expected at least 1"),
        (["--limit", "0"], "--limit: got 0, expected at least 1"),
        (["--skip", "-1"], "--skip: got -1, expected at least 0"),
        (["--skip", "9"], "--skip: got 9 of 4 prompts, expected to leave some"),
        (["--max-new-tokens", "0"], "--max-new-tokens: got 0, expected at least 1"),
        (["--batch", "0"], "--batch: got 0, expected at least 1"),
        (["--pass-at", "1", "7"], "--pass-at: got [1, 7], expected 1 to 6 (--samples)"),
        (["--top-p", "1.5"], "--top-p: got 1.5, expected"),
        (["--hot-top-k", "-2"], "--hot-top-k: got -2, expected"),
        (["--hot-steps", "0"], "--hot-steps: no step is hot with these options"),
        (["--seed", str(2**65)], "--seed: got"),
        (["--judge", "nearly"], "--judge: got 'nearly', expected math, number, exact, or MODULE:FUNCTION"),
        (
            ["--judge", "nowhere:judge"],
            "--judge: got 'nowhere:judge', which cannot be imported",
        ),
        (["--judge", "json:judge"], "--judge: got 'json:judge', which cannot be imported"),
        (["--engine", "{}"], "--engine: got one with --backend transformers, expected it with vllm"),
        (["--backend", "vllm", "--engine", "[1]"], "--engine: got [1], expected a JSON object"),
        (["--backend", "vllm", "--engine", "{"], "--engine: got '{', expected JSON"),
        (["--judge", "exact"], "--model: got 'no-such-model', which transformers cannot load"),
    ],
)
def test_a_wrong_option_is_named(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl")
    judge = [] if "--judge" in options else ["--judge", "number"]
    assert evaluate(NOWHERE, prompts, tmp_path / "out", *judge, *options) == 1
    assert f"fire_sampling.evaluate: {message}" in capsys.readouterr().err
    assert not (tmp_path / "out" / "result.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no prompt, expected one JSON object a line"),
        ('{"prompt": "a", "answer": "1"}\nno JSON\n', "line 2: got 'no JSON', expected a JSON object"),
        ("[1]\n", "line 1: got [1], expected a JSON object"),
        ('{"prompt": "a"}\n', "line 1: has no answer, expected the right one"),
        ('{"answer": "1"}\n', "line 1: expected a prompt or messages, and not both"),
        ('{"prompt": 3, "answer": "1"}\n', "line 1: prompt is 3, expected a text"),
        ('{"messages": ["a"], "answer": "1"}\n', "line 1: messages is ['a'], expected a list of turns"),
        (
            '{"prompt": "a", "answer": "1", "id": "x"}\n{"prompt": "b", "answer": "1", "id": "x"}\n',
            "line 2: id is 'x' as on an earlier line, expected another",
        ),
    ],
)
def test_a_wrong_line_of_a_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(text)
    with pytest.raises(EvaluationError, match="--jsonl") as raised:
        read_jsonl(path, lambda line: lambda completion: (None, False))  # type: ignore[arg-type, return-value]
    assert message in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"--jsonl: got '.*nothing', which cannot be read"):
        read_jsonl(tmp_path / "nothing", lambda line: lambda completion: (None, False))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("module", "options"),
    [("math_verify", []), ("lm_eval", ["--task", "gsm8k"])],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    module: str,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fire_sampling.evaluate.__main__ import main

    monkeypatch.setitem(sys.modules, module, None)
    source = options or ["--jsonl", str(write_prompts(tmp_path / "prompts.jsonl"))]
    assert main(["--model", "m", "--output", str(tmp_path / "out"), *source]) == 1
    error = capsys.readouterr().err
    assert f"needs {module.replace('_', '-')}, which cannot be imported" in error
    assert "pip install 'fire-sampling[evaluate]'" in error


def test_a_model_without_a_chat_template_is_told_how_to_go_on() -> None:
    with pytest.raises(EvaluationError, match="has no chat template; --no-chat-template gives"):
        encode(tiny_models.tokenizer(), "abc", chat=True)


def test_a_chat_without_a_template_is_refused() -> None:
    with pytest.raises(EvaluationError, match="--no-chat-template: got a prompt of messages"):
        encode(tiny_models.tokenizer(), [{"role": "user", "content": "abc"}], chat=False)


def test_a_model_whose_past_cannot_be_copied_is_refused_by_name() -> None:
    with pytest.raises(EvaluationError, match="--model: Bigram keeps its past in NoneType, expected a Dyn"):
        prefill(tiny_models.bigram(), [5, 6])


def test_a_judge_of_ones_own_must_return_an_answer_and_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fire_sampling.evaluate.judges import named

    (tmp_path / "score_alone.py").write_text("def judge(completion, line): return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EvaluationError, match=r"--judge: score_alone:judge returned 1.0, expected \(str"):
        named("score_alone:judge")({"answer": "1"})("x")
