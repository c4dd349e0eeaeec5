"""The table of what is measured: settings, shapes, and where the logits lie when a call begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

VOCABULARIES = (32_000, 128_256, 151_936, 262_144)
DTYPES = ("float32", "bfloat16")
ROWS = (1, 8, 64)
PLACES = ("in cache", "out of cache")
SHOWN_VOCABULARY = 151_936  # what the picture shows, and where the default run measures several rows
CALL_VOCABULARY = 32  # so short a row that a call costs only what every call costs

STEPS = 4  # our calls cycle through so many steps: the tokens vary, and can be computed again


@dataclass(frozen=True)
class Filters:
    """One phase's settings; the defaults switch a filter off."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


@dataclass(frozen=True)
class Setting:
    """Filters, and the kind of row they are measured on by default: `peaked` or `flat` (see rows.py)."""

    name: str
    filters: Filters
    kind: str = "peaked"
    hot: bool = False


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("hot T=30 k=16", Filters(temperature=30.0, top_k=16), hot=True),
        Setting("k=50 p=0.95 T=0.7", Filters(temperature=0.7, top_k=50, top_p=0.95)),
        Setting("k=1000 p=0.95", Filters(top_k=1000, top_p=0.95)),
        Setting("p=0.9 peaked", Filters(top_p=0.9)),
        Setting("p=0.9 flat", Filters(top_p=0.9), kind="flat"),
        Setting("min-p=0.05", Filters(min_p=0.05)),
        Setting("no filter", Filters()),
    )
}


@dataclass(frozen=True)
class Case:
    """One cell of the table: one timed call samples `rows` rows."""

    vocabulary: int
    dtype: str
    setting: str
    kind: str
    rows: int
    place: str

    @property
    def filters(self) -> Filters:
        return SETTINGS[self.setting].filters

    @property
    def hot(self) -> bool:
        return SETTINGS[self.setting].hot

    @property
    def row_bytes(self) -> int:
        return self.vocabulary * (4 if self.dtype == "float32" else 2)

    @property
    def batch_bytes(self) -> int:
        return self.rows * self.row_bytes

    @property
    def out_of_cache(self) -> bool:
        return self.place == "out of cache"

    def fits(self, cache_bytes: int) -> bool:
        """Whether the place is possible: half of the last-level cache holds a batch that is to stay there."""
        return self.out_of_cache or self.batch_bytes <= cache_bytes // 2

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        kind = "" if self.kind in self.setting else f", {self.kind} rows"
        return f"V={self.vocabulary} {self.dtype} {self.setting}{kind}, {self.rows} rows, {self.place}"


@dataclass(frozen=True)
class Selection:
    """Which cells to measure; an empty field takes the default of the run."""

    vocabularies: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    places: tuple[str, ...] = ()
    full: bool = False

    def cases(self, cache_bytes: int) -> list[Case]:
        """The chosen cells that fit, grouped so that consecutive ones use the same rows of logits."""
        cases = (case for case in self._product() if self._wanted(case) and case.fits(cache_bytes))
        return sorted(cases, key=pool_of)

    def call_cases(self) -> list[Case]:
        """The cells that measure what a call costs before it looks at a row."""
        return [
            Case(CALL_VOCABULARY, dtype, name, "peaked", 1, "in cache")
            for dtype in self.dtypes or DTYPES
            for name in self.settings or SETTINGS
        ]

    def _product(self) -> Iterator[Case]:
        for vocabulary in self.vocabularies or VOCABULARIES:
            for dtype in self.dtypes or DTYPES:
                for name in self.settings or SETTINGS:
                    for kind in ("peaked", "flat"):
                        for rows in self.rows or ROWS:
                            for place in self.places or PLACES:
                                yield Case(vocabulary, dtype, name, kind, rows, place)

    def _wanted(self, case: Case) -> bool:
        if case.kind != SETTINGS[case.setting].kind:
            # The two nucleus settings are each other's other kind.
            return self.full and not case.setting.startswith("p=0.9")
        if self.full or self.rows or case.rows == 1:
            return True
        return case.vocabulary == SHOWN_VOCABULARY and case.dtype == "float32"


Pool = tuple[int, str, str]


def pool_of(case: Case) -> Pool:
    """What decides the logits of a case: cases with an equal pool share one set of rows."""
    return case.vocabulary, case.dtype, case.kind


def by_pool(cases: Iterable[Case]) -> dict[Pool, list[Case]]:
    groups: dict[Pool, list[Case]] = {}
    for case in cases:
        groups.setdefault(pool_of(case), []).append(case)
    return groups
