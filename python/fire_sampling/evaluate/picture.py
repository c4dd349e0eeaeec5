"""One picture of a result: pass@k and different answers against k, and what FIRE adds."""

from __future__ import annotations

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


def draw(result: dict[str, Any], path: Path) -> None:
    """Writes a result as SVG, one panel above the other: a phone shows it as a screen does."""
    settings = result["settings"]
    with matplotlib.rc_context(_RC):
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
