"""What an evaluation reports, against numbers worked out by hand."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from evaluations import an_arm

import fire_sampling as fire
from fire_sampling.evaluate import picture, summary
from fire_sampling.evaluate.__main__ import one_prompt
from fire_sampling.evaluate.backends import Completion, Drawn, shared
from fire_sampling.evaluate.judges import last_number, named
from fire_sampling.evaluate.prompts import Judgement, Prompt

SETTINGS = {
    "title": "a model, a task",
    "samples": 4,
    "pass_at": [1, 2, 4],
    "hot_top_k": 16,
    "hot_temperature": 30.0,
}
ENTRIES: list[dict[str, Any]] = [
    {
        "name": "one",
        "arms": {
            "plain": an_arm([1, 0, 0, 0], ["7", "8", "8", None], [5, 5, 5, 5], [1, 1, 1, 0]),
            "FIRE": an_arm([1, 1, 0, 0], ["7", "7", "8", "9"], [5, 6, 7, 8], [1, 1, 1, 1]),
        },
    },
    {
        "name": "two",
        "arms": {
            "plain": an_arm([0, 0, 0, 0], ["3", "3", "3", "3"], [5, 5, 6, 6], [1, 1, 1, 1]),
            "FIRE": an_arm([0, 0, 0, 0], [None, None, None, None], [1, 1, 1, 1], [0, 0, 0, 0]),
        },
    },
]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return summary.summarise(SETTINGS, {}, ENTRIES)


@pytest.mark.parametrize(
    ("name", "plain", "hot"),
    [
        ("pass@1", (1 / 4 + 0) / 2, (2 / 4 + 0) / 2),
        ("pass@2", (1 - 3 / 6) / 2, (1 - 1 / 6) / 2),  # C(3, 2) and C(2, 2) of C(4, 2) = 6 pairs miss
        ("pass@4", 1 / 2, 1 / 2),
        ("answers@1", (3 / 4 + 1) / 2, (1 + 0) / 2),
        ("answers@2", ((1 - 3 / 6) + (1 - 1 / 6) + 1) / 2, ((1 - 1 / 6) + (1 - 3 / 6) + (1 - 3 / 6)) / 2),
        ("answers@4", (2 + 1) / 2, (3 + 0) / 2),
        ("first tokens@4", (1 + 2) / 2, (4 + 1) / 2),
        ("ended", (3 / 4 + 1) / 2, (1 + 0) / 2),
    ],
)
def test_a_mean_is_the_one_worked_out_by_hand(
    result: dict[str, Any], name: str, plain: float, hot: float
) -> None:
    assert result["plain"][name]["mean"] == pytest.approx(plain, abs=1e-6)
    assert result["FIRE"][name]["mean"] == pytest.approx(hot, abs=1e-6)
    assert result["FIRE - plain"][name]["mean"] == pytest.approx(hot - plain, abs=1e-6)


def test_an_interval_pairs_the_prompts(result: dict[str, Any]) -> None:
    # Of two prompts a resample is one of them twice or both: differences 1/4, 0 and their mean.
    assert result["FIRE - plain"]["pass@1"] == {"mean": 0.125, "low": 0.0, "high": 0.25}
    assert result["FIRE - plain"]["pass@4"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_speed_is_all_tokens_over_all_seconds(result: dict[str, Any]) -> None:
    assert result["plain"]["speed"] == {"tokens": 80, "seconds": 2.0, "tokens per second": 40.0}


def test_a_prompt_has_its_counts_on_a_line_of_its_own(result: dict[str, Any], tmp_path: Path) -> None:
    summary.write(tmp_path / "result.json", result)
    text = (tmp_path / "result.json").read_text()
    assert json.loads(text) == result
    line = next(line for line in text.splitlines() if '"name": "one"' in line)
    assert json.loads(line.rstrip(",")) == {
        "name": "one",
        "plain": {"correct": 1, "answers": 2, "first": 1, "ended": 3},
        "FIRE": {"correct": 2, "answers": 3, "first": 4, "ended": 4},
    }


def test_the_table_names_every_quantity_and_shows_true_minus_signs(result: dict[str, Any]) -> None:
    text = summary.table(result)
    assert "FIRE − plain [95 %]" in text
    assert "pass@1             0.125  0.250  +0.125 [+0.000, +0.250]" in text
    assert "answers@1          0.875  0.500  −0.375" in text


def test_the_same_result_gives_the_same_picture_with_title_model_and_n(
    result: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("a.svg", "b.svg"):
        picture.draw(result, tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    for words in ("a model, a task", "2 prompts, 4 samples each", "hot top-k 16", "FIRE − plain"):
        assert words in text


class Scripted:
    """A backend that says what it is told to."""

    tokenizer = None
    versions: dict[str, str]

    def __init__(self, completions: list[Completion]) -> None:
        self.completions, self.versions = completions, {}
        self.calls: list[tuple[list[int], int]] = []

    def draw(
        self, prompt: Prompt, configs: Sequence[fire.SamplingConfig], samples: int, first_row: int
    ) -> list[Drawn]:
        self.calls.append(([config.resolve().hot_steps or 0 for config in configs], first_row))
        return [Drawn(self.completions, 1.0) for _ in configs]


def options(together: bool = False) -> argparse.Namespace:
    return argparse.Namespace(samples=2, together=together, branch_table=False)


def test_an_answer_that_was_cut_off_is_wrong_and_no_answer_whatever_its_last_number_is() -> None:
    backend = Scripted([Completion(5, 3, "so 7", True), Completion(5, 9, "so 7 plus", False)])
    prompt = Prompt("p", "?", "7", named("number")({"answer": "7"}))
    ways = {"plain": fire.SamplingConfig(hot_steps=0), "FIRE": fire.SamplingConfig()}
    entry = one_prompt(backend, prompt, 3, ways, options())
    assert entry["arms"]["plain"]["correct"] == [1, 0]
    assert entry["arms"]["plain"]["answers"] == ["7", None]
    assert entry["arms"]["plain"]["texts"] == ["so 7", "so 7 plus"], "it stays in the file for a reader"


def test_both_ways_draw_with_the_same_seeds_and_take_turns_in_going_first() -> None:
    backend = Scripted([Completion(5, 3, "7", True)])
    prompt = Prompt("p", "?", "7", lambda text: Judgement(text, True))
    ways = {"plain": fire.SamplingConfig(hot_steps=0), "FIRE": fire.SamplingConfig()}
    for number, together in ((0, False), (1, False), (2, True)):
        entry = one_prompt(backend, prompt, number, ways, options(together))
        assert list(entry["arms"]) == ["plain", "FIRE"]
    assert backend.calls == [([0], 0), ([1], 0), ([1], 2), ([0], 2), ([0, 1], 4)]


def test_a_batch_shares_its_seconds_out_by_tokens() -> None:
    completions = [Completion(1, tokens, "", True) for tokens in (1, 2, 4, 5)]
    plain, hot = shared(completions, 2, 6.0)
    assert (plain.completions, hot.completions) == (completions[:2], completions[2:])
    assert (plain.seconds, hot.seconds) == (1.5, 4.5)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1,200", "1200"), ("1200.0", "1200"), ("is -3.50.", "-3.5"), ("12 or 13", "13"), ("none", None)),
        *(
            ("-0.5", "-0.5"),
            ("−5", "-5"),
            ("so 2-3", "3"),
            ("-0", "0"),
            ("007", "7"),
            ("9" * 5000, "9" * 5000),
        ),
    ],
)
def test_the_last_number_is_read_in_one_form(text: str, number: str | None) -> None:
    assert last_number(text) == number


def test_exact_compares_the_whole_completion_without_spaces_around_it() -> None:
    judge = named("exact")({"answer": "Lima"})
    assert judge(" Lima\n") == ("Lima", True)
    assert judge("Lima.") == ("Lima.", False)
    assert judge("  ") == (None, False)
