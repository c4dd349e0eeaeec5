"""A results file as tables: text for a terminal, or Markdown for the documentation."""

from __future__ import annotations

from harness.goals import Costs, count_rows, verdicts
from harness.schema import Cell

from .results import Results, group, median, setting_name, shape_name
from .text import markdown_table, microseconds, ratio, text_table


class Tables:
    """Renders the sections of a results file, each of which is empty where the file has none."""

    def __init__(self, results: Results, markdown: bool = False) -> None:
        self._results = results
        self._run = results.run
        self._markdown = markdown
        self._table = markdown_table if markdown else text_table
        self._costs = Costs(results.run)

    def summary(self) -> str:
        """What a reader wants first: the machine, how far ahead, end to end, the goals."""
        return self._join(
            self._machine(),
            self._section("Beside each peer", self._beside_peers()),
            self._section("Whole generations", self._end_to_end()),
            self._section("Goals", self._goals()),
        )

    def details(self) -> str:
        """Everything that was measured."""
        return self._join(
            self._section("What a call costs", self._calls()),
            self._section("Two threads", self._threads()),
            self._section("Memory", self._memory()),
            *self._cells(),
            self._section("Contenders", self._contenders()),
        )

    def _join(self, *sections: str) -> str:
        return "\n\n".join(section for section in sections if section) + "\n"

    def _section(self, title: str, body: str) -> str:
        heading = f"### {title}" if self._markdown else title
        return f"{heading}\n\n{body}" if body else ""

    def _machine(self) -> str:
        machine, results = self._run["machine"], self._results
        facts = ", ".join(f"{name} {fact}" for name, fact in machine["facts"].items())
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        lines = [f"{machine['name']}: {facts}; {machine['date']}.", f"{versions}."]
        lines += [" ".join(self._run.get("about", []))]
        if results.checked():
            lines.append(
                f"{results.checked():,} draws of timed calls were checked, {results.wrong():,} were wrong."
            )
        stolen = max((cell.get("stolen_percent", 0.0) for cell in results.cells), default=0.0)
        if stolen:
            lines.append(f"The host took at most {stolen:.1f} % of the processors' time during a cell.")
        lines += [f"Left out: {name} ({reason})." for name, reason in self._run.get("left_out", {}).items()]
        return "\n".join(line for line in lines if line)

    def _goals(self) -> str:
        lines: list[tuple[str, ...]] = [
            (verdict.title, verdict.limit, verdict.worst, f"{verdict.met} of {verdict.cells}", verdict.where)
            for verdict in verdicts(self._run)
        ]
        lines += self._goals_of_cells()
        header = ("goal", "limit", "worst", "cells that meet it", "worst where")
        return self._table(header, lines) if lines else ""

    def _goals_of_cells(self) -> list[tuple[str, ...]]:
        """Of files whose cells bring their goals along."""
        judged = [
            (time / cell["goal_us"], cell)
            for cell in self._results.cells
            if "goal_us" in cell and (time := median(cell, self._results.leading))
        ]
        if not judged:
            return []
        worst, cell = max(judged, key=lambda one: one[0])
        met = sum(value <= 1 for value, _ in judged)
        where = f"{shape_name(cell)}, {setting_name(cell)}"
        return [("time of a call", "≤ 1.00 × its goal", f"{worst:.2f} ×", f"{met} of {len(judged)}", where)]

    def _beside_peers(self) -> str:
        """How many times as long each peer takes as the leading one of ours, over all cells."""
        lines = []
        for peer in self._results.of_role("peer", "orientation"):
            ratios = sorted(
                theirs / ours
                for cell in self._results.cells
                if (theirs := median(cell, peer)) and (ours := median(cell, self._results.leading))
            )
            if ratios:
                low, middle, high = ratios[0], ratios[len(ratios) // 2], ratios[-1]
                lines.append((self._results.title(peer), *map(ratio, (low, middle, high)), str(len(ratios))))
        header = ("peer: its time over ours", "least", "median", "most", "cells")
        return self._table(header, lines) if lines else ""

    def _end_to_end(self) -> str:
        lines = []
        for entry in self._run.get("end_to_end", []):
            for key, found in entry["results"].items():
                share, speed = found["sampling_share"], found["tokens_per_second"]
                lines.append(
                    (
                        f"{entry['model']}, {entry['dtype']}",
                        entry["setting"],
                        str(entry["batch"]),
                        self._results.title(key),
                        microseconds(speed),
                        "–" if share is None else f"{100 * share:.1f} %",
                    )
                )
        header = ("model", "setting", "batch", "sampler", "tokens a second", "share of a step spent sampling")
        return self._table(header, lines) if lines else ""

    def _calls(self) -> str:
        cells = self._run.get("calls", [])
        if not cells:
            return ""
        keys = list(dict.fromkeys(key for cell in cells for key in cell["results"]))
        lines = [(cell["dtype"], cell["setting"], *(_time(cell, key) for key in keys)) for cell in cells]
        table = self._table(("dtype", "setting", *keys), lines)
        packs = "; ".join(
            f"{count_rows(pack['rows'])} {microseconds(pack['median'])} µs"
            for pack in self._run.get("packs", [])
        )
        about = f"Microseconds a call, one row of {cells[0]['vocabulary']} logits."
        return f"{about}\n\n{table}" + (f"\n\n`pack` of one config: {packs}." if packs else "")

    def _threads(self) -> str:
        cells = self._run.get("threads", [])
        lines = []
        for cell in cells:
            one, two = (result["median"] for _, result in sorted(cell["results"].items()))
            faster = f"{one / two:.2f} ×" if one and two else "–"
            lines.append((setting_name(cell), microseconds(one), microseconds(two), faster))
        if not lines:
            return ""
        table = self._table(("setting", "one thread", "two threads", "faster by"), lines)
        return f"Microseconds a call, {shape_name(cells[0])}.\n\n{table}"

    def _memory(self) -> str:
        records = self._run.get("memory", [])
        if not records:
            return ""
        columns = list(dict.fromkeys((record["contender"], record["rows"]) for record in records))
        peaks = {
            (setting_name(record), record["contender"], record["rows"]): record["peak_bytes"]
            for record in records
        }
        lines = [
            (name, *(f"{peaks[(name, *column)] // 1024:,}" for column in columns))
            for name in dict.fromkeys(key[0] for key in peaks)
        ]
        caption = (
            "KiB by which one of the first calls raises resident memory at its peak, "
            f"V = {records[0]['vocabulary']:,}, {records[0]['dtype']}; what an adapter sets up beforehand, "
            "as llama.cpp's array of 12 bytes a logit, is not counted."
        )
        header = ("setting", *(f"{name}, {count_rows(rows)}" for name, rows in columns))
        return f"{caption}\n\n" + self._table(header, lines)

    def _cells(self) -> list[str]:
        sections = []
        groups = group(self._results.cells, "rows", "place", "dtype", "outputs", "launch")
        for cells in (groups[axes] for axes in sorted(groups, key=str)):
            title = shape_name(cells[0]).partition(", ")[2]
            body = self._cell_table(cells)
            if self._markdown:
                sections.append(f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>")
            else:
                sections.append(self._section(title, body))
        return sections

    def _cell_table(self, cells: list[Cell]) -> str:
        results = self._results
        ours = [key for key in (*results.of_role("ours"), *results.of_role("limit")) if _anywhere(key, cells)]
        others = [key for key in results.of_role("peer", "orientation") if _anywhere(key, cells)]
        limits = [key for key in ours if results.limit(key)]
        header = ["V", "setting", "kept", *ours, *(f"{key} / limit" for key in limits), *others]
        lines = []
        for cell in sorted(cells, key=lambda cell: (cell["vocabulary"], results.setting_place(cell))):
            lines.append(
                (
                    f"{cell['vocabulary']:,}",
                    setting_name(cell),
                    f"{cell['kept']:,}" if "kept" in cell else "–",
                    *(_spread(cell, key) for key in ours),
                    *(self._multiple(cell, key) for key in limits),
                    *(self._beside(cell, key) for key in others),
                )
            )
        caption = (
            "Microseconds a row: ours and the limit median (p10–p90), peers median (× ours). `kept`: tokens "
            "kept in the first row. `/ limit`: a multiple of the limit, the cost of a call taken from both."
        )
        return f"{caption}\n\n" + self._table(header, lines)

    def _multiple(self, cell: Cell, key: str) -> str:
        timed = median(cell, key) and median(cell, self._results.limit(key))
        return f"{self._costs.limits(cell, key):.2f} ×" if timed else "–"

    def _beside(self, cell: Cell, key: str) -> str:
        theirs, ours = median(cell, key), median(cell, self._results.leading)
        if theirs is None:
            return "–"
        return microseconds(theirs / cell["rows"]) + (f" ({ratio(theirs / ours)} ×)" if ours else "")

    def _contenders(self) -> str:
        return "\n".join(
            f"- `{key}` ({one['title']}): {one['notes']}" for key, one in self._results.contenders.items()
        )


def _anywhere(key: str, cells: list[Cell]) -> bool:
    return any(key in cell["results"] for cell in cells)


def _time(cell: Cell, key: str) -> str:
    return microseconds(median(cell, key))


def _spread(cell: Cell, key: str) -> str:
    result = cell["results"].get(key)
    if result is None or result["median"] is None:
        return "–"
    times = (result["median"], result["p10"], result["p90"])
    median, p10, p90 = (microseconds(time / cell["rows"]) for time in times if time is not None)
    return f"{median} ({p10}–{p90})"
