"""The picture: a sampled row of ours, of every peer, and one read of it, on a logarithmic scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from .cases import SETTINGS, SHOWN_VOCABULARY
from .goals import Results
from .report import microseconds

_OURS, _READ = "#d1495b", "#9aa5b1"
_PEERS = (
    ("#1f6f8b", "o"),
    ("#2a9d8f", "s"),
    ("#7b5ea7", "D"),
    ("#8d6e3f", "^"),
    ("#444444", "v"),
    ("#6a994e", "P"),
)


def shown_cells(run: Results) -> list[Results]:
    """One row a call, float32, out of cache, at the vocabulary shown, in the order of the settings."""
    cells = {
        cell["setting"]: cell
        for cell in run["cells"]
        if (cell["vocabulary"], cell["dtype"], cell["rows"]) == (SHOWN_VOCABULARY, "float32", 1)
        and cell["place"] == "out of cache"
        and cell["kind"] == SETTINGS[cell["setting"]].kind
    }
    return [cells[name] for name in SETTINGS if name in cells]


def draw(run: Results, path: Path) -> None:
    """Writes the picture as PNG, upright so that a phone shows it whole.

    Raises:
        ValueError: the run has none of the cells shown.
    """
    cells = shown_cells(run)
    if not cells:
        raise ValueError(f"the run has no cell of one float32 row of {SHOWN_VOCABULARY} logits out of cache")
    best = run["instruction_sets"][0]
    plt.rcParams.update({"font.size": 13, "font.family": "DejaVu Sans"})
    figure, axes = plt.subplots(figsize=(7.2, 2.0 + 0.95 * len(cells)), dpi=150)
    peers = [peer for peer in run["contenders"] if any(peer in cell["results"] for cell in cells)]
    for place, cell in enumerate(cells):
        _draw_setting(axes, len(cells) - 1 - place, cell, best, peers)
    read = sorted(cell["results"][f"read/{best}"]["median"] for cell in cells)[len(cells) // 2]
    axes.axvline(read, color=_READ, linewidth=2, linestyle="--", zorder=1)

    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(read * 0.45, 1.6 * max(cell["results"][peer]["median"] for cell in cells for peer in peers))
    axes.set_ylim(-0.5, len(cells) - 0.4)
    axes.set_yticks(range(len(cells)), [cell["setting"] for cell in reversed(cells)])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(
        "µs a row, one thread (log scale; left is better)\nn×: how many times as long the fastest peer takes"
    )
    axes.grid(axis="x", color="#e3e7eb", zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles = [
        Line2D([], [], color=_OURS, marker="o", markersize=11, linestyle="", label=f"fire-sampling ({best})")
    ]
    handles += [
        Line2D(
            [],
            [],
            color=color,
            marker=marker,
            markersize=8,
            linestyle="",
            label=run["contenders"][peer]["title"],
        )
        for peer, (color, marker) in zip(peers, _PEERS, strict=False)
    ]
    handles.append(
        Line2D(
            [],
            [],
            color=_READ,
            linewidth=2,
            linestyle="--",
            label=f"one read of the row: {microseconds(read)} µs",
        )
    )
    figure.suptitle(
        f"Sampling one row of {SHOWN_VOCABULARY:,} float32 logits, out of cache", fontsize=14, y=0.985
    )
    figure.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.955), ncols=2, frameon=False, fontsize=11
    )
    figure.text(
        0.99,
        0.005,
        f"{run['machine']['cpu']}, {run['machine']['date']}",
        ha="right",
        fontsize=9,
        color="#667",
    )
    figure.tight_layout(rect=(0, 0.01, 1, 0.955 - 0.2 * ((len(handles) + 1) // 2) / figure.get_figheight()))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)


def _draw_setting(axes: Axes, y: int, cell: Results, best: str, peers: list[str]) -> None:
    ours = cell["results"][f"fire/{best}"]["median"]
    others = {peer: cell["results"][peer]["median"] for peer in peers if peer in cell["results"]}
    axes.plot(
        [ours, max(others.values())], [y, y], color="#dfe4ea", linewidth=6, solid_capstyle="round", zorder=1
    )
    for peer, (color, marker) in zip(peers, _PEERS, strict=False):
        if peer in others:
            axes.plot(others[peer], y, marker=marker, color=color, markersize=8, zorder=3)
    axes.plot(ours, y, marker="o", color=_OURS, markersize=12, zorder=4)
    paper = {
        "boxstyle": "square,pad=0.1",
        "facecolor": "white",
        "edgecolor": "none",
    }  # over the line of one read
    _write_above(axes, ours, y, f"{microseconds(ours)} µs", color=_OURS, weight="bold", bbox=paper)
    fastest = min(others.values())
    _write_above(axes, fastest, y, f"{fastest / ours:.1f}×", color="#445", fontsize=12)


def _write_above(axes: Axes, x: float, y: int, text: str, **style: Any) -> None:
    axes.annotate(text, (x, y), xytext=(0, 11), textcoords="offset points", ha="center", **style)
