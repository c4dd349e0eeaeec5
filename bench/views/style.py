"""How every picture looks: readable at the width of a phone, each contender the same everywhere."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from .results import Results

WIDTH = 6.6  # inches: text of 12 points stays legible on a phone
INK, FAINT = "#334", "#e3e7eb"
OURS, LIMIT = ("#d1495b", "#f0a04b", "#b0b7c0"), "#7b8794"
_PEERS = (
    ("#1f6f8b", "o"),
    ("#2a9d8f", "s"),
    ("#7b5ea7", "D"),
    ("#8d6e3f", "^"),
    ("#444444", "v"),
    ("#6a994e", "P"),
    ("#3a5a9b", "X"),
    ("#a05195", "h"),
)


def look(results: Results, key: str) -> tuple[str, str]:
    """Colour and marker of a contender."""
    role = results.contenders[key]["role"]
    if role == "ours":
        return OURS[min(results.of_role("ours").index(key), len(OURS) - 1)], "o"
    if role == "limit":
        return LIMIT, ""
    others = results.of_role("peer", "orientation")
    return _PEERS[others.index(key) % len(_PEERS)]


def new_figure(height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[list[Axes]]]:
    """A figure of the usual width with a grid of axes that share their scales."""
    plt.rcParams.update(
        {
            **{"font.size": 12, "text.color": INK, "axes.edgecolor": "#9aa5b1"},
            **{"font.family": ["DejaVu Sans", "sans-serif"], "font.sans-serif": ["DejaVu Sans"]},
            # Text stays text, so that a picture is small; the same data make the same file.
            **{"svg.fonttype": "none", "svg.hashsalt": "fire-sampling"},
        }
    )
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, height), squeeze=False, sharex=True, sharey=True
    )
    return figure, [list(line) for line in axes]


def plain(axes: Axes) -> None:
    """Takes away what is not data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=FAINT, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)


def logarithmic(axes: Axes, which: str) -> None:
    """A logarithmic axis whose ticks are written as 1,000."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend(
    figure: Figure, results: Results, keys: list[str], top: float, columns: int = 2, bars: bool = False
) -> None:
    """One legend for the whole figure, its upper edge at `top` (inches below the figure's)."""
    handles: list[Artist] = []
    for key in keys:
        color, marker = look(results, key)
        if bars:
            handles.append(Patch(color=color, label=results.title(key)))
            continue
        style = {"linestyle": "--" if not marker else "-", "linewidth": 2, "markersize": 7}
        handles.append(Line2D([], [], color=color, marker=marker, label=results.title(key), **style))  # type: ignore[arg-type]
    place = 1 - top / figure.get_figheight()
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, place),
        ncols=columns,
        frameon=False,
        fontsize=11,
    )


def legend_height(keys: list[str], columns: int = 2) -> float:
    """Inches."""
    return 0.23 * -(-len(keys) // columns)


def finish(figure: Figure, results: Results, title: str, above: float, path: Path) -> None:
    """Adds title and origin, leaves `above` inches for what stands over the axes, and writes the picture."""
    height = figure.get_figheight()
    machine = results.run["machine"]
    heading = figure.suptitle(title, fontsize=13, y=1 - 0.1 / height, va="top")
    heading.set_in_layout(False)  # `above` has room for it
    figure.text(
        0.99, 0.04 / height, f"{machine['name']}, {machine['date']}", ha="right", fontsize=9, color="#667"
    )
    figure.tight_layout(rect=(0, 0.15 / height, 1, 1 - above / height))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
