"""What is measured: shapes, settings, logits and where they lie when a call begins, outputs, launches."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from .schema import LAUNCHES, OUTPUTS, PLACES
from .settings import SETTINGS, Setting

VOCABULARIES = (32_000, 128_256, 151_936, 201_088, 262_144)
ELEMENT_BYTES = {"bfloat16": 2, "float32": 4}
DTYPES = tuple(ELEMENT_BYTES)
ROWS = (1, 8, 32, 64, 128, 256, 512, 1024)
KINDS = ("peaked", "gaussian", "flat", "ties", "masked")
# Where a default run varies everything but the vocabulary; on a GPU, where goals are set.
CPU_VOCABULARY, GPU_VOCABULARY = 151_936, 128_256
CALL_VOCABULARY = 32  # so short a row that a call costs only what every call costs
STEPS = 4  # our calls cycle through so many steps: the tokens vary, and can be computed again


@dataclass(frozen=True)
class Case:
    """One cell of the table: a call samples `rows` rows. The axes are those of schema.py."""

    vocabulary: int
    rows: int
    dtype: str
    setting: str
    kind: str = "peaked"
    outputs: str = "token"
    place: str = "out of cache"
    launch: str = "eager"

    @property
    def sampled_with(self) -> Setting:
        return SETTINGS[self.setting]

    @property
    def row_bytes(self) -> int:
        return self.vocabulary * ELEMENT_BYTES[self.dtype]

    @property
    def bytes(self) -> int:
        """What must be read: every logit once."""
        return self.rows * self.row_bytes

    @property
    def out_of_cache(self) -> bool:
        return self.place == "out of cache"

    def fits(self, cache_bytes: int) -> bool:
        """Whether the place is possible: half of the last-level cache holds a batch that is to stay there."""
        return self.out_of_cache or self.bytes <= cache_bytes // 2

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows} rows"
        axes = (self.setting, rows, self.kind, self.place, self.outputs, self.launch)
        return f"V={self.vocabulary:,} {self.dtype}, {', '.join(axes)}"


@dataclass(frozen=True)
class Slice:
    """A product of axes. No kinds: each setting's own."""

    vocabularies: tuple[int, ...] = (CPU_VOCABULARY,)
    dtypes: tuple[str, ...] = ("bfloat16",)
    settings: tuple[str, ...] = tuple(SETTINGS)
    kinds: tuple[str, ...] = ()
    rows: tuple[int, ...] = (1,)
    outputs: tuple[str, ...] = ("token",)
    places: tuple[str, ...] = ("out of cache",)
    launches: tuple[str, ...] = ("eager",)

    def cases(self) -> Iterator[Case]:
        """One row of a mixed batch is no mixture: there, that setting is left out."""
        for vocabulary, dtype, name in product(self.vocabularies, self.dtypes, self.settings):
            for kind in self.kinds or SETTINGS[name].kinds:
                axes = product(self.outputs, self.places, self.launches, self.rows)
                for outputs, place, launch, rows in axes:
                    if rows > 1 or not SETTINGS[name].mixed:
                        yield Case(vocabulary, rows, dtype, name, kind, outputs, place, launch)


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

# ---- a GPU's: calls in a graph, more rows ----
GpuSlice = functools.partial(Slice, vocabularies=(GPU_VOCABULARY,), rows=(1, 8, 64, 512), launches=("graph",))
_HEADLINE = "k=50 p=0.9"
# The most telling first, should time run out.
GPU_DEFAULT = (
    GpuSlice(settings=(_HEADLINE, "no filter"), rows=ROWS),
    GpuSlice(),
    GpuSlice(settings=(_HEADLINE,), outputs=("reference",)),
    GpuSlice(settings=(_HEADLINE,), launches=("eager",)),
    GpuSlice(settings=(_HEADLINE,), places=("in cache",), rows=(1, 8, 64)),
    GpuSlice(settings=(_HEADLINE, "p=0.9"), kinds=("gaussian", "ties", "masked"), rows=(64,)),
    GpuSlice(settings=(_HEADLINE, "no filter"), dtypes=("float32",)),
    GpuSlice(settings=(_HEADLINE, "no filter"), vocabularies=(32_000, 262_144)),
)
_Everywhere = functools.partial(GpuSlice, vocabularies=VOCABULARIES, dtypes=DTYPES)
GPU_FULL = (
    *GPU_DEFAULT,
    _Everywhere(rows=ROWS, places=PLACES),
    _Everywhere(kinds=KINDS, rows=(1, 64, 512)),
    _Everywhere(rows=(1, 64, 512), outputs=OUTPUTS, launches=LAUNCHES),
)
# What goals and predictions speak of (goals.py).
GPU_GOALS = (
    GpuSlice(settings=(_HEADLINE, "no filter", "p=0.9"), dtypes=DTYPES, rows=ROWS),
    GpuSlice(settings=(_HEADLINE,), dtypes=DTYPES, outputs=("logprobs", "reference"), rows=ROWS),
    GpuSlice(settings=("k=1000 p=0.95", "min-p=0.05", "mixed"), dtypes=DTYPES, rows=ROWS),
)
REHEARSED_VOCABULARY = 512
_Rehearsed = functools.partial(GpuSlice, vocabularies=(REHEARSED_VOCABULARY,))
REHEARSED = (
    _Rehearsed(dtypes=DTYPES, rows=(1, 8), outputs=OUTPUTS),
    _Rehearsed(kinds=KINDS, rows=(8,)),
    _Rehearsed(settings=(_HEADLINE,), rows=(8,), places=PLACES, launches=LAUNCHES),
)


def cases_of(slices: Sequence[Slice], cache_bytes: int) -> list[Case]:
    """The cases that fit, each once, in the order of the slices."""
    cases = dict.fromkeys(case for one in slices for case in one.cases())
    return [case for case in cases if case.fits(cache_bytes)]


def call_cases(
    settings: Iterable[str], dtypes: Iterable[str] = ("bfloat16",), launches: Iterable[str] = ("eager",)
) -> list[Case]:
    """The cases that measure what a call costs before it looks at a row."""
    return [
        Case(CALL_VOCABULARY, 1, dtype, name, place="in cache", launch=launch)
        for dtype, name, launch in product(dtypes, settings, launches)
        if not SETTINGS[name].mixed
    ]


Pool = tuple[int, str, str]


def pool_of(case: Case) -> Pool:
    """What decides the logits of a case: cases with an equal pool share one set of rows."""
    return case.vocabulary, case.dtype, case.kind


def by_pool(cases: Iterable[Case]) -> dict[Pool, list[Case]]:
    groups: dict[Pool, list[Case]] = {}
    for case in cases:
        groups.setdefault(pool_of(case), []).append(case)
    return groups
