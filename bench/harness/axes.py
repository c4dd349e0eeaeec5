"""The command line's flags for the axes of a case, the same for every device."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from .cases import DTYPES, KINDS, ROWS, VOCABULARIES
from .schema import LAUNCHES, OUTPUTS, PLACES
from .settings import SETTINGS

AXES: dict[str, tuple[Any, ...]] = {
    "vocabularies": VOCABULARIES,
    "dtypes": DTYPES,
    "settings": tuple(SETTINGS),
    "kinds": KINDS,
    "rows": ROWS,
    "outputs": OUTPUTS,
    "places": PLACES,
    "launches": LAUNCHES,
}
_ANY_NUMBER = ("vocabularies", "rows")


def add(parser: argparse.ArgumentParser, without: Iterable[str] = ()) -> None:
    for axis, known in AXES.items():
        if axis not in without:
            more = ", or any other" if axis in _ANY_NUMBER else ""
            text = f"of {', '.join(map(str, known))}{more}"
            parser.add_argument(f"--{axis}", nargs="+", default=[], help=text)


def listed(words: Iterable[str]) -> tuple[str, ...]:
    """['a,b', 'c'] → ('a', 'b', 'c')."""
    return tuple(part.strip() for word in words for part in word.split(",") if part.strip())


def names(field: str, words: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The words of a flag. ValueError: one that is not known."""
    found, known = listed(words), tuple(known)
    for name in found:
        if name not in known:
            raise ValueError(f"--{field}: got {name!r}, expected of {known}")
    return found


def chosen(options: argparse.Namespace) -> dict[str, tuple[Any, ...]]:
    """The axes that were named, as a Slice takes them. ValueError: a name that the table does not have."""
    found: dict[str, tuple[Any, ...]] = {}
    for axis, known in AXES.items():
        words = getattr(options, axis, [])
        values = tuple(map(int, listed(words))) if axis in _ANY_NUMBER else names(axis, words, known)
        found |= {axis: values} if values else {}
    return found
