"""Time of a call against the rows of its batch, with the limit drawn in."""

from __future__ import annotations

from pathlib import Path

from harness.schema import Cell
from matplotlib.axes import Axes

from . import style
from .results import Results, group, median, most_common, setting_name, usual

MOST_VOCABULARIES, MOST_SETTINGS = 2, 4  # as many panels as a phone shows side by side, and below each other
LEAST_POINTS = 3


def series(results: Results) -> dict[tuple[str, int], list[Cell]]:
    """By setting and vocabulary: the cells of ascending numbers of rows that differ in nothing else."""
    cells = [cell for cell in results.cells if usual(cell) and cell["outputs"] == "token"]
    axes = ("setting", "vocabulary", "dtype", "kind", "place", "launch")
    lines: dict[tuple[str, int], list[Cell]] = {}
    cells.sort(key=results.setting_place)
    for found in group(cells, *axes).values():
        name = (setting_name(found[0]), found[0]["vocabulary"])
        if len(found) >= LEAST_POINTS and len(found) > len(lines.get(name, [])):
            lines[name] = sorted(found, key=lambda cell: cell["rows"])
    vocabularies = most_common((vocabulary for _, vocabulary in lines), MOST_VOCABULARIES)
    whole = [
        name
        for name in dict.fromkeys(name for name, _ in lines)
        if all((name, v) in lines for v in vocabularies)
    ]
    if len(whole) < 2:  # else one vocabulary shows more
        vocabularies = vocabularies[:1]
        whole = [name for name, vocabulary in lines if vocabulary in vocabularies]
    return {
        name: line
        for name, line in lines.items()
        if name[0] in whole[:MOST_SETTINGS] and name[1] in vocabularies
    }


def draw(results: Results, path: Path) -> bool:
    """Writes the picture; False where no cells differ in their rows alone."""
    lines = series(results)
    if not lines:
        return False
    settings = list(dict.fromkeys(setting for setting, _ in lines))
    vocabularies = sorted({vocabulary for _, vocabulary in lines})
    measured = {key for line in lines.values() for cell in line for key in cell["results"]}
    limit = results.limit(results.leading)
    keys = [results.leading, *([limit] if limit else []), *results.of_role("peer", "orientation")]
    keys = [key for key in keys if key in measured]
    above = 0.7 + style.legend_height(keys)
    figure, grid = style.new_figure(above + 0.6 + 2.3 * len(settings), len(settings), len(vocabularies))
    for panels, setting in zip(grid, settings, strict=True):
        for axes, vocabulary in zip(panels, vocabularies, strict=True):
            _draw_panel(axes, results, keys, lines.get((setting, vocabulary), []))
            axes.set_title(f"{setting}, V = {vocabulary:,}", fontsize=10, loc="left")
        panels[0].set_ylabel("µs a call")
    for axes in grid[-1]:
        axes.set_xlabel("rows of a batch")
    style.legend(figure, results, keys, top=0.65)
    any_cell = next(iter(lines.values()))[0]
    title = "\n".join(
        (
            f"Time against rows, {any_cell['dtype']}, {any_cell['place']}",
            "(dashed: the limit; both scales logarithmic)",
        )
    )
    style.finish(figure, results, title, above, path)
    return True


def _draw_panel(axes: Axes, results: Results, keys: list[str], cells: list[Cell]) -> None:
    style.logarithmic(axes, "x")
    style.logarithmic(axes, "y")
    style.plain(axes)
    for key in keys:
        points = [(cell["rows"], time) for cell in cells if (time := median(cell, key))]
        if points:
            color, marker = style.look(results, key)
            ours = key == results.leading
            axes.plot(
                *zip(*points, strict=True),
                color=color,
                marker=marker,
                linestyle="-" if marker else "--",
                linewidth=3 if ours else 1.6,
                markersize=7 if ours else 5,
                zorder=4 if ours else 3,
            )
    rows = [cell["rows"] for cell in cells]
    if rows:
        told = [rows[0]]  # ticks whose numbers have room
        for count in rows:
            if count >= 4 * told[-1]:
                told.append(count)
        axes.set_xticks(told, [str(count) for count in told])
        axes.minorticks_off()
