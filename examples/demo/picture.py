"""The picture: plain beside FIRE, task by task, and pass@k over all prompts."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from examples.demo.report import COMPARED, Result, difference, mean, samples, tasks
from fire_sampling.metrics import mean_interval, powers_of_two

# Blue and vermilion of Okabe and Ito's palette, which colour-blind readers can tell apart. A ring and a small
# diamond: both show where they meet.
STYLE: dict[str, dict[str, Any]] = {
    "plain": {
        "color": "#0072B2",
        "marker": "o",
        "markersize": 14,
        "markerfacecolor": "white",
        "markeredgewidth": 3,
    },
    "FIRE": {"color": "#D55E00", "marker": "D", "markersize": 7},
}
TEXT, TITLE = 14, 16


def draw(results: Sequence[Result], path: Path, model: str) -> None:
    """Writes a model's `results` as a PNG file: portrait, with letters that a phone can show."""
    n = samples(results)
    figure = Figure(figsize=(8, 12), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, 2, height_ratios=[1, 1, 1.1])
    panels: list[tuple[str, float, Callable[[Result, str], float]]] = [
        ("different first tokens", n, Result.first_tokens),
        ("different answers", n, Result.answers),
        ("pass@1", 1, lambda result, mode: result.pass_at(1, mode)),
        (f"pass@{n}", 1, lambda result, mode: result.pass_at(n, mode)),
    ]
    for index, (title, limit, value) in enumerate(panels):
        axes = figure.add_subplot(grid[divmod(index, 2)])
        _pairs(axes, results, title, limit, value)
        axes.tick_params(labelleft=index % 2 == 0)
    curve = figure.add_subplot(grid[2, 0])
    _curve(curve, results)
    _difference(figure.add_subplot(grid[2, 1]), results)
    for axes in figure.axes:
        axes.tick_params(labelsize=TEXT, length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.grid(color="#dddddd")
        axes.set_axisbelow(True)
    handles, labels = curve.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        title=f"{model}: {len(results)} prompts,\n{n} completions each, plain and with FIRE",
        title_fontsize=TITLE + 3,
        loc="outside upper center",
        ncols=2,
        frameon=False,
        fontsize=TITLE,
    )
    figure.savefig(path, dpi=120)


def _pairs(
    axes: Axes, results: Sequence[Result], title: str, limit: float, value: Callable[[Result, str], float]
) -> None:
    """The two means of each task, joined by a line."""
    grouped = tasks(results)
    for row, chosen in enumerate(grouped.values()):
        means = [mean(chosen, mode, value) for mode in COMPARED]
        axes.plot(means, [row, row], color="#999999", linewidth=3, zorder=2)
        for mode, at in zip(COMPARED, means, strict=True):
            axes.plot(at, row, linestyle="", zorder=3, **STYLE[mode])
    axes.set_title(title, loc="left", fontsize=TITLE)
    axes.set_yticks(range(len(grouped)), list(grouped))
    axes.set_ylim(len(grouped) - 0.5, -0.5)
    axes.set_xlim(-0.05 * limit, 1.05 * limit)
    axes.set_xticks([0, limit / 2, limit], ["0", f"{limit / 2:g}", f"{limit:g}"])


def _curve(axes: Axes, results: Sequence[Result]) -> None:
    """pass@k against k, its mean over all prompts."""
    ks = powers_of_two(samples(results))
    for mode in COMPARED:
        means = [statistics.fmean(result.pass_at(k, mode) for result in results) for k in ks]
        axes.plot(ks, means, label=mode, linewidth=3, **STYLE[mode])
    axes.set_title("pass@k, all prompts", loc="left", fontsize=TITLE)
    axes.set_ylim(0, 1)
    _completions(axes, ks)


def _difference(axes: Axes, results: Sequence[Result]) -> None:
    """What FIRE adds to pass@k, with the interval that tells a difference from chance."""
    ks = powers_of_two(samples(results))
    means, lows, highs = zip(*(mean_interval(difference(results, k)) for k in ks), strict=True)
    axes.axhline(0, color="black", linewidth=1)
    axes.vlines(ks, lows, highs, color=STYLE["FIRE"]["color"], linewidth=3)
    axes.plot(ks, means, linestyle="", **STYLE["FIRE"])
    axes.set_title("FIRE − plain, 95 %", loc="left", fontsize=TITLE)
    reach = max(0.1, 1.1 * max(map(abs, [*lows, *highs])))
    axes.set_ylim(-reach, reach)
    _completions(axes, ks)


def _completions(axes: Axes, ks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.set_xlim(ks[0] / 1.25, ks[-1] * 1.25)
    axes.set_xlabel("k completions", fontsize=TEXT)
