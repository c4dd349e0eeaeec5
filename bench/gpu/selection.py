"""What is measured on a GPU: shapes, settings, logits, outputs, caches, launches; and what a run takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from harness.schema import LAUNCHES, OUTPUTS, PLACES
from harness.settings import SETTINGS, Axes

VOCABULARIES = (32_000, 128_256, 151_936, 201_088, 262_144)
DTYPES = ("bfloat16", "float32")
KINDS = ("peaked", "gaussian", "flat", "ties", "masked")
ROWS = (1, 8, 32, 64, 128, 256, 512, 1024)
SHOWN_VOCABULARY = (
    128_256  # where a default run varies everything but the vocabulary, and where goals are set
)
CALL_VOCABULARY = 32  # so short a row that a call costs only what every call costs


@dataclass(frozen=True)
class Cell(Axes):
    """One cell of the table: a call samples `rows` rows. The axes are those of harness/schema.py."""

    vocabulary: int
    rows: int
    dtype: str
    setting: str
    kind: str = "peaked"
    outputs: str = "token"
    place: str = "out of cache"
    launch: str = "graph"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        return (
            f"V={self.vocabulary:,} {self.dtype}, {self.setting}, {rows}, {self.kind}, {self.place}, "
            f"{self.outputs}, {self.launch}"
        )


@dataclass(frozen=True)
class Slice:
    """A product of axes. No kinds: each setting's own."""

    vocabularies: tuple[int, ...] = (SHOWN_VOCABULARY,)
    dtypes: tuple[str, ...] = ("bfloat16",)
    settings: tuple[str, ...] = tuple(SETTINGS)
    kinds: tuple[str, ...] = ()
    rows: tuple[int, ...] = (1, 8, 64, 512)
    outputs: tuple[str, ...] = ("token",)
    places: tuple[str, ...] = ("out of cache",)
    launches: tuple[str, ...] = ("graph",)

    def cells(self) -> Iterator[Cell]:
        for vocabulary, dtype, name in product(self.vocabularies, self.dtypes, self.settings):
            for kind in self.kinds or SETTINGS[name].kinds:
                axes = product(self.outputs, self.places, self.launches, self.rows)
                for outputs, place, launch, rows in axes:
                    yield Cell(vocabulary, rows, dtype, name, kind, outputs, place, launch)


_HEADLINE = "k=50 p=0.9"
# The most telling first, should time run out.
DEFAULT = (
    Slice(settings=(_HEADLINE, "no filter"), rows=ROWS),
    Slice(),
    Slice(settings=(_HEADLINE,), outputs=("reference",)),
    Slice(settings=(_HEADLINE,), launches=("eager",)),
    Slice(settings=(_HEADLINE,), places=("in cache",), rows=(1, 8, 64)),
    Slice(settings=(_HEADLINE, "p=0.9"), kinds=("gaussian", "ties", "masked"), rows=(64,)),
    Slice(settings=(_HEADLINE, "no filter"), dtypes=("float32",)),
    Slice(settings=(_HEADLINE, "no filter"), vocabularies=(32_000, 262_144)),
)
FULL = (
    *DEFAULT,
    Slice(VOCABULARIES, DTYPES, rows=ROWS, places=PLACES),
    Slice(VOCABULARIES, DTYPES, kinds=KINDS, rows=(1, 64, 512)),
    Slice(VOCABULARIES, DTYPES, rows=(1, 64, 512), outputs=OUTPUTS, launches=LAUNCHES),
)
# What goals and predictions speak of (goals.py).
_WITH_GOALS = (_HEADLINE, "no filter", "p=0.9")
GOALS = (
    Slice(settings=_WITH_GOALS, dtypes=DTYPES, rows=ROWS),
    Slice(settings=(_HEADLINE,), dtypes=DTYPES, outputs=("logprobs", "reference"), rows=ROWS),
    Slice(settings=("k=1000 p=0.95", "min-p=0.05", "mixed"), dtypes=DTYPES, rows=ROWS),
)
REHEARSED_VOCABULARY = 512
REHEARSED = (
    Slice((REHEARSED_VOCABULARY,), DTYPES, rows=(1, 8), outputs=OUTPUTS),
    Slice((REHEARSED_VOCABULARY,), kinds=KINDS, rows=(8,)),
    Slice((REHEARSED_VOCABULARY,), settings=(_HEADLINE,), rows=(8,), places=PLACES, launches=LAUNCHES),
)


def cells_of(slices: Sequence[Slice], cache_bytes: int) -> list[Cell]:
    """The cells that fit, each once, in the order of the slices."""
    cells = dict.fromkeys(cell for one in slices for cell in one.cells())
    return [cell for cell in cells if cell.fits(cache_bytes)]


def call_cells(settings: Sequence[str], vocabulary: int = CALL_VOCABULARY) -> list[Cell]:
    """The cells that measure what a call costs before it looks at a row: from the host, and on the device."""
    return [
        Cell(vocabulary, 1, "bfloat16", name, place="in cache", launch=launch)
        for name in settings
        if not SETTINGS[name].mixed
        for launch in LAUNCHES
    ]
