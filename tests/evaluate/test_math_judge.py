"""`--judge math`: math-verify decides whether two answers are the same."""

from __future__ import annotations

import pytest

from fire_sampling.evaluate.judges import named
from fire_sampling.evaluate.packages import EvaluationError


@pytest.mark.parametrize(
    ("expected", "completion", "correct"),
    [
        ("72", "She sold 48 + 24 = 72 clips. The answer is 72.", True),
        ("72", "The answer is 71.", False),
        ("0.5", r"So it is \boxed{\frac{1}{2}}.", True),
        (r"$\frac{3}{4}$", "3/4", True),
        (r"\frac{3}{4}", r"It is \(\frac{3}{4}\).", True),
        (r"\frac{3}{4}", "It is 4.", False),
        ("72", "I do not know.", False),
    ],
)
def test_an_answer_is_right_where_it_is_the_same_mathematics(
    expected: str, completion: str, correct: bool
) -> None:
    assert named("math")({"answer": expected})(completion).correct == correct


def test_equal_answers_are_equal_strings_and_no_answer_is_none() -> None:
    judge = named("math")({"answer": "72"})
    assert judge("It is 72.").answer == judge("Thus 72").answer
    assert judge("I do not know.").answer is None


def test_a_right_answer_without_mathematics_is_refused() -> None:
    with pytest.raises(EvaluationError, match="--judge math: answer is 'Lima', in which math-verify finds"):
        named("math")({"answer": "Lima"})
