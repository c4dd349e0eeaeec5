"""How many times as long as ours the fastest peer takes, over settings and shapes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from harness.schema import Cell
from matplotlib.colors import LogNorm

from . import style
from .results import Results, setting_name, usual
from .text import ratio

MOST_COLUMNS = 9  # that stay legible on a phone


Columns = dict[tuple[int, int], dict[tuple[str, str], float]]


def shapes(results: Results) -> tuple[str, Columns]:
    """The dtype and place of most cells; there, by vocabulary and rows, the ratio of every setting."""
    compared = [
        (cell, ahead)
        for cell in results.cells
        if cell["outputs"] == "token" and (ahead := results.ahead(cell)) is not None
    ]
    if not compared:
        return "", {}
    wanted = [(cell["dtype"], cell["place"], cell["launch"]) for cell, _ in compared]
    main = max(dict.fromkeys(wanted), key=lambda one: (wanted.count(one), one[0] == "bfloat16"))
    found: Columns = {}
    common: Counter[tuple[int, int]] = Counter()  # settings on the logits that each is shown on
    for (cell, ahead), axes in zip(compared, wanted, strict=True):
        if axes == main:
            shape = cell["vocabulary"], cell["rows"]
            found.setdefault(shape, {})[cell["setting"], cell["kind"]] = ahead
            common[shape] += usual(cell)
    # Shapes that few settings have are left to the tables.
    found = {shape: ratios for shape, ratios in found.items() if 2 * common[shape] >= max(common.values())}
    # Vocabularies at the fewest rows, then the rows at the vocabulary that has most of them.
    fewest = min(rows for _, rows in found)
    widest = max((v for v, _ in found), key=lambda v: (sum(one == v for one, _ in found), v))
    order = sorted(shape for shape in found if shape[1] == fewest)
    order += sorted(shape for shape in found if shape[1] != fewest and shape[0] == widest)
    where = ", ".join(main if main[2] != "eager" else main[:2])
    return where, {shape: found[shape] for shape in order[:MOST_COLUMNS]}


def draw(results: Results, path: Path) -> bool:
    """Writes the picture; False where nothing was compared."""
    where, columns = shapes(results)
    if not columns:
        return False
    cells: dict[tuple[str, str], Cell] = {}
    for cell in sorted(results.cells, key=results.setting_place):
        cells.setdefault((cell["setting"], cell["kind"]), cell)
    lines = [name for name, cell in cells.items() if any(name in one for one in columns.values())]
    if len(columns) > 1:  # kinds that one shape alone shows have their place in the tables
        lines = [
            name for name in lines if usual(cells[name]) or sum(name in one for one in columns.values()) > 1
        ]
    values = np.array([[one.get(name, np.nan) for one in columns.values()] for name in lines])
    figure, ((axes,),) = style.new_figure(2.0 + 0.42 * len(lines))
    least, most = np.nanmin(values), np.nanmax(values)
    edges = [np.arange(count + 1) - 0.5 for count in reversed(values.shape)]
    axes.pcolormesh(*edges, values, cmap="YlGnBu", norm=LogNorm(min(1.0, least), max(most, 2.0)))
    axes.invert_yaxis()
    for (line, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            slower = value < 1
            dark = np.log(value) > 0.55 * np.log(max(most, 2.0))
            text = f"{ratio(float(value))}{' !' if slower else ''}"
            color = style.OURS[0] if slower else "white" if dark else style.INK
            axes.text(column, line, text, ha="center", va="center", fontsize=11, color=color)
    axes.set_yticks(range(len(lines)), [setting_name(cells[name]) for name in lines], fontsize=10)
    labels = [f"{vocabulary / 1000:.0f}k\n{rows}" for vocabulary, rows in columns]
    axes.set_xticks(range(len(columns)), labels, fontsize=10)
    axes.annotate(
        "V\nrows",
        (0, 1),
        xytext=(-8, 5),
        textcoords="offset points",
        xycoords="axes fraction",
        ha="right",
        fontsize=10,
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    title = f"The fastest peer's time over fire-sampling's\n({where}; above 1: fire-sampling is faster)"
    style.finish(figure, results, title, 0.65, path)
    return True
