"""The pictures of docs/paper.md: the same bytes from the same results."""

import statistics
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from examples.paper.results import Results, pass_rate
from examples.paper.sampling import few
from examples.paper.tables import tasks_of
from examples.pictures import same_bytes

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#7A3B00", "#009E73")
MARKERS = ("o", "D", "s", "^", "v", "P")
TEXT, TITLE = 13, 15


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Writes every picture as SVG: one of each sampled task, and one of training."""
    pictures = []
    for task in tasks_of(results):
        pictures.append(folder / f"paper_{task.replace(' ', '_')}.svg")
        draw(results, task, pictures[-1])
    pictures.append(folder / "paper_training.svg")
    draw_training(results, pictures[-1])
    return pictures


def draw(results: Results, task: str, path: Path) -> None:
    """Writes the task's picture: pass@k and #EA against samples, and the gain by heated position."""
    with same_bytes():
        figure = Figure(figsize=(7, 11), layout="constrained")
        FigureCanvasSVG(figure)
        above, middle, below = figure.subplots(3, 1)
        _curves(above, middle, results, task)
        _positions(below, results, task)
        settings = results.settings
        figure.suptitle(
            f"{task}: transformers of {_parameters(results, task)} parameters,\n"
            f"{settings['seeds']} training seeds, "
            f"{settings['prompts']} prompts × {settings['samples']} samples",
            fontsize=TITLE,
        )
        handles, labels = above.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=TEXT)
        _save(figure, path)


def draw_training(results: Results, path: Path) -> None:
    """Writes Table 4's picture: greedy answers and the better strategy's share against updates, by remedy."""
    task = results.trained[0].task
    remedies = list(dict.fromkeys(policy.remedy for policy in results.trained if policy.task == task))
    with same_bytes():
        figure = Figure(figsize=(7, 8.5), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(2, 1)
        for field, title, axes in zip(
            ("greedy", "careful"),
            ("greedy answers right", "probability of a careful opener: the better strategy"),
            panels,
            strict=True,
        ):
            for index, remedy in enumerate(remedies):
                curves = results.curves(task, remedy)
                updates = [checkpoint.update for checkpoint in curves[0]]
                means = [statistics.fmean(getattr(c, field) for c in at) for at in zip(*curves, strict=True)]
                axes.plot(
                    updates,
                    means,
                    label=remedy,
                    color=COLOURS[index % len(COLOURS)],
                    marker=MARKERS[index % len(MARKERS)],
                    markersize=8,
                    linewidth=2.5,
                )
            axes.set_title(title, loc="left", fontsize=TITLE)
            axes.set_xlabel("updates of GRPO", fontsize=TEXT)
            axes.set_ylim(-0.02, 1.02)
        size, settings = _parameters(results, task), results.settings
        figure.suptitle(
            f"{task}: transformers of {size} parameters,\nmean of {settings['seeds']} training seeds, "
            f"{settings['prompts']} prompts",
            fontsize=TITLE,
        )
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=TEXT)
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.tick_params(labelsize=TEXT)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#dddddd")
        axes.set_axisbelow(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def _parameters(results: Results, task: str) -> str:
    return next(f"{model['parameters']:,}" for model in results.models if model["task"] == task)


def _curves(rate: Axes, different: Axes, results: Results, task: str) -> None:
    """The paper's Figure 1, of each way to sample."""
    for colour, way in zip(COLOURS, results.names(task, "ways"), strict=False):
        outcomes = results.of(task, "ways", "", way)
        counts = list(outcomes[0].answers)
        style: dict[str, Any] = {
            "color": colour,
            "marker": "o" if way.startswith("plain") else "D",
            "linewidth": 2.5,
        }
        rate.plot(counts, [pass_rate(outcomes, k) for k in counts], label=way, **style)
        different.plot(counts, [statistics.fmean(o.answers[n] for o in outcomes) for n in counts], **style)
    for axes, title in ((rate, "pass@k"), (different, "#EA: different answers")):
        axes.set_title(title, loc="left", fontsize=TITLE)
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(n) for n in counts])
        axes.set_xlabel("samples of a prompt", fontsize=TEXT)
        axes.set_ylim(bottom=0)
    rate.set_ylim(0, 1.02)


def _positions(axes: Axes, results: Results, task: str) -> None:
    """pass@10 (of fewer samples: all of them) by heated position: plain and FIRE, each a bar."""
    k = few(results.settings["samples"])
    cells = results.cells(task, "position")
    for offset, way, colour in ((-0.2, "plain", COLOURS[0]), (0.2, "FIRE", COLOURS[3])):
        heights = []
        for cell in cells:
            outcomes = results.of(task, "position", cell, way)
            heights.append(pass_rate(outcomes, k))
        bars = axes.bar([place + offset for place in range(len(cells))], heights, 0.38, color=colour)
        axes.bar_label(bars, fmt="%.2f", fontsize=TEXT)
    axes.set_xticks(range(len(cells)), [f"token {int(cell) + 1}" for cell in cells])
    axes.set_ylim(0, 1.12)
    axes.set_title(
        f"pass@{k} by heated token (blue: plain), after a right beginning", loc="left", fontsize=TITLE
    )
