"""What is measured on a CPU: shapes, settings, logits, and where these lie when a call begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from .schema import OUTPUTS, PLACES
from .settings import SETTINGS, Axes

VOCABULARIES = (32_000, 128_256, 151_936, 201_088, 262_144)
DTYPES = ("bfloat16", "float32")
ROWS = (1, 8, 32, 64, 128, 256, 512, 1024)
KINDS = ("peaked", "gaussian", "flat", "ties", "masked")
SHOWN_VOCABULARY = 151_936  # where a default run varies everything but the vocabulary
CALL_VOCABULARY = 32  # so short a row that a call costs only what every call costs

STEPS = 4  # our calls cycle through so many steps: the tokens vary, and can be computed again


@dataclass(frozen=True)
class Case(Axes):
    """One cell of the table: one timed call samples `rows` rows."""

    vocabulary: int
    dtype: str
    setting: str
    kind: str
    rows: int
    place: str
    outputs: str = "token"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "launch": "eager"}

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        outputs = "" if self.outputs == "token" else f", {self.outputs}"
        return (
            f"V={self.vocabulary:,} {self.dtype}, {self.setting}, {rows}, {self.kind}, {self.place}{outputs}"
        )


@dataclass(frozen=True)
class Slice:
    """A product of axes. No kinds: each setting's own."""

    vocabularies: tuple[int, ...] = (SHOWN_VOCABULARY,)
    dtypes: tuple[str, ...] = ("bfloat16",)
    settings: tuple[str, ...] = tuple(SETTINGS)
    kinds: tuple[str, ...] = ()
    rows: tuple[int, ...] = (1,)
    places: tuple[str, ...] = ("out of cache",)
    outputs: tuple[str, ...] = ("token",)

    def cases(self) -> Iterator[Case]:
        """One row of a mixed batch is no mixture: there, that setting is left out."""
        for vocabulary, dtype, name, rows, place, outputs in product(
            self.vocabularies, self.dtypes, self.settings, self.rows, self.places, self.outputs
        ):
            if rows > 1 or not SETTINGS[name].mixed:
                for kind in self.kinds or SETTINGS[name].kinds:
                    yield Case(vocabulary, dtype, name, kind, rows, place, outputs)


_MANY_ROWS = ("k=50 p=0.95 T=0.7", "p=0.9", "no filter", "mixed")
_WITH_LOGPROBS = ("hot T=30 k=16", "k=50 p=0.95 T=0.7", "p=0.9", "no filter", "mixed")
# Within ten minutes on two cores.
DEFAULT = (
    Slice(vocabularies=VOCABULARIES, dtypes=DTYPES),
    Slice(vocabularies=VOCABULARIES[:3], dtypes=DTYPES, places=("in cache",)),
    Slice(kinds=("gaussian", "flat", "ties", "masked")),
    Slice(rows=(8,)),
    Slice(rows=(64,), settings=("hot T=30 k=16", *_MANY_ROWS)),
    Slice(rows=(32, 128), settings=_MANY_ROWS, kinds=("peaked",)),
    Slice(vocabularies=(32_000,), rows=(8, 32, 64, 128), settings=_MANY_ROWS, kinds=("peaked",)),
    Slice(settings=_WITH_LOGPROBS, rows=(1, 8), outputs=("logprobs", "reference")),
)
# What a default run shows at one vocabulary, at all of them and in both dtypes; and the largest batches.
FULL = (
    *DEFAULT,
    Slice(vocabularies=VOCABULARIES, dtypes=DTYPES, rows=(8, 64), places=PLACES),
    Slice(vocabularies=VOCABULARIES, dtypes=DTYPES, kinds=KINDS, places=PLACES),
    Slice(vocabularies=VOCABULARIES, rows=ROWS, settings=_MANY_ROWS),
    Slice(vocabularies=VOCABULARIES, settings=_WITH_LOGPROBS, rows=(1, 8, 64), outputs=OUTPUTS),
)


@dataclass(frozen=True)
class Selection:
    """Which cells a run measures."""

    slices: Sequence[Slice] = DEFAULT

    def cases(self, cache_bytes: int) -> list[Case]:
        """The chosen cells that fit, each once, grouped so that consecutive ones use the same logits."""
        cases = dict.fromkeys(case for one in self.slices for case in one.cases())
        return sorted((case for case in cases if case.fits(cache_bytes)), key=pool_of)

    def call_cases(self) -> list[Case]:
        """The cells that measure what a call costs before it looks at a row."""
        return [
            Case(CALL_VOCABULARY, dtype, name, "peaked", 1, "in cache")
            for dtype in self._chosen("dtypes")
            for name in self.settings()
            if not SETTINGS[name].mixed
        ]

    def settings(self) -> list[str]:
        return self._chosen("settings")

    def _chosen(self, axis: str) -> list[Any]:
        return list(dict.fromkeys(value for one in self.slices for value in getattr(one, axis)))


Pool = tuple[int, str, str]


def pool_of(case: Case) -> Pool:
    """What decides the logits of a case: cases with an equal pool share one set of rows."""
    return case.vocabulary, case.dtype, case.kind


def by_pool(cases: Iterable[Case]) -> dict[Pool, list[Case]]:
    groups: dict[Pool, list[Case]] = {}
    for case in cases:
        groups.setdefault(pool_of(case), []).append(case)
    return groups
