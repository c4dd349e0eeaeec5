"""One picture of a result: pass@k and different answers against k, and what FIRE adds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from fire_sampling.evaluate.summary import ARMS

# Blue and vermilion of Okabe and Ito's palette, which colour-blind readers can tell apart.
_STYLE: dict[str, dict[str, Any]] = {
    "plain": {"color": "#0072B2", "marker": "o", "markerfacecolor": "white", "markeredgewidth": 2},
    "FIRE": {"color": "#D55E00", "marker": "D"},
}
_RC: Any = {
    **{"font.size": 12, "font.family": ["DejaVu Sans", "sans-serif"], "font.sans-serif": ["DejaVu Sans"]},
    # Text stays text, so that a picture is small; the same result makes the same file.
    **{"svg.fonttype": "none", "svg.hashsalt": "fire-sampling"},
}


@contextlib.contextmanager
def _same_style() -> Iterator[None]:
    """matplotlib's defaults and `_RC`, whatever the process has set before."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def draw(result: dict[str, Any], path: Path) -> None:
    """Writes a result as SVG, one panel above the other: a phone shows it as a screen does."""
    settings = result["settings"]
    with _same_style():
        figure = Figure(figsize=(6.6, 10.2), layout="constrained")
        FigureCanvasSVG(figure)
        passing, adding, differing = figure.subplots(3, 1)
        _curves(passing, result, "pass@")
        passing.set_title("pass@k", loc="left", fontsize=12)
        passing.set_ylim(0, None)
        _difference(adding, result)
        _curves(differing, result, "answers@")
        differing.set_title("different answers among k", loc="left", fontsize=12)
        differing.set_ylim(0, None)
        for axes in (passing, adding, differing):
            _along_k(axes, settings["pass_at"])
        differing.set_xlabel("k samples")
        handles, labels = passing.get_legend_handles_labels()
        counts = f"{result['prompts']} prompts, {settings['samples']} samples each"
        hot = f"hot top-k {settings['hot_top_k']}, hot T {settings['hot_temperature']:g}"
        figure.legend(
            handles,
            labels,
            title=f"{settings['title']}\n{counts}; {hot}",
            title_fontsize=12,
            loc="outside upper center",
            ncols=2,
            frameon=False,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def draw_designs(result: dict[str, Any], path: Path) -> None:
    """Writes a branch table as SVG: what each design is predicted to add to plain, a panel a pass@k."""
    settings = result["settings"]
    temperatures = sorted({line["hot_temperature"] for line in result["designs"]})
    with _same_style():
        ks = settings["pass_at"]
        figure = Figure(figsize=(6.6, 1.2 + 2.4 * len(ks)), layout="constrained")
        FigureCanvasSVG(figure)
        for axes, k in zip(figure.subplots(len(ks), 1, squeeze=False)[:, 0], ks, strict=True):
            axes.axhline(0, color="#334", linewidth=1)
            for place, temperature in enumerate(temperatures):
                lines = [line for line in result["designs"] if line["hot_temperature"] == temperature]
                found = [line[f"pass@{k}, design - plain"] for line in lines]
                # Beside each other, or the bars of one would hide those of the next.
                at = [line["hot_top_k"] * 1.05 ** (place - (len(temperatures) - 1) / 2) for line in lines]
                color = matplotlib.colormaps["plasma"](0.1 + 0.75 * place / max(1, len(temperatures) - 1))
                axes.vlines(at, [one["low"] for one in found], [one["high"] for one in found], color=color)
                axes.plot(
                    at, [one["mean"] for one in found], "o-", color=color, label=f"hot T {temperature:g}"
                )
            _along_k(axes, sorted({line["hot_top_k"] for line in result["designs"]}))
            axes.set_title(f"pass@{k}, predicted, design − plain", loc="left", fontsize=12)
        axes.set_xlabel("hot top-k")
        handles, labels = axes.get_legend_handles_labels()
        counts = f"{result['prompts']} prompts, {settings['samples']} plain samples each"
        figure.legend(
            handles,
            labels,
            title=f"{settings['title']}\n{counts}",
            title_fontsize=12,
            loc="outside upper center",
            ncols=4,
            fontsize=10,
            frameon=False,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def _curves(axes: Axes, result: dict[str, Any], prefix: str) -> None:
    ks = result["settings"]["pass_at"]
    for arm in ARMS:
        found = [result[arm][f"{prefix}{k}"] for k in ks]
        axes.fill_between(
            ks,
            [one["low"] for one in found],
            [one["high"] for one in found],
            color=_STYLE[arm]["color"],
            alpha=0.15,
            linewidth=0,
        )
        axes.plot(ks, [one["mean"] for one in found], label=arm, linewidth=2, markersize=7, **_STYLE[arm])


def _difference(axes: Axes, result: dict[str, Any]) -> None:
    ks = result["settings"]["pass_at"]
    found = [result["FIRE - plain"][f"pass@{k}"] for k in ks]
    axes.axhline(0, color="#334", linewidth=1)
    style = _STYLE["FIRE"]
    axes.vlines(
        ks, [one["low"] for one in found], [one["high"] for one in found], color=style["color"], linewidth=2
    )
    axes.plot(ks, [one["mean"] for one in found], linestyle="", markersize=7, **style)
    reach = 1.15 * max(0.02, *(abs(one[end]) for one in found for end in ("low", "high")))
    axes.set_ylim(-reach, reach)
    axes.set_title("pass@k, FIRE − plain, 95 % over prompts", loc="left", fontsize=12)


def _along_k(axes: Axes, ks: list[int]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e3e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.set_xlim(ks[0] / 1.2, ks[-1] * 1.2)
