"""The time of one sampled row, ours beside each peer: the picture at the head of the README."""

from __future__ import annotations

import math
from pathlib import Path

from harness.schema import Cell

from . import style
from .results import Results, median, shape_name
from .text import microseconds, ratio

_SETTING = "k=50 p=0.95 T=0.7"  # what a chat model's generation config often says


def _cell(results: Results) -> Cell | None:
    cells = [cell for cell in results.shown() if results.ahead(cell)]
    return next((cell for cell in cells if cell["setting"] == _SETTING), cells[0] if cells else None)


def sentence(results: Results) -> str:
    """The same in words, for a file that has a limit."""
    cell = _cell(results)
    peer = results.fastest_peer(cell) if cell else None
    if cell is None or peer is None:
        raise ValueError("results: got no cell with ours and a peer, expected one")
    ours, limit, slow = (
        median(cell, key) or math.nan for key in (results.leading, results.limit(results.leading), "hf")
    )
    return (
        f"{microseconds(ours)} µs a row on one thread, {ratio(ours / limit)} times one bare read of it.\n"
        f"  {results.title(peer[0])}, takes {ratio(peer[1] / ours)} times as long, transformers\n"
        f"  {ratio(slow / ours)} times ([measured](docs/benchmarks.md))."
    )


def draw(results: Results, path: Path) -> bool:
    """Writes the picture, of the first setting if that one was not measured; False without any peer."""
    cell = _cell(results)
    if cell is None:
        return False
    timed = [(key, time) for key in results.contenders if (time := median(cell, key)) is not None]
    others = [(key, time) for key, time in timed if results.contenders[key]["role"] == "peer"]
    keys = [*sorted(others, key=lambda one: -one[1]), *((k, t) for k, t in timed if k == results.leading)]
    ours = keys[-1][1]
    limit = median(cell, results.limit(results.leading))
    figure, ((axes,),) = style.new_figure(0.55 * len(keys) + 1.9)
    style.logarithmic(axes, "x")
    style.plain(axes)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    for place, (key, time) in enumerate(keys):
        color, marker = style.look(results, key)
        axes.hlines(place, limit or ours, time, color=color, linewidth=2, alpha=0.5)
        axes.plot(time, place, marker=marker, color=color, markersize=11)
        text = f"{microseconds(time)} µs"
        if key != results.leading:
            text += f" · {ratio(time / ours)}×"
        axes.annotate(
            text,
            (time, place),
            xytext=(11, 0),
            textcoords="offset points",
            va="center",
            color=color,
            weight="bold" if key == results.leading else "normal",
        )
    if limit:
        axes.axvline(limit, color=style.LIMIT, linewidth=2, linestyle="--", zorder=1)
        axes.annotate(
            "one read of the row",
            (limit, len(keys) - 0.45),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=11,
            color=style.LIMIT,
        )
    names = [results.title(key).replace(", ", ",\n").replace(" (avx512)", "") for key, _ in keys]
    axes.set_yticks(range(len(keys)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(keys) - 0.1)
    axes.set_xlim((limit or ours) / 1.3, 30 * max(time for _, time in keys))  # room for the numbers
    axes.set_xlabel("µs from logits to token (log scale)")
    title = f"{results.run['settings'][cell['setting']]}\n{shape_name(cell)}"
    style.finish(figure, results, title, 0.7, path)
    return True
