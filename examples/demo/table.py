"""Tables of text, for a terminal and for a Markdown page."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A titled table.

    Attributes:
        title: what it shows.
        note: how to read it.
        header: the names of the columns.
        rows: the cells, as many in each row as the header has.
        words: the first so many columns hold words, which are aligned to the left; the others hold numbers.
    """

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1

    def text(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            padded = [
                cell.ljust(width) if column < self.words else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            return "  ".join(padded).rstrip()

        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        return "\n".join([self.title, rule, line(self.header), rule, *map(line, self.rows), rule, self.note])

    def markdown(self) -> str:
        def line(cells: Sequence[str]) -> str:
            return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

        align = ["---" if column < self.words else "---:" for column in range(len(self.header))]
        return "\n".join(
            [f"**{self.title}**", "", *map(line, [self.header, align, *self.rows]), "", self.note]
        )
