"""The ways to sample that are measured, on every device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Filters:
    """One row's settings; the defaults switch a filter off. `hot`: they are those of the hot phase."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    hot: bool = False

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def arguments(self, seed: int = 3) -> dict[str, Any]:
        """Those of a SamplingConfig: of the hot phase, at every step, where the filters are hot ones."""
        phase = {"top_k": self.top_k, "top_p": self.top_p, "min_p": self.min_p}
        if self.hot:
            hot = {f"hot_{name}": value for name, value in {"temperature": self.temperature, **phase}.items()}
            return {"temperature": 1.0, "top_k": 0, **hot, "hot_steps": 2**31 - 1, "seed": seed}
        return {"temperature": self.temperature, **phase, "hot_steps": 0, "seed": seed}

    def __str__(self) -> str:
        named = {"T": self.temperature, "top-k": self.top_k, "top-p": self.top_p, "min-p": self.min_p}
        off = {"T": 1, "top-k": 0, "top-p": 1, "min-p": 0}
        text = ", ".join(f"{name} {value:g}" for name, value in named.items() if value != off[name])
        return "greedy" if self.greedy else (text or "no filter") + (", hot" if self.hot else "")


@dataclass(frozen=True)
class Setting:
    """Row r of a batch is sampled with `of_rows[r % len(of_rows)]`. `kinds`: the logits that a default run
    shows it on (rows.py)."""

    name: str
    of_rows: tuple[Filters, ...]
    kinds: tuple[str, ...] = ("peaked",)

    def of_row(self, row: int) -> Filters:
        return self.of_rows[row % len(self.of_rows)]

    @property
    def mixed(self) -> bool:
        return len(self.of_rows) > 1

    def __str__(self) -> str:
        parts = "; ".join(map(str, self.of_rows))
        return f"rows in turn: {parts}; steps of their own" if self.mixed else parts


_PLAIN = {
    "hot T=30 k=16": Filters(temperature=30.0, top_k=16, hot=True),
    "k=50 p=0.9": Filters(top_k=50, top_p=0.9),
    "k=50 p=0.95 T=0.7": Filters(temperature=0.7, top_k=50, top_p=0.95),
    "k=1000 p=0.95": Filters(top_k=1000, top_p=0.95),
    "p=0.9": Filters(top_p=0.9),
    "min-p=0.05": Filters(min_p=0.05),
    "k=50 p=0.95 min-p=0.05": Filters(top_k=50, top_p=0.95, min_p=0.05),
    "no filter": Filters(),
    "greedy": Filters(temperature=0.0),
}
SETTINGS = {
    **{name: Setting(name, (filters,)) for name, filters in _PLAIN.items()},
    "p=0.9": Setting("p=0.9", (_PLAIN["p=0.9"],), kinds=("peaked", "flat")),
    # What a server's batch looks like: sequences that began at different times, each as its user asked.
    "mixed": Setting(
        "mixed",
        tuple(
            _PLAIN[name] for name in ("hot T=30 k=16", "k=50 p=0.95 T=0.7", "p=0.9", "min-p=0.05", "greedy")
        ),
    ),
}
