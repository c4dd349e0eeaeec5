"""The demo's parts that need no model: tasks and their checks, estimators, tables, picture, page."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from examples.demo import __main__ as command  # noqa: E402
from examples.demo import picture, report, tasks  # noqa: E402
from examples.demo.generation import Run  # noqa: E402
from examples.demo.report import Result  # noqa: E402
from examples.demo.table import Table  # noqa: E402


def a_run(mode: str, correct: list[bool], first_ids: list[int] | None = None) -> Run:
    n = len(correct)
    return Run(
        mode=mode,
        first_tokens=["The"] * n,
        first_ids=first_ids or [7] * n,
        completions=["four | 4"] * n,
        answers=["4" if right else None for right in correct],
        correct=correct,
        tokens=10 * n,
        steps=10,
        seconds=2.0,
        sampling_seconds=0.5,
    )


def some_results(samples: int = 4) -> list[Result]:
    results = []
    for index, prompt in enumerate(tasks.make_prompts(2 * len(tasks.TASKS), seed=0)):
        correct = [place < index % (samples + 1) for place in range(samples)]
        runs = {
            "plain": a_run("plain", correct),
            "FIRE": a_run("FIRE", correct[::-1], list(range(samples))),
        }
        if index < len(tasks.TASKS):
            runs["transformers"] = a_run("transformers", correct)
        results.append(Result(prompt, runs))
    return results


def test_prompts_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    asked = [[prompt.text for prompt in tasks.make_prompts(21, seed)] for seed in (0, 0, 1)]
    assert asked[0] == asked[1]
    assert asked[0] != asked[2]


def test_a_longer_list_of_prompts_begins_with_the_shorter_one_and_repeats_nothing() -> None:
    longest = [prompt.text for prompt in tasks.make_prompts(tasks.MOST_PROMPTS, seed=3)]
    assert len(set(longest)) == tasks.MOST_PROMPTS
    assert longest[:10] == [prompt.text for prompt in tasks.make_prompts(10, seed=3)]


def test_every_task_has_as_many_prompts_as_every_other() -> None:
    names = [prompt.task for prompt in tasks.make_prompts(3 * len(tasks.TASKS), seed=0)]
    assert all(names.count(name) == 3 for name in names)


@pytest.mark.parametrize("count", [0, -1, tasks.MOST_PROMPTS + 1])
def test_a_number_of_prompts_that_cannot_be_made_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"prompts: got {count}, expected 1 to {tasks.MOST_PROMPTS}"):
        tasks.make_prompts(count, seed=0)


@pytest.mark.parametrize("index", range(len(tasks.TASKS)))
def test_every_task_accepts_its_own_answer_and_refuses_silence_and_a_wrong_one(index: int) -> None:
    for prompt in tasks.make_prompts(tasks.MOST_PROMPTS, seed=5)[index :: len(tasks.TASKS)]:
        right = f"Certainly: {prompt.expected}."
        assert prompt.accepts(right)
        assert prompt.extract(right) is not None
        assert not prompt.accepts("")
        assert prompt.extract("") is None
        assert not prompt.accepts("Zanzibar, 987654")


def test_the_expected_numbers_are_right() -> None:
    for prompt in tasks.make_prompts(tasks.MOST_PROMPTS, seed=8):
        numbers = [int(number) for number in re.findall(r"\d+", prompt.text)]
        if prompt.task in ("add", "story"):
            assert len(numbers) == 2
            assert int(prompt.expected) == sum(numbers)
        elif prompt.task == "multiply":
            assert int(prompt.expected) == numbers[0] * numbers[1]
        elif prompt.task == "largest":
            assert len(numbers) == 4
            assert int(prompt.expected) == max(numbers)
        elif prompt.task == "letters":
            _, letter, _, word, _ = prompt.text.split('"')
            assert int(prompt.expected) == sum(character == letter for character in word)


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("14 + 7 = 21.", "21"),
        ("It is 1,200!", "1200"),
        ("It is 021", "21"),
        ("7.0", "7"),
        ("7.50 apples", "7.5"),
        ("from 3 down to -4", "-4"),
        ("twenty-one", None),
        ("", None),
        ("1, 2, and 3, of course", "3"),
    ],
)
def test_the_last_number_is_read_in_every_spelling(completion: str, answer: str | None) -> None:
    assert tasks.last_number(completion) == answer


def test_a_capital_is_found_as_a_word_and_a_wrong_one_is_told_from_the_country() -> None:
    extract = tasks.name_or_last("Lima", "What is the capital of Peru?")
    assert extract("The capital is LIMA, of course.") == "Lima"
    assert extract("It is Limassol.") == "Limassol"
    assert extract("The capital of Peru is Cusco") == "Cusco"
    assert extract("what is it?") is None


def test_a_sentence_must_hold_all_three_words_in_its_first_line() -> None:
    prompt = next(prompt for prompt in tasks.make_prompts(7, seed=0) if prompt.task == "sentence")
    a, b, c = prompt.expected.split(" + ")
    assert prompt.accepts(f"\nThe {a} saw a {b.upper()} near the {c}.")
    assert not prompt.accepts(f"The {a} saw a {b}.\nThen the {c}.")
    assert not prompt.accepts(f"The {a} saw a {b}less {c}.")
    assert prompt.extract("\n ...\nA, b C!\nmore") == "a b c"


def test_tables_agree_with_the_results() -> None:
    results = some_results()
    by_prompt, by_task, in_total, speed = report.tables(results)
    assert len(by_prompt.rows) == 2 * (len(results) + 1)
    assert by_prompt.rows[2][1:] == ["plain", "1", "1", "0.25", "1", "20", "25.0%"]
    assert by_prompt.rows[3][1:] == ["FIRE", "4", "1", "0.25", "1", "20", "25.0%"]
    assert [row[0] for row in by_task.rows] == [task.__name__ for task in tasks.TASKS]
    assert [row[2] for row in by_task.rows] == ["1.0 → 4.0"] * len(tasks.TASKS)
    assert [row[0] for row in in_total.rows] == ["pass@1", "pass@2", "pass@4"]
    assert all(row[3] == "+0.00 [+0.00, +0.00]" for row in in_total.rows)
    assert [row[1:] for row in speed.rows] == [["20", "200.0", "50.00", "25.0%"]] * 3


def test_the_verdict_says_so_when_fire_loses_gains_or_shows_nothing() -> None:
    right, wrong = [True] * 4, [False] * 4
    for plain, hot, finding in (
        (right, wrong, "FIRE lost"),
        (wrong, right, "FIRE gained"),
        (right, right, "no diff"),
    ):
        results = [
            Result(each.prompt, {"plain": a_run("plain", plain), "FIRE": a_run("FIRE", hot)})
            for each in some_results()
        ]
        assert report.verdict(results).count(finding) == 2


def test_a_table_lines_up_in_a_terminal_and_escapes_in_markdown() -> None:
    table = Table(title="T", note="N", header=["a|b", "n"], rows=[["x", "1"], ["long", "23"]])
    assert table.text().splitlines() == [
        "T",
        "────────",
        "a|b    n",
        "────────",
        "x      1",
        "long  23",
        "────────",
        "N",
    ]
    assert table.markdown().splitlines()[2:5] == ["| a\\|b | n |", "| --- | ---: |", "| x | 1 |"]


def test_the_picture_is_drawn_for_one_prompt_of_one_completion_and_for_many(tmp_path: Path) -> None:
    for name, results in (("one", some_results(1)[:1]), ("many", some_results(16))):
        picture.draw(results, tmp_path / f"{name}.png", "a model")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_gets_the_tables_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    page, image = tmp_path / "page.md", tmp_path / "demo.png"
    image.write_bytes(b"png")
    begin, end = (f"<!-- {edge}: written by examples/demo --write-docs -->" for edge in ("begin", "end"))
    page.write_text(f"above\n{begin}\nold\n{end}\nbelow\n")
    for _ in range(2):
        command.write_docs(page, image, "new")
        assert page.read_text() == f"above\n{begin}\nnew\n{end}\nbelow\n"
    assert (tmp_path / "images" / "demo.png").read_bytes() == b"png"
    page.write_text("no markers")
    with pytest.raises(ValueError, match="has no"):
        command.write_docs(page, image, "new")


def test_the_page_in_the_docs_has_the_markers() -> None:
    text = command.DOCS.read_text(encoding="utf-8")
    begin, end = (f"<!-- {edge}: written by examples/demo --write-docs -->" for edge in ("begin", "end"))
    assert text.index(begin) < text.index(end)
