"""The rules that a config's fields carry: what each may hold, its default, and how it enters a record."""

from __future__ import annotations

import dataclasses
import math
import numbers
import operator
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fire_sampling._messages import is_integer, shown

INT32_MAX = 2**31 - 1
_RULE = "rule"

Record = npt.NDArray[np.void]
# Of the fields above it, all of them filled in.
Default = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Rule:
    """What a field carries.

    Attributes:
        check: Given the field's name and a value that is not None, that value as a plain number or string.
            Raises a ValueError that begins with the name.
        write: Puts a value, filled in, into a record, under the field's name. None has no word of its own.
        default: What the field is where nobody gives it; None where None has a meaning of its own.
        off: The values that filter nothing; none for what is no filter.
    """

    check: Callable[[str, Any], Any]
    write: Callable[[Record, str, Any], None]
    default: Default
    off: tuple[float, ...] = ()


def rules_of(config: type[Any]) -> dict[str, Rule]:
    """The rule of every field of a dataclass, by name, in their order."""
    return {field.name: field.metadata[_RULE] for field in dataclasses.fields(config)}


def temperature(default: float | None = None, *, may_be_0: bool = True, given: int = 0) -> Any:
    """A temperature from 0 to infinity. `given`: the bit of a record's flags that says that there is one."""

    def check(name: str, value: Any) -> float:
        real = _real(name, value)
        if not real >= 0 or (real == 0 and not may_be_0):
            raise ValueError(f"{name}: got {real}, expected {'[0, inf]' if may_be_0 else '(0, inf]'}")
        if real > 0 and _float32(real) == 0:
            raise ValueError(f"{name}: got {real}, which is 0 in float32; expected 0 or at least 1e-45")
        return real

    def write(record: Record, name: str, value: float) -> None:
        _write_real(record, name, value)
        if given:
            record["flags"] |= given

    return _field(Rule(check, write, lambda above: default))


def fraction(default: float | None = None, *, follows: str | None = None) -> Any:
    """A filter's fraction, from 0 to 1: off at its default, or like the field that it follows."""

    def check(name: str, value: Any) -> float:
        real = _real(name, value)
        if not 0 <= real <= 1:
            raise ValueError(f"{name}: got {real}, expected [0, 1]")
        return real

    if follows is not None:
        return _field(Rule(check, _write_real, operator.itemgetter(follows)))
    assert default is not None
    return _field(Rule(check, _write_real, lambda above: default, (default,)))


def integer(
    low: int, high: int | None, default: int | Default | None = None, off: tuple[int, ...] = ()
) -> Any:
    """An integer from `low` to `high`; without `high`, what an int32 cannot hold enters as its largest."""

    def check(name: str, value: Any) -> int:
        if not is_integer(value):
            raise ValueError(f"{name}: got {shown(value)}, expected an integer")
        number = int(value)
        if number < low or (high is not None and number > high):
            expected = f"at least {low}" if high is None else f"{low} to {high}"
            raise ValueError(f"{name}: got {shown(number)}, expected {expected}")
        return number

    def write(record: Record, name: str, value: int) -> None:
        record[name] = value if high is not None else min(value, INT32_MAX)

    return _field(Rule(check, write, default if callable(default) else lambda above: default, off))


def part(low: int, high: int, default: int, word: str, shift: int) -> Any:
    """An integer from `low` to `high` that shares a record's word with others: its excess over `low` stands
    `shift` bits up.
    """

    def write(record: Record, name: str, value: int) -> None:
        record[word] |= (value - low) << shift

    return _field(dataclasses.replace(integer(low, high, default).metadata[_RULE], write=write))


def choice(flags: Mapping[str, int], default: str) -> Any:
    """One of the names of `flags`, which has the bits that each sets in a record's flags."""

    def check(name: str, value: Any) -> str:
        # A string first: the comparison of an array is an array.
        if not (isinstance(value, str) and value in flags):
            raise ValueError(f"{name}: got {shown(value)}, expected one of {', '.join(map(repr, flags))}")
        return value

    def write(record: Record, name: str, value: str) -> None:
        record["flags"] |= flags[value]

    return _field(Rule(check, write, lambda above: default))


def _field(rule: Rule) -> Any:
    return dataclasses.field(default=None, metadata={_RULE: rule})


def _real(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name}: got {shown(value)}, expected a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: got {shown(value)}, expected a number that a float can hold") from None


def _write_real(record: Record, name: str, value: float) -> None:
    record[name] = _float32(value)


def _float32(value: float) -> float:
    """The nearest float32, infinite on overflow, of which NumPy would warn."""
    try:
        rounded: float = struct.unpack("=f", struct.pack("=f", value))[0]
    except OverflowError:
        return math.inf
    return rounded
