"""What a results file holds, whatever device was measured: bench/README.md describes it in words.

`check` refuses a file that a reader (bench/report.py) could not show. Times are microseconds of one call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypedDict

SCHEMA = 2
DEVICES = ("cpu", "cuda")
# ours: fire-sampling; limit: what no sampler can beat; orientation: shown beside peers, not a whole sampler.
ROLES = ("ours", "limit", "peer", "orientation")
OUTPUTS = ("token", "logprobs", "reference")
PLACES = ("in cache", "out of cache")
LAUNCHES = ("eager", "graph")
# What makes two cells the same cell.
AXES = ("vocabulary", "rows", "dtype", "setting", "kind", "outputs", "place", "launch")


class Times(TypedDict):
    """Median, first and last decile, and how many calls were timed. None: a rehearsal, which times none."""

    median: float | None
    p10: float | None
    p90: float | None
    calls: int


class Result(Times, total=False):
    """A contender in a cell. Required: `checked` tokens were looked at, `wrong` of them failed."""

    checked: int
    wrong: int
    launches: int  # kernels a call
    peak_bytes: int  # device memory that a call holds at most beyond what was there before


class Contender(TypedDict, total=False):
    """title, notes and role are required; `limit` is the key of the limit that ours is held against."""

    title: str
    notes: str
    role: str
    limit: str


class Machine(TypedDict):
    """`facts` are shown as they are: caches, cores, driver, clocks."""

    name: str
    date: str
    facts: dict[str, str]
    versions: dict[str, str]


class Shape(TypedDict):
    """The axes of a cell. kind: the logits (harness/rows.py); outputs: the token alone, `logprobs` of the
    distribution it was drawn from too, or `reference`: those of the whole softmax as well."""

    vocabulary: int
    rows: int
    dtype: str
    setting: str
    kind: str
    outputs: str
    place: str
    launch: str


class Cell(Shape, total=False):
    """A shape and everybody's `results`, by the contender's key: required."""

    results: dict[str, Result]
    kept: int  # tokens kept in the first row
    stolen_percent: float  # of processor time, that the host of a virtual machine took meanwhile
    goal_us: float
    predicted_us: list[float]  # a model's best and plain case


class Peak(Shape):
    """Bytes by which one of a contender's first calls raised the memory of its process."""

    contender: str
    peak_bytes: int


class Pack(Times):
    """What packing one configuration for so many rows costs."""

    rows: int


class Generation(TypedDict, total=False):
    """generate() with one sampler: its speed, the share of a step that sampling took, and checks."""

    tokens_per_second: float | None
    low: float | None  # first and last decile of the runs
    high: float | None
    sampling_share: float | None
    runs: int
    checked: int
    wrong: int


class EndToEnd(TypedDict):
    """One model and batch; `results` by contender."""

    model: str
    parameters: int
    vocabulary: int
    dtype: str
    setting: str
    batch: int
    prompt_tokens: int
    new_tokens: int
    results: dict[str, Generation]


class Loop(TypedDict):
    """A hot loop: what it does for one logit, counted, and how long that took, measured."""

    name: str
    variant: str  # instruction set or kernel
    bytes: float
    instructions: float
    ns: float | None


class Roof(TypedDict):
    """The most that the machine does in a nanosecond: one of several for the loops of a variant."""

    title: str
    variant: str
    bytes_per_ns: float | None
    instructions_per_ns: float | None


class Run(TypedDict, total=False):
    """One results file. The sections below `contenders` may be missing or empty."""

    schema: int
    device: str
    machine: Machine
    about: list[str]  # sentences on how this run was made
    settings: dict[str, str]  # name: what it is, in words
    contenders: dict[str, Contender]  # in the order in which they are shown; the first of ours leads
    left_out: dict[str, str]  # contender: why it was not measured
    cells: list[Cell]
    calls: list[Cell]  # on rows so short that a call's own cost is left
    threads: list[Cell]  # results by `contender/N threads`
    packs: list[Pack]
    memory: list[Peak]
    end_to_end: list[EndToEnd]
    loops: list[Loop]
    roofs: list[Roof]
    seconds: int


def check(run: Mapping[str, Any]) -> Run:
    """The same run, known to be readable.

    Raises:
        ValueError: names the first field that is missing or out of place, what it is and what was expected.
    """
    _expect(run.get("schema") == SCHEMA, "schema", run.get("schema"), SCHEMA)
    _expect(run.get("device") in DEVICES, "device", run.get("device"), f"one of {DEVICES}")
    for name in ("name", "date", "facts", "versions"):
        _expect(name in run.get("machine", {}), f"machine.{name}", None, "a value")
    contenders = run.get("contenders", {})
    for key, contender in contenders.items():
        for name in ("title", "notes"):
            _expect(bool(contender.get(name)), f"contenders[{key!r}].{name}", contender.get(name), "text")
        role = contender.get("role")
        _expect(role in ROLES, f"contenders[{key!r}].role", role, f"one of {ROLES}")
        limit = contender.get("limit", key)
        _expect(limit in contenders, f"contenders[{key!r}].limit", limit, "a contender")
    _expect(any(one["role"] == "ours" for one in contenders.values()), "contenders", list(contenders), "ours")
    for section in ("cells", "calls", "threads"):
        seen = set()
        for place, cell in enumerate(run.get(section, [])):
            where = f"{section}[{place}]"
            _check_cell(cell, where, contenders)
            axes = tuple(cell[axis] for axis in AXES)
            _expect(axes not in seen, where, axes, "each cell once")
            seen.add(axes)
    for place, entry in enumerate(run.get("end_to_end", [])):
        for key in entry["results"]:
            _expect(key in contenders, f"end_to_end[{place}].results", key, f"of {tuple(contenders)}")
    return run  # type: ignore[return-value]


def _check_cell(cell: Mapping[str, Any], where: str, contenders: Mapping[str, Any]) -> None:
    for axis in AXES:
        _expect(axis in cell, f"{where}.{axis}", None, "a value")
    for axis, known in (("outputs", OUTPUTS), ("place", PLACES), ("launch", LAUNCHES)):
        _expect(cell[axis] in known, f"{where}.{axis}", cell[axis], f"one of {known}")
    _expect(bool(cell.get("results")), f"{where}.results", cell.get("results"), "at least one contender")
    for key, result in cell["results"].items():
        name = f"{where}.results[{key!r}]"
        _expect(_contender_of(key) in contenders, name, key, f"of {tuple(contenders)}")
        times = [result.get(field) for field in ("p10", "median", "p90")]
        measured = all(isinstance(time, (int, float)) and math.isfinite(time) for time in times)
        _expect(
            times == [None] * 3 or (measured and 0 < times[0] <= times[1] <= times[2]),
            name,
            times,
            "ascending times above 0, or none",
        )
        for field in ("calls", "checked", "wrong"):
            _expect(isinstance(result.get(field), int), f"{name}.{field}", result.get(field), "a count")


def _contender_of(key: str) -> str:
    """`fire/avx2/2 threads` → `fire/avx2`."""
    return key.rpartition("/")[0] if key.endswith(" threads") else key


def _expect(holds: bool, field: str, got: object, expected: object) -> None:
    if not holds:
        raise ValueError(f"{field}: got {got!r}, expected {expected}")
