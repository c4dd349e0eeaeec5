"""The hot loops under the machine's roofs: how much each computes for a byte, and how fast it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import style
from .results import Results

_ROOF_STYLES = ("-", "--", ":", "-.")


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
    for number, (loop, x, y) in enumerate(points):
        color = style.OURS[variants.index(loop["variant"]) % len(style.OURS)]
        axes.plot(x, y, "o", color=color, markersize=8, zorder=3)
        axes.annotate(
            str(settings.index(loop["name"]) + 1),
            (x, y),
            xytext=(6, 5 if number % 2 else -12),
            textcoords="offset points",
            fontsize=11,
        )
    axes.set_xlabel("instructions for a byte of logits\n" + _key(settings))
    axes.set_ylabel("instructions a nanosecond")
    for number, variant in enumerate(variants):
        axes.plot([], [], "o", color=style.OURS[number % len(style.OURS)], markersize=8, label=variant)
    axes.legend(loc="upper left", frameon=False, fontsize=10)
    speeds = [y for _, _, y in points] + [roof["instructions_per_ns"] or 0.0 for roof in roofs]
    axes.set_ylim(min(y for _, _, y in points) / 2, 12 * max(speeds))  # room for the legend
    style.finish(figure, results, "Each setting under the machine's roofs", 0.45, path)
    return True


def _key(settings: list[str]) -> str:
    parts = [f"{number} {name}" for number, name in enumerate(settings, 1)]
    return "\n".join("   ".join(parts[at : at + 3]) for at in range(0, len(parts), 3))
