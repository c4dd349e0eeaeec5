"""Numbers, names and tables as a reader sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

Line = Sequence[str]


def microseconds(value: float | None) -> str:
    """Three digits that count: 4.06, 12.3, 871, 12,070; a dash for what was not timed."""
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def ratio(value: float) -> str:
    """Two digits that count: 1.3, 47, 2,300."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def text_table(header: Line, lines: Iterable[Line]) -> str:
    table = [tuple(header), *map(tuple, lines)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(field.ljust(width) for field, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def markdown_table(header: Line, lines: Iterable[Line]) -> str:
    table = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in table)


def markers(name: str, program: str = "bench/report.py") -> tuple[str, str]:
    """What stands before and after the part of a document in which a program shows this results file."""
    return tuple(f"<!-- {edge}: written from {name} by {program} -->" for edge in ("begin", "end"))  # type: ignore[return-value]


def write_between_markers(document: Path, name: str, text: str, program: str = "bench/report.py") -> None:
    """Replaces what stands between the markers of a results file.

    Raises:
        ValueError: the document has no such place, or several.
    """
    begin, end = markers(name, program)
    after, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _: f"{begin}\n{text.rstrip()}\n{end}",
        document.read_text(),
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{document}: got {count} places between {begin} and {end}, expected one")
    document.write_text(after)
