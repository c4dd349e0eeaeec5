"""Machine code as nvdisasm prints it: kernels, their instructions with the source they come from, and the
ways a warp can take through them.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import NamedTuple

SECTION = re.compile(r"\s*\.section\s+\.text\.([\w$]+),")
LABEL = re.compile(r"(\.L_\w+|\$[\w$]+):")
SITE = re.compile(r'\s*//## File "([^"]+)", line (\d+)')
INSTRUCTION = re.compile(r"\s+/\*[0-9a-f]+\*/\s+(?:@(!?U?P\w+)\s+)?([A-Z][\w.]*)\s*([^;]*);")
TARGET = re.compile(r"`\(([^)]+)\)")
REGISTER = re.compile(r"\bR(\d+)\b")
WAYS_OUT = ("EXIT", "RET", "BRX", "JMX", "KILL")


class Site(NamedTuple):
    """A line of source."""

    file: str
    line: int


class Instruction(NamedTuple):
    """One of a kernel. `sites` says where it was written, then where that was inlined, and so on outwards."""

    predicate: str
    opcode: str
    operands: str
    sites: tuple[Site, ...]

    @property
    def name(self) -> str:
        """The opcode without what dots add to it."""
        return self.opcode.partition(".")[0]

    @property
    def target(self) -> str:
        found = TARGET.search(self.operands)
        return found.group(1) if found else ""

    def reads(self, registers: set[int]) -> bool:
        """Whether one of them is among the sources. All of a store are; else the first is written."""
        sources = self.operands if self.name.startswith("ST") else self.operands.partition(",")[2]
        return any(int(number) in registers for number in REGISTER.findall(sources))


Block = tuple[Instruction, ...]


@dataclass(frozen=True)
class Kernel:
    """Basic blocks in the order of their addresses, and for each label the number of the block after it."""

    name: str
    blocks: tuple[Block, ...]
    labels: dict[str, int]

    @property
    def instructions(self) -> Iterator[Instruction]:
        return (one for block in self.blocks for one in block)

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(self._successors(number)) for number in range(len(self.blocks)))

    def _successors(self, number: int) -> Iterator[int]:
        last = self.blocks[number][-1] if self.blocks[number] else None
        stays = last is None or last.predicate != "" or (last.name != "BRA" and last.name not in WAYS_OUT)
        if stays and number + 1 < len(self.blocks):
            yield number + 1
        if last is not None and last.name == "BRA":
            yield self.labels[last.target]

    def cheapest_way(self, start: int, goal: int) -> tuple[int, ...] | None:
        """The blocks on the way from `start` to `goal` that issues the fewest instructions, with `start` and
        without `goal`: once around the loop where both are the same. No way leads over a barrier: what is
        beyond one belongs to no inner loop.
        """
        queue: list[tuple[int, int, tuple[int, ...]]] = [(len(self.blocks[start]), start, (start,))]
        seen: set[int] = set()
        while queue:
            cost, number, way = heapq.heappop(queue)
            if goal in self.successors[number]:
                return way
            if number not in seen:
                seen.add(number)
                if any(one.name == "BAR" for one in self.blocks[number]):
                    continue
                for following in self.successors[number]:
                    heapq.heappush(queue, (cost + len(self.blocks[following]), following, (*way, following)))
        return None

    def before(self, name: str) -> Iterator[Instruction]:
        """What can be issued from the kernel's start on before an instruction of that name, come what may."""

        def goes_on(one: Instruction) -> bool:
            return one.name != name or one.predicate != ""

        onwards = [
            after if all(map(goes_on, block)) else ()
            for block, after in zip(self.blocks, self.successors, strict=True)
        ]
        for number in sorted({0} | _reachable(0, onwards)):
            yield from takewhile(goes_on, self.blocks[number])

    def loop_around(self, number: int) -> set[int]:
        """The blocks that can be reached from this one and lead back to it without a barrier."""
        predecessors: list[list[int]] = [[] for _ in self.blocks]
        successors: list[list[int]] = [[] for _ in self.blocks]
        for block, following in enumerate(self.successors):
            if any(one.name == "BAR" for one in self.blocks[block]):
                continue
            successors[block] += following
            for one in following:
                predecessors[one].append(block)
        return _reachable(number, successors) & _reachable(number, predecessors)

    def code(self, way: Iterable[int]) -> list[Instruction]:
        return [one for number in way for one in self.blocks[number]]


def _reachable(start: int, edges: Sequence[Sequence[int]]) -> set[int]:
    found: set[int] = set()
    open_ends = [start]
    while open_ends:
        for one in edges[open_ends.pop()]:
            if one not in found:
                found.add(one)
                open_ends.append(one)
    return found


def read_kernels(listing: str) -> Iterator[Kernel]:
    """Of what `nvdisasm -c` prints; with -gi, which adds the sources, the instructions have sites."""
    name = ""
    lines: list[str] = []
    for line in (*listing.splitlines(), "//-----"):
        section = SECTION.match(line)
        if not section and not line.startswith("//-----"):
            lines.append(line)
            continue
        if name:
            yield _read_kernel(name, lines)
        name, lines = section.group(1) if section else "", []


def _read_kernel(name: str, lines: list[str]) -> Kernel:
    blocks: list[list[Instruction]] = [[]]
    labels: dict[str, int] = {}
    sites: tuple[Site, ...] = ()
    said: list[Site] = []  # of the next instruction
    for line in lines:
        if site := SITE.match(line):
            said.append(Site(site.group(1), int(site.group(2))))
        elif label := LABEL.match(line):
            if blocks[-1]:
                blocks.append([])
            labels[label.group(1)] = len(blocks) - 1
        elif code := INSTRUCTION.match(line):
            sites = tuple(said) or sites
            said = []
            blocks[-1].append(Instruction(code.group(1) or "", code.group(2), code.group(3).strip(), sites))
            if blocks[-1][-1].name in ("BRA", *WAYS_OUT):
                blocks.append([])
    return Kernel(name, tuple(map(tuple, blocks)), labels)
