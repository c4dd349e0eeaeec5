"""The hot loops under the machine's roofs: how much each computes for a byte, and how fast it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from . import style
from .results import Results

_ROOF_STYLES = ("-", "--", ":", "-.")
_TURNS = np.radians([45, -45, 135, -135, 0, 90, -90, 180])


def draw(results: Results, path: Path) -> bool:
    """Writes the picture; False where no loop was both counted and timed."""
    timed = [(loop, loop["ns"]) for loop in results.run.get("loops", []) if loop["ns"]]
    if not timed:
        return False
    points = [
        (loop, loop["instructions"] / loop["bytes"], loop["instructions"] / ns) for loop, ns in timed if ns
    ]
    intensities = [x for _, x, _ in points]
    scale = np.geomspace(min(intensities) / 2, max(intensities) * 2, 100)
    figure, ((axes,),) = style.new_figure(6.4)
    style.logarithmic(axes, "x")
    style.logarithmic(axes, "y")
    style.plain(axes)
    roofs = results.run.get("roofs", [])
    for roof, line in zip(roofs, _ROOF_STYLES, strict=False):
        height = np.full_like(scale, np.inf)
        if roof["bytes_per_ns"]:
            height = np.minimum(height, roof["bytes_per_ns"] * scale)
        if roof["instructions_per_ns"]:
            height = np.minimum(height, roof["instructions_per_ns"])
        axes.plot(scale, height, color=style.LIMIT, linestyle=line, linewidth=2, label=roof["title"])
    variants = list(dict.fromkeys(loop["variant"] for loop, _, _ in points))
    settings = list(dict.fromkeys(loop["name"] for loop, _, _ in points))
    for loop, x, y in points:
        color = style.OURS[variants.index(loop["variant"]) % len(style.OURS)]
        axes.plot(x, y, "o", color=color, markersize=8, zorder=3)
    axes.set_xlabel("instructions for a byte of logits\n" + _key(settings))
    axes.set_ylabel("instructions a nanosecond")
    for number, variant in enumerate(variants):
        axes.plot([], [], "o", color=style.OURS[number % len(style.OURS)], markersize=8, label=variant)
    axes.legend(loc="upper left", frameon=False, fontsize=10)
    speeds = [y for _, _, y in points] + [roof["instructions_per_ns"] or 0.0 for roof in roofs]
    axes.set_ylim(min(y for _, _, y in points) / 2, 12 * max(speeds))  # room for the legend
    _number_points(axes, [(str(settings.index(loop["name"]) + 1), x, y) for loop, x, y in points])
    style.finish(figure, results, "Each setting under the machine's roofs", 0.45, path)
    return True


def _number_points(axes: Axes, points: list[tuple[str, float, float]]) -> None:
    """Writes each point's number beside it, where no other number and no other point is."""
    figure = axes.figure
    figure.canvas.draw()
    size = np.array([9.0, 12.0])  # of a number, in points
    places = np.array([axes.transData.transform((x, y)) for _, x, y in points]) * 72 / figure.dpi
    taken = [(place, size) for place in places]
    for (number, x, y), place in zip(points, places, strict=True):
        offsets = [
            (reach * np.cos(turn), reach * np.sin(turn)) for reach in (13, 20, 28, 36) for turn in _TURNS
        ]
        wanted = np.array([len(number), 1]) * size

        def clear(offset: tuple[float, float], at: np.ndarray = place, extent: np.ndarray = wanted) -> bool:
            return all((np.abs(at + offset - other) >= (extent + held) / 2).any() for other, held in taken)

        offset = next(filter(clear, offsets), offsets[0])
        taken.append((place + offset, wanted))
        far = np.hypot(*offset) > 14
        axes.annotate(
            number,
            (x, y),
            xytext=offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=11,
            arrowprops={"arrowstyle": "-", "color": style.LIMIT, "linewidth": 0.8} if far else None,
        )


def _key(settings: list[str]) -> str:
    parts = [f"{number}: {name}" for number, name in enumerate(settings, 1)]
    return "\n".join("  ·  ".join(parts[at : at + 3]) for at in range(0, len(parts), 3))
