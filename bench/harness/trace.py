"""Which kernels ran in which named range, and for how long: read from a trace of torch's profiler (CUPTI)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from views.text import markdown_table

RANGE_PREFIX = "cell: "  # of the ranges that are ours
_OURS = re.compile(
    r"fire::kernels::(?P<kernel>\w+)<(?:fire::)?(?:kernels::)?(?P<dtype>\w+)(?:, (?P<resident>\w+))?[^>]*>"
)
_ROWS = re.compile(r"R=(\d+)")
HEADER = ("range", "kernel", "launches", "µs", "grid × block", "blocks a row", "registers", "shared KiB")


@dataclass(frozen=True)
class Launch:
    """One kernel on the device."""

    range: str  # "" outside every range
    kernel: str
    us: float
    grid: tuple[int, ...]
    block: tuple[int, ...]
    registers: int | None
    shared_bytes: int | None


@dataclass(frozen=True)
class Line:
    """All launches of one kernel with one geometry in one range."""

    range: str
    kernel: str
    launches: int
    us: float  # of one launch
    grid: tuple[int, ...]
    block: tuple[int, ...]
    blocks_a_row: int | None  # of our kernels: the size of the cluster
    registers: int | None
    shared_bytes: int | None


def launches(trace: Mapping[str, Any]) -> Iterator[Launch]:
    """The device's kernels, each with the innermost range that was open on the host when it was launched."""
    events = [event for event in trace["traceEvents"] if event.get("ph") == "X"]
    ranges = _Ranges(
        event
        for event in events
        if event.get("cat") == "user_annotation" and event["name"].startswith(RANGE_PREFIX)
    )
    hosts = {
        event["args"]["correlation"]: event
        for event in events
        if event.get("cat") in ("cuda_runtime", "cuda_driver") and "correlation" in event.get("args", {})
    }
    for event in events:
        if event.get("cat") != "kernel":
            continue
        told = event.get("args", {})
        host = hosts.get(told.get("correlation"))
        yield Launch(
            range=ranges.at(host) if host is not None else "",
            kernel=event["name"],
            us=float(event["dur"]),
            grid=tuple(told.get("grid", ())),
            block=tuple(told.get("block", ())),
            registers=told.get("registers per thread"),
            shared_bytes=told.get("shared memory"),
        )


class _Ranges:
    """Named stretches of the host's time, each thread's apart. Ours do not overlap within a thread."""

    def __init__(self, events: Iterable[Mapping[str, Any]]) -> None:
        self._of_thread: dict[tuple[Any, Any], list[tuple[float, float, str]]] = {}
        for event in events:
            stretch = (float(event["ts"]), float(event["ts"]) + float(event["dur"]), str(event["name"]))
            self._of_thread.setdefault((event["pid"], event["tid"]), []).append(stretch)
        for stretches in self._of_thread.values():
            stretches.sort()

    def at(self, event: Mapping[str, Any]) -> str:
        stretches = self._of_thread.get((event["pid"], event["tid"]), [])
        place = bisect_right(stretches, (float(event["ts"]), float("inf"), "")) - 1
        if place < 0 or stretches[place][1] < float(event["ts"]):
            return ""
        return stretches[place][2].removeprefix(RANGE_PREFIX)


def lines(found: Iterable[Launch]) -> list[Line]:
    groups: dict[tuple[Any, ...], list[Launch]] = {}
    for launch in found:
        groups.setdefault((launch.range, launch.kernel, launch.grid, launch.block), []).append(launch)
    return [
        Line(
            range=group[0].range,
            kernel=group[0].kernel,
            launches=len(group),
            us=round(sum(launch.us for launch in group) / len(group), 3),
            grid=group[0].grid,
            block=group[0].block,
            blocks_a_row=blocks_a_row(group[0]),
            registers=group[0].registers,
            shared_bytes=group[0].shared_bytes,
        )
        for group in groups.values()
    ]


def blocks_a_row(launch: Launch) -> int | None:
    """A kernel's name has no cluster size; the grid of one of ours is rows times blocks a row."""
    rows = _ROWS.search(launch.range)
    if _OURS.search(launch.kernel) is None or rows is None or not launch.grid:
        return None
    blocks, rest = divmod(launch.grid[0], int(rows.group(1)))
    return blocks if rest == 0 and blocks > 0 else None


def short_name(kernel: str) -> str:
    """Of ours what tells them apart; of others the name without its arguments."""
    ours = _OURS.search(kernel)
    if ours is None:
        return re.sub(r"^void |<.*|\(.*", "", kernel)
    kinds = {None: "", "true": ", resident", "false": ", not resident"}
    return f"{ours['kernel']}, {ours['dtype']}{kinds[ours['resident']]}"


def as_json(found: Sequence[Line]) -> list[dict[str, Any]]:
    return [asdict(line) for line in found]


def markdown(found: Sequence[Line]) -> str:
    return markdown_table(HEADER, map(_row, found)) + "\n"


def _row(line: Line) -> tuple[str, ...]:
    def known(value: float | None, form: str = "d") -> str:
        return "—" if value is None else format(value, form)

    shape = f"{'·'.join(map(str, line.grid))} × {'·'.join(map(str, line.block))}"
    return (
        line.range.replace("|", ",") or "outside",
        short_name(line.kernel).replace("|", "¦"),
        str(line.launches),
        f"{line.us:.2f}",
        shape,
        known(line.blocks_a_row),
        known(line.registers),
        known(None if line.shared_bytes is None else line.shared_bytes / 1024, ".1f"),
    )
