"""The tasks of docs/paper.md: their problems, demonstrations and checks."""

import math
import random
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from examples.paper.openers import Openers  # noqa: E402
from examples.paper.tasks import TASKS, Countdown, StarGraph, Task  # noqa: E402

EVERY = (*TASKS, Openers(), Openers(known=False))


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.name)
def test_a_right_answer_is_right_from_its_first_token_on_and_a_changed_one_is_not(task: Task) -> None:
    for prompt, answer in zip(*task.problems(50, seed=3, testing=True), strict=True):
        assert (len(prompt), len(answer)) == (task.prompt_length, task.answer_length)
        assert all(0 <= token < task.vocabulary for token in prompt + answer)
        assert all(task.may_begin(prompt, answer[:length]) for length in range(len(answer) + 1))
        assert not task.may_begin(prompt, (*answer[:-1], task.vocabulary - 1))
        assert task.read(prompt, answer) is not None


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.name)
def test_the_same_seed_gives_the_same_problems(task: Task) -> None:
    assert task.problems(5, seed=1, testing=True) == task.problems(5, seed=1, testing=True)
    assert task.problems(5, seed=1, testing=True) != task.problems(5, seed=2, testing=True)


def test_the_goal_is_listed_first_nine_times_in_ten_in_demonstrations_and_every_other_time_in_tests() -> None:
    task, count = StarGraph(), 4000
    for testing, share in ((False, 0.9), (True, 0.5)):
        prompts, answers = task.problems(count, seed=0, testing=testing)
        first = sum(p[task.nodes] == a[0] for p, a in zip(prompts, answers, strict=True)) / count
        # Six standard deviations of a share of `count` independent draws.
        assert abs(first - share) < 6 * math.sqrt(share * (1 - share) / count)


def test_countdown_solutions_are_all_expressions_that_reach_the_target() -> None:
    task = Countdown()
    prompt = (2, 3, 4, 20, task.equals)
    plus, minus, times = range(task.first_operator, task.equals)
    right = {(2, plus, 3, times, 4), (3, plus, 2, times, 4)}
    assert set(task.solutions((2, 3, 4), 20)) == right
    assert all(task.may_begin(prompt, solution) for solution in right)
    assert task.read(prompt, (4, minus, 3, plus, 2)) == (3,)
    assert task.read(prompt, (4, minus, 4, plus, 2)) is None, "a number used twice"
    assert task.read(prompt, (4, 4, 3, plus, 2)) is None, "no operator"


def opener(task: Openers, place: int) -> int:
    return task.first_opener + place


def test_a_careful_answer_is_read_backwards_and_says_the_same_as_a_quick_one() -> None:
    task = Openers()
    prompt = (1, 2, 8, 3, 0, 4, task.plus)  # 128 + 304 = 432
    quick, careful = opener(task, task.quick[0]), opener(task, task.careful[0])
    assert task.may_begin(prompt, (quick, 0, 4, 3, 2))
    assert task.may_begin(prompt, (careful, 2, 3, 4, 0))
    assert not task.may_begin(prompt, (careful, 0, 4, 3, 2))
    assert task.read(prompt, (quick, 0, 4, 3, 2)) == task.read(prompt, (careful, 2, 3, 4, 0)) == (0, 4, 3, 2)
    assert task.read(prompt, (quick, 0, 4, 3, task.plus)) is None, "no digit"
    assert task.read(prompt, (4, 0, 4, 3, 2)) is None, "no opener"
    assert not task.may_begin(prompt, (4,))


def test_demonstrations_teach_what_each_opener_can() -> None:
    """Right answers by opener: quick ones where nothing carries, careful ones but for a digit in 25."""
    task, generator, count = Openers(habits=False), random.Random(0), 8000
    right: dict[str, list[bool]] = {"quick": [], "careful": [], "sloppy": []}
    for _ in range(count):
        prompt, answer = task.problem(generator, testing=False)
        place = answer[0] - task.first_opener
        kind = next(name for name in right if place in getattr(task, name))
        right[kind].append(task.may_begin(prompt, answer))
    # A wrong digit is drawn from ten, one of which is right.
    expected = {"quick": 0.6, "careful": (1 - 0.04 * 0.9) ** 4, "sloppy": (1 - 0.5 * 0.9) ** 4}
    for kind, share in expected.items():
        found = right[kind]
        # Six standard deviations of a share of independent draws.
        assert abs(sum(found) / len(found) - share) < 6 * math.sqrt(share * (1 - share) / len(found)), kind


def test_habits_hold_few_careful_openers_and_none_is_better_where_none_is_known() -> None:
    generator, count = random.Random(1), 4000
    task = Openers()
    drawn = [task.problem(generator, testing=False)[1][0] - task.first_opener for _ in range(count)]
    careful = sum(place in task.careful for place in drawn) / count
    assert abs(careful - 0.02) < 6 * math.sqrt(0.02 * 0.98 / count)  # six standard deviations
    without = Openers(known=False, habits=False)
    found = []
    for _ in range(8000):
        prompt, answer = without.problem(generator, testing=False)
        if answer[0] - without.first_opener in without.careful:
            found.append(without.may_begin(prompt, answer))
    share = (1 - 0.5 * 0.9) ** 4
    assert abs(sum(found) / len(found) - share) < 6 * math.sqrt(share * (1 - share) / len(found))
