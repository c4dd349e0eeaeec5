"""The exchanges of a draw from vocabulary shards beside a gather of the logits, by the model, over rows."""

from __future__ import annotations

from pathlib import Path

from harness import exchange_model as model
from matplotlib.ticker import FuncFormatter

from . import style

RANKS = (2, 4, 8, 16, 32, 64)
ROWS = (1, 8, 64, 512)
VOCABULARIES = (128_256, 262_144)
_SHOWN_RANKS = 8
_COLOURS = ("#d1495b", "#f0a04b", "#2a9d8f", "#7b5ea7")


def draw(path: Path) -> None:
    figure, [[axes]] = style.new_figure(4.6)
    rows = [2**power for power in range(10)]
    for vocabulary, dashes in zip(VOCABULARIES, ("-", "--"), strict=True):
        times = [model.gather_microseconds(_SHOWN_RANKS, vocabulary, count) for count in rows]
        axes.plot(rows, times, dashes, color=style.LIMIT, linewidth=2, label=f"gather, V = {vocabulary:,}")
    for case, colour in zip(model.CASES.values(), _COLOURS, strict=True):
        times = [case.microseconds(_SHOWN_RANKS, count) for count in rows]
        axes.plot(rows, times, color=colour, linewidth=2, marker="o", markersize=4, label=case.title)
    axes.set_xscale("log", base=2)
    style.logarithmic(axes, "y")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("rows")
    axes.set_ylabel("µs of exchanges, predicted")
    axes.grid(color=style.FAINT)
    axes.set_title(f"Exchanges of {_SHOWN_RANKS} ranks by NCCL's cost model", loc="left", fontsize=12)
    axes.legend(frameon=False, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
