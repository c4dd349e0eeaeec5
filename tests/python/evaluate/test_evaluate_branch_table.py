"""The branch table predicts what enumerating every answer of a tiny model gives."""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from evaluations import evaluate, write_model, write_prompts
from tiny_models import one_thread  # noqa: F401

import fire_sampling as fire
from fire_sampling.evaluate import branch_table
from fire_sampling.evaluate.prompts import Judgement, Prompt
from fire_sampling.evaluate.transformers_backend import Transformers

CHANCES = np.array([0.5, 0.3, 0.2])


def test_the_mean_over_every_outcome_of_the_table_is_the_exact_pass_at_n() -> None:
    """Right answers c_t of M = 3 are binomial: the prediction, weighted by their chances, has no bias."""
    continuations, right = 3, [0.9, 0.25, 0.0]
    mean = np.zeros(3)
    for counts in itertools.product(range(continuations + 1), repeat=3):
        chance = math.prod(
            math.comb(continuations, c) * p**c * (1 - p) ** (continuations - c)
            for c, p in zip(counts, right, strict=True)
        )
        mean += chance * np.array(branch_table.predicted(CHANCES, counts, continuations, samples=3))
    exact = [1 - (1 - CHANCES @ right) ** n for n in (1, 2, 3)]
    assert mean == pytest.approx(exact, abs=1e-12)


def test_a_token_that_comes_more_often_than_it_was_tried_is_taken_at_its_share() -> None:
    predictions = branch_table.predicted(np.array([1.0]), [1], 2, samples=4)
    assert predictions == pytest.approx([1 / 2, 1 - 0, 1 - 1 / 8, 1 - 1 / 16])


def test_tokens_that_are_always_or_never_right_give_a_closed_form_for_any_n() -> None:
    predictions = branch_table.predicted(CHANCES, [2, 0, 2], 2, samples=1000)
    assert predictions == pytest.approx([1 - 0.3**n for n in range(1, 1001)], abs=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 30.0])
@pytest.mark.parametrize("top_k", [2, 5, 16])
def test_the_chances_of_first_tokens_are_those_of_the_whole_row(top_k: int, temperature: float) -> None:
    row = torch.randn(1, 96, generator=torch.Generator().manual_seed(1)) * 2
    design = fire.SamplingConfig(top_p=0.8, hot_top_k=top_k, hot_temperature=temperature, seed=0)
    whole = fire.process_logits(row, 0, design.replace(ties="keep_top_k"))[0].softmax(-1)
    top = row[0].topk(16)
    chances = branch_table.first_token_distribution(top.values.tolist(), design)
    assert chances == pytest.approx(whole[top.indices].tolist(), abs=1e-6)
    assert chances.sum() == pytest.approx(1)


def test_the_table_of_a_tiny_model_predicts_what_enumerating_its_answers_gives() -> None:
    """Behind the hot token the model is greedy here, so each first token has one answer."""
    model, tokenizer = tiny_models.llama(), tiny_models.tokenizer()
    limit = 6
    hot = fire.SamplingConfig(temperature=0.0, hot_temperature=3.0, hot_top_k=8, hot_steps=1, seed=3)
    prompt = Prompt(
        "p", "abc", "", lambda text: Judgement(text, sum(map(ord, text)) % 3 == 0), tuple("ABCDEFGHIJ")
    )
    options = argparse.Namespace(first_tokens=8, continuations=2, samples=4)
    backend = Transformers(model, tokenizer, False, limit, 64)
    entry = branch_table.one_prompt(backend, prompt, 0, hot.replace(hot_steps=0), options)

    with torch.no_grad():
        logits = model(torch.tensor([tokenizer("abc")["input_ids"]])).logits[0, -1]
    logits[tiny_models.EOS] = -torch.inf
    shares = fire.process_logits(logits[None], 0, hot)[0].softmax(-1)
    chance = sum(
        float(shares[token])
        for token in shares.nonzero()[:, 0].tolist()
        if right(model, tokenizer, token, prompt, limit)
    )
    assert 0 < chance < 1, "some first tokens lead to a right answer, some do not"
    chances = branch_table.first_token_distribution(entry["logits"], hot)
    predictions = branch_table.predicted(chances, entry["correct"], 2, samples=10)
    assert predictions == pytest.approx([1 - (1 - chance) ** n for n in range(1, 11)], abs=1e-6)


def right(model: Any, tokenizer: Any, first: int, prompt: Prompt, limit: int) -> bool:
    """Whether the greedy answer behind a first token is right, by running the model on ever longer texts."""
    answer = [first]
    while True:
        text = tokenizer.decode(answer, skip_special_tokens=True)
        stops = [text.index(stop) for stop in prompt.stops if stop in text]
        if answer[-1] == tiny_models.EOS or stops:
            return prompt.judge(text[: min(stops, default=len(text))]).correct
        if len(answer) == limit:
            return False
        with torch.no_grad():
            ids = torch.tensor([[*tokenizer("abc")["input_ids"], *answer]])
            answer.append(int(model(ids).logits[0, -1].argmax()))


def test_a_run_writes_designs_with_paired_intervals_and_a_picture(tmp_path: Path) -> None:
    model, prompts = write_model(tmp_path / "model"), write_prompts(tmp_path / "prompts.jsonl", 3)
    options = ["--judge", "number", "--branch-table", "--first-tokens", "5", "--continuations", "3"]
    options += ["--hot-top-k", "4", "--hot-temperature", "7"]
    assert evaluate(model, prompts, tmp_path / "out", *options) == 0
    first = (tmp_path / "out" / "result.json").read_text()
    result = json.loads(first)
    pairs = [(line["hot_top_k"], line["hot_temperature"]) for line in result["designs"]]
    assert pairs == [*itertools.product((2, 4, 5), branch_table.TEMPERATURES), (4, 7.0)]
    for line in result["designs"]:
        difference = line["pass@6, design - plain"]
        assert difference["mean"] == pytest.approx(
            line["pass@6"]["mean"] - result["plain"]["pass@6"]["mean"], abs=2e-6
        )
    assert "pass@6, predicted, design − plain" in (tmp_path / "out" / "result.svg").read_text()
    assert evaluate(model, prompts, tmp_path / "out", *options, "--resume") == 0
    assert (tmp_path / "out" / "result.json").read_text() == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "vllm"], "--branch-table: got --backend vllm, expected transformers"),
        (["--hot-steps", "2"], "--branch-table: got hot steps [0, 1], expected the first token alone"),
        (["--hot-begin", "1"], "--branch-table: got hot steps [1], expected the first token alone"),
        (["--first-tokens", "0"], "--first-tokens: got 0, expected at least 1"),
        (["--continuations", "0"], "--continuations: got 0, expected at least 1"),
    ],
)
def test_what_a_branch_table_cannot_predict_is_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = write_prompts(tmp_path / "prompts.jsonl")
    given = (Path("no-such-model"), prompts, tmp_path / "out", "--judge", "number", "--branch-table")
    assert evaluate(*given, *options) == 1
    assert f"fire_sampling.evaluate: {message}" in capsys.readouterr().err
