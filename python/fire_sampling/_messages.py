"""What the checks of arguments share: how a message shows what came, and what counts as an integer."""

from __future__ import annotations

import math
import numbers

import numpy as np

# Of logits that a graph may need, where a function writes them.
WRITTEN_BESIDE_GRAD = (
    "requires grad, expected logits that do not while grad mode is on (they are written in place; call it "
    "under torch.no_grad())"
)


def shown(value: object) -> str:
    """`value` for a message: short, on one line, and whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to print an integer of thousands of digits
        return f"a huge {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}…"


def came(value: object) -> str:
    """What came: the value where it says enough, otherwise its type."""
    if value is None or isinstance(value, str | bool | numbers.Number | np.generic):
        return f"is {shown(value)}"
    return f"is of type {type(value).__name__}"


def is_integer(value: object) -> bool:
    """Whether it is an integer of Python, NumPy or anyone else; a bool is none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def integer(name: str, argument: str, value: object, low: int, high: int, expected: str) -> int:
    """`value` as an int in [low, high].

    Raises:
        TypeError: It is no integer.
        ValueError: It is out of range. Both name the function and the argument.
    """
    if not is_integer(value):
        raise TypeError(f"{name}: {argument} {came(value)}, expected {expected}")
    # Not operator.index, with which torch.compile would make a graph for each step.
    number: int = int(value)  # type: ignore[call-overload]
    if not low <= number <= high:
        raise ValueError(f"{name}: {argument} {came(number)}, expected {expected}")
    return number


def support_temperature(name: str, value: object, expected: str) -> float:
    """`value` as the temperature of `support_log_prob`.

    Raises:
        TypeError: It is no number.
        ValueError: It is out of range: docs/semantics.md, "The support". Both name the function.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name}: temperature {came(value)}, expected {expected}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond every float
        number = math.inf
    if not 2.0**-64 <= number <= 3.4028234663852886e38:  # float32's largest
        raise ValueError(f"{name}: temperature {came(value)}, expected {expected}")
    return number


def why_no_torch(error: Exception) -> str:
    """Why `import torch` raised `error`, which a broken installation may do in any way."""
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "torch is not installed"
    return f"torch is installed but cannot be imported ({type(error).__name__}: {error})"
