"""Tables of a run, as text for a terminal or as Markdown for the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from .cases import SETTINGS
from .goals import Costs, Results, count_rows, verdicts
from .rows import ROTATION

BEGIN = "<!-- begin: written by bench/cpu.py --write-docs -->"
END = "<!-- end: written by bench/cpu.py --write-docs -->"

Row = Sequence[str]
_SETTINGS = list(SETTINGS)


def microseconds(value: float) -> str:
    """Three digits that count: 4.06, 12.3, 871, 12,070."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def text_table(header: Row, rows: Iterable[Row]) -> str:
    table = [tuple(header), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(field.ljust(width) for field, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def markdown_table(header: Row, rows: Iterable[Row]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Report:
    """Renders one run. `table` is text_table or markdown_table."""

    def __init__(self, run: Results, markdown: bool = False) -> None:
        self._run = run
        self._markdown = markdown
        self._table = markdown_table if markdown else text_table
        self._heading = "### " if markdown else ""
        self._costs = Costs(run)

    def render(self) -> str:
        sections = [
            self._machine(),
            self._section("Goals", self._goals()),
            self._section("What a call costs", self._calls()),
            self._section("Two threads", self._threads()),
            self._section("Memory", self._memory()),
            *self._cells(),
            self._section("Contenders", self._contenders()),
        ]
        return "\n\n".join(section for section in sections if section) + "\n"

    def wrong_tokens(self) -> int:
        cells = [*self._run["cells"], *self._run["calls"], *self._run["threads"]]
        return sum(result["wrong"] for cell in cells for result in cell["results"].values())

    def _section(self, title: str, body: str) -> str:
        return f"{self._heading}{title}\n\n{body}" if body else ""

    def _folded(self, title: str, body: str) -> str:
        """A long section: in Markdown it opens at a click."""
        if not self._markdown:
            return self._section(title, body)
        return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"

    def _machine(self) -> str:
        machine = self._run["machine"]
        caches = ", ".join(f"{name} {size // 1024:,} KiB" for name, size in machine["caches"].items())
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        checked = sum(
            result["checked"]
            for cell in (*self._run["cells"], *self._run["calls"], *self._run["threads"])
            for result in cell["results"].values()
        )
        stolen = max((cell["stolen_percent"] for cell in self._run["cells"]), default=0.0)
        lines = [
            f"{machine['cpu']}, {machine['cores']} cores; {caches}; {machine['system']}; {machine['date']}.",
            f"{versions}.",
            f"Instruction sets: {', '.join(self._run['instruction_sets'])}. Out of cache: a rotation over "
            f"{ROTATION} × {self._run['cache_bytes'] >> 20} MiB of rows. One thread unless said.",
            f"{checked:,} tokens drawn in the timed calls were checked, {self.wrong_tokens():,} were wrong. "
            f"The host took at most {stolen:.1f} % of the processors' time during a cell.",
        ]
        lines += [f"Left out: {name} ({reason})." for name, reason in self._run["left_out"].items()]
        return "\n".join(lines)

    def _goals(self) -> str:
        rows = [
            (verdict.title, verdict.limit, verdict.worst, f"{verdict.met} of {verdict.cells}", verdict.where)
            for verdict in verdicts(self._run)
        ]
        return (
            self._table(("goal", "limit", "worst", "cells that meet it", "worst where"), rows) if rows else ""
        )

    def _calls(self) -> str:
        if not self._run["calls"]:
            return ""
        keys = list(self._run["calls"][0]["results"])
        rows = [
            (cell["dtype"], cell["setting"], *(microseconds(cell["results"][key]["median"]) for key in keys))
            for cell in self._run["calls"]
        ]
        table = self._table(("dtype", "setting", *keys), rows)
        packs = "; ".join(
            f"{count_rows(pack['rows'])} {microseconds(pack['median'])} µs" for pack in self._run["packs"]
        )
        return f"Microseconds a call, one row of 32 logits.\n\n{table}\n\n`pack` of one config: {packs}."

    def _threads(self) -> str:
        rows = []
        for cell in self._run["threads"]:
            one, two = (result["median"] for _, result in sorted(cell["results"].items()))
            rows.append((cell["setting"], microseconds(one), microseconds(two), f"{one / two:.2f} ×"))
        if not rows:
            return ""
        cell = self._run["threads"][0]
        shape = f"{cell['rows']} rows, V = {cell['vocabulary']:,}, {cell['dtype']}, {cell['place']}"
        table = self._table(("setting", "one thread", "two threads", "faster by"), rows)
        return f"Microseconds a call, {shape}.\n\n{table}"

    def _memory(self) -> str:
        records = self._run["memory"]
        if not records:
            return ""
        columns = list(dict.fromkeys((record["contender"], record["rows"]) for record in records))
        peaks = {(r["setting"], r["contender"], r["rows"]): r["peak_bytes"] for r in records}
        header = ("setting", *(f"{name}, {count_rows(rows)}" for name, rows in columns))
        rows = [
            (setting, *(f"{peaks[(setting, *column)] // 1024:,}" for column in columns))
            for setting in dict.fromkeys(record["setting"] for record in records)
        ]
        caption = (
            "KiB by which one of the first calls raises resident memory at its peak, "
            f"V = {records[0]['vocabulary']:,}, float32; what an adapter sets up beforehand, as llama.cpp's "
            "array of 12 bytes a logit, is not counted."
        )
        return f"{caption}\n\n" + self._table(header, rows)

    def _cells(self) -> list[str]:
        groups: dict[tuple[int, str, str], list[Results]] = {}
        for cell in self._run["cells"]:
            groups.setdefault((cell["rows"], cell["place"], cell["dtype"]), []).append(cell)
        sections = []
        for (rows, place, dtype), cells in sorted(groups.items()):
            title = f"{count_rows(rows)} a call, {place}, {dtype}"
            sections.append(self._folded(title, self._cell_table(cells)))
        return sections

    def _cell_table(self, cells: list[Results]) -> str:
        sets, peers = self._run["instruction_sets"], list(self._run["contenders"])
        ours = [f"{name}/{instruction_set}" for instruction_set in sets for name in ("read", "fire")]
        header = ["V", "setting", "rows", "kept", *ours, *(f"reads/{name}" for name in sets), *peers]
        best = f"fire/{sets[0]}"
        rows = []
        for cell in sorted(cells, key=lambda cell: (cell["vocabulary"], _SETTINGS.index(cell["setting"]))):
            rows.append(
                (
                    f"{cell['vocabulary']:,}",
                    cell["setting"],
                    cell["kind"],
                    f"{cell['kept']:,}",
                    *(_spread(cell, key) for key in ours),
                    *(f"{self._costs.reads(cell, name):.2f} ×" for name in sets),
                    *(_beside(cell, key, best) for key in peers),
                )
            )
        caption = (
            "Microseconds a row: ours median (p10–p90), peers median (× ours). `kept`: tokens kept in the "
            "first row. `reads`: ours in reads of the row, the cost of a call subtracted from both."
        )
        return f"{caption}\n\n" + self._table(header, rows)

    def _contenders(self) -> str:
        notes = {**self._run["ours"], **self._run["contenders"]}
        return "\n".join(f"- `{name}` ({note['title']}): {note['notes']}" for name, note in notes.items())


def _spread(cell: Results, key: str) -> str:
    result = cell["results"][key]
    median, p10, p90 = (microseconds(result[name] / cell["rows"]) for name in ("median", "p10", "p90"))
    return f"{median} ({p10}–{p90})"


def _beside(cell: Results, key: str, ours: str) -> str:
    if key not in cell["results"]:
        return "–"
    median = cell["results"][key]["median"]
    return f"{microseconds(median / cell['rows'])} ({median / cell['results'][ours]['median']:.1f} ×)"


def write_between_markers(document: Path, text: str) -> None:
    """Replaces what stands between BEGIN and END.

    Raises:
        ValueError: the document has no such place.
    """
    before = document.read_text()
    after, count = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda _: f"{BEGIN}\n{text.rstrip()}\n{END}",
        before,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{document}: got {count} places between {BEGIN} and {END}, expected one")
    document.write_text(after)
