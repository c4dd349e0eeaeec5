"""How an answer is found in a completion, and whether it is right.

`math`             math-verify parses the answer and compares it as mathematics (the default)
`number`           the last number of the completion
`exact`            the completion itself, without the spaces around it
`MODULE:FUNCTION`  your own: function(completion, line) returns (answer or None, correct)
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

from fire_sampling._messages import shown
from fire_sampling.evaluate.packages import EvaluationError, need
from fire_sampling.evaluate.prompts import Judgement, MakeJudge

# A minus is a sign where no digit stands before it: the last number of "2-3" is 3.
_NUMBER = re.compile(r"((?<!\d)[-−])?(\d[\d,]*)(?:\.(\d+))?")


def named(name: str) -> MakeJudge:
    """The maker of judges of this name.

    Raises:
        EvaluationError: There is none, its function cannot be imported, or its package is missing.
    """
    if name in _NAMED:
        return _NAMED[name]()
    module, colon, function = name.partition(":")
    if not colon or not module or not function:
        known = ", ".join(_NAMED)
        raise EvaluationError(f"--judge: got {name!r}, expected {known}, or MODULE:FUNCTION")
    try:
        own = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise EvaluationError(f"--judge: got {name!r}, which cannot be imported: {error}") from error
    return lambda line: lambda completion: _checked(name, own(completion, line))


def last_number(text: str) -> str | None:
    """The last number of a text; "1,200" and "1200.0" are "1200"."""
    found = _NUMBER.findall(text)
    if not found:
        return None
    sign, whole, fraction = found[-1]
    whole, fraction = whole.replace(",", "").lstrip("0") or "0", fraction.rstrip("0")
    number = f"{whole}.{fraction}" if fraction else whole
    return f"-{number}" if sign and number != "0" else number


def _checked(name: str, result: Any) -> Judgement:
    if isinstance(result, tuple) and len(result) == 2:
        answer, correct = result
        if (answer is None or isinstance(answer, str)) and isinstance(correct, bool):
            return Judgement(answer, correct)
    raise EvaluationError(f"--judge: {name} returned {shown(result)}, expected (str or None, bool)")


def _exact() -> MakeJudge:
    def make(line: dict[str, Any]) -> Callable[[str], Judgement]:
        expected = str(line["answer"]).strip()
        return lambda completion: Judgement(completion.strip() or None, completion.strip() == expected)

    return make


def _number() -> MakeJudge:
    def make(line: dict[str, Any]) -> Callable[[str], Judgement]:
        expected = last_number(str(line["answer"]))
        if expected is None:
            raise EvaluationError(
                f"--judge number: answer is {shown(line['answer'])}, expected one with a number"
            )

        def judge(completion: str) -> Judgement:
            answer = last_number(completion)
            return Judgement(answer, answer == expected)

        return judge

    return make


def _math() -> MakeJudge:
    math_verify = need("math_verify", "math-verify", "--judge math")

    def make(line: dict[str, Any]) -> Callable[[str], Judgement]:
        gold = math_verify.parse(str(line["answer"]))
        if not gold:
            raise EvaluationError(
                f"--judge math: answer is {shown(line['answer'])}, in which math-verify finds no mathematics"
            )

        def judge(completion: str) -> Judgement:
            found = math_verify.parse(completion)
            if not found:
                return Judgement(None, False)
            return Judgement(str(found[0]), bool(math_verify.verify(gold, found)))

        return judge

    return make


_NAMED: dict[str, Callable[[], MakeJudge]] = {"math": _math, "number": _number, "exact": _exact}
