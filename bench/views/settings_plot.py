"""One row sampled in each setting: ours, every peer and the limit, on a logarithmic scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.schema import Cell
from matplotlib.axes import Axes

from . import style
from .results import Results, median, setting_name, shape_name
from .text import microseconds, ratio


def draw(results: Results, path: Path) -> bool:
    """Writes the picture, upright so that a phone shows it whole; False where no cell would be on it."""
    cells = [cell for cell in results.shown() if results.ahead(cell) is not None]
    if not cells:
        return False
    ours, limit = results.leading, results.limit(results.leading)
    peers = [
        key for key in results.of_role("peer", "orientation") if any(key in one["results"] for one in cells)
    ]
    keys = [ours, *([limit] if limit else []), *peers]
    above = 0.45 + style.legend_height(keys)
    figure, ((axes,),) = style.new_figure(above + 1.0 + 0.66 * len(cells))
    for place, cell in enumerate(reversed(cells)):
        _draw_setting(axes, place, cell, results, peers)
    if limit:
        read = sorted(time for cell in cells if (time := median(cell, limit)))[len(cells) // 2]
        axes.axvline(read, color=style.LIMIT, linewidth=2, linestyle="--", zorder=1)
    style.logarithmic(axes, "x")
    style.plain(axes)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.09)
    axes.set_ylim(-0.4, len(cells) - 0.35)
    axes.set_yticks(
        range(len(cells)),
        [setting_name(cell).replace(" T=", "\nT=").replace(" min-p", "\nmin-p") for cell in reversed(cells)],
    )
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("µs a call (log scale; left is better)\n×: as many times as long the fastest peer takes")
    style.legend(figure, results, keys, top=0.4)
    style.finish(figure, results, shape_name(cells[0]), above, path)
    return True


def _draw_setting(axes: Axes, y: int, cell: Cell, results: Results, peers: list[str]) -> None:
    times = {key: time for key in peers if (time := median(cell, key))}
    ours = median(cell, results.leading) or 0.0
    axes.plot(
        [ours, max(times.values())], [y, y], color=style.FAINT, linewidth=6, solid_capstyle="round", zorder=1
    )
    for key, time in times.items():
        color, marker = style.look(results, key)
        axes.plot(time, y, marker=marker, color=color, markersize=8, zorder=3)
    color, _ = style.look(results, results.leading)
    axes.plot(ours, y, marker="o", color=color, markersize=11, zorder=4)
    paper = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"}  # over the limit's line
    _write_above(axes, ours, y, f"{microseconds(ours)} µs", color=color, weight="bold", bbox=paper)
    fastest = results.fastest_peer(cell)
    if fastest:
        _write_above(axes, fastest[1], y, f"{ratio(fastest[1] / ours)}×", color=style.INK)


def _write_above(axes: Axes, x: float, y: int, text: str, **look: Any) -> None:
    axes.annotate(text, (x, y), xytext=(0, 9), textcoords="offset points", ha="center", fontsize=11, **look)
