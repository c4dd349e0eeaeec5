"""generate() with each sampler: tokens a second by batch, and what share of a step sampling took."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import style
from .results import Results


def draw(results: Results, path: Path) -> bool:
    """Writes the picture; False where no generation was timed."""
    entries = [
        entry
        for entry in results.run.get("end_to_end", [])
        if any(one["tokens_per_second"] for one in entry["results"].values())
    ]
    if not entries:
        return False
    first = entries[0]
    entries = [entry for entry in entries if entry["model"] == first["model"]]
    settings = list(dict.fromkeys(entry["setting"] for entry in entries))
    keys = list(dict.fromkeys(key for entry in entries for key in entry["results"]))
    above = 0.75 + style.legend_height(keys, 1)
    figure, grid = style.new_figure(above + 0.5 + 2.9 * len(settings), len(settings), 1)
    for (axes,), setting in zip(grid, settings, strict=True):
        shown = [entry for entry in entries if entry["setting"] == setting]
        width = 0.8 / len(keys)
        style.plain(axes)
        axes.grid(axis="x", visible=False)
        for number, key in enumerate(keys):
            places = np.arange(len(shown)) + (number - (len(keys) - 1) / 2) * width
            found = [entry["results"].get(key, {}) for entry in shown]
            speeds = [one.get("tokens_per_second") or 0.0 for one in found]
            color, _ = style.look(results, key)
            axes.bar(places, speeds, width * 0.92, color=color, zorder=2)
            for place, speed, one in zip(places, speeds, found, strict=True):
                share = one.get("sampling_share")
                text = f"{speed:,.0f}" + ("" if share is None else f"\n{100 * share:.1f} %")
                axes.annotate(
                    text, (place, speed), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=10
                )
        axes.margins(y=0.22)
        axes.set_xticks(range(len(shown)), [f"batch {entry['batch']}" for entry in shown])
        axes.set_title(setting, fontsize=11, loc="left")
        axes.set_ylabel("tokens a second")
    style.legend(figure, results, keys, top=0.7, columns=1, bars=True)
    title = f"generate() of {first['model']}, {first['dtype']}\n(%: the share of a step spent sampling)"
    style.finish(figure, results, title, above, path)
    return True
