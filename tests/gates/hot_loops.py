"""The loops of kernels/device/passes.cuh in machine code, and what an iteration costs a warp in issue slots.

A loop is known by its loads: the source line that a load comes from lies in one of the passes, and the line
where that pass was inlined says which of its variants it is. Its cost is that of the cheapest way around from
the load back to it, the way of a warp that finds nothing to append.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from machine_code import Instruction, Kernel, Site, read_kernels
from toolchain import ROOT, Cubin

PASSES = ROOT / "kernels" / "device" / "passes.cuh"
HOT = ("MaximumPass", "AppendPass", "FastMassPass", "AppendAndMassPass", "SlopePass")
HALVES = re.compile(r"\d(BFloat16|Float16)Logits")  # in the name of a kernel whose logits have 2 bytes, not 4
LOADS = ("LDG", "LD", "LDS", "LDL", "LDC")
WIDTH = re.compile(r"\.(U8|S8|U16|S16|64|128)\b")
WIDTH_BYTES = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}

# Which unit of a multiprocessor takes an instruction. The integer unit ("alu") and the integer multiplier
# take 64 lanes a clock, conversions ("xu") 16, float arithmetic 128: "Arithmetic Instructions" in the CUDA
# programming guide, for compute capability 9.0. What is in none of them costs an issue slot alone.
UNITS = {
    "alu": "IADD3 VIADD IABS LOP3 SHF LEA ISETP FSETP FMNMX HMNMX2 VHMNMX VIMNMX HSETP2 PRMT SEL FSEL PLOP3"
    " MOV FLO VOTE",
    "fma": "FFMA FADD FMUL HADD2 HFMA2",
    "imad": "IMAD",
    "xu": "F2I F2F I2F POPC MUFU",
}
UNIT_OF = {opcode: unit for unit, opcodes in UNITS.items() for opcode in opcodes.split()}


def bytes_loaded(instruction: Instruction) -> int:
    """By a lane; 0 for what is no load of logits."""
    if instruction.name not in LOADS or instruction.name == "LDC":
        return 0
    width = WIDTH.search(instruction.opcode)
    return WIDTH_BYTES[width.group(1)] if width else 4


@dataclass(frozen=True)
class HotLoop:
    """One iteration of a warp that appends nothing."""

    kernel: str
    name: str  # of the pass, with its template arguments
    element_bytes: int
    code: tuple[Instruction, ...]  # from the first load on
    calls: tuple[Instruction, ...]  # anywhere in the loop
    slow_path: int | None  # more slots, where a lane's vector is appended

    @property
    def loads(self) -> list[Instruction]:
        return [one for one in self.code if bytes_loaded(one)]

    @property
    def elements(self) -> int:
        """Of a lane."""
        return sum(map(bytes_loaded, self.loads)) // self.element_bytes

    @property
    def slots(self) -> float:
        """Issued for an element, by the 32 lanes that work on 32 of them."""
        return len(self.code) / self.elements

    @property
    def copy_slots(self) -> float:
        """Of the stores that keep in shared memory what is read."""
        return sum(one.name == "STS" for one in self.code) / self.elements

    def unit_slots(self, unit: str) -> float:
        return sum(UNIT_OF.get(one.name) == unit for one in self.code) / self.elements

    @property
    def cycles(self) -> float:
        """Of a scheduler for a warp's 32 elements, one a lane, where the busiest unit is the limit."""
        alu, fma, imad, xu = map(self.unit_slots, UNITS)
        return max(self.slots, 2 * alu, 2 * imad, fma + imad, 8 * xu)

    @property
    def tests(self) -> int:
        """Branches other than the loop's own."""
        return sum(one.name in ("BRA", "BRX", "JMX") for one in self.code) - 1

    @property
    def loads_ahead(self) -> int:
        """How many loads are under way before the first of them is waited for."""
        written: set[int] = set()
        count = 0
        for one in self.code:
            if one.reads(written):
                break
            size = bytes_loaded(one)
            if size:
                count += 1
                first = int(re.match(r"R(\d+)", one.operands).group(1))  # type: ignore[union-attr]
                written.update(range(first, first + max(1, size // 4)))
        return count


def kernel_name(mangled: str) -> str:
    """SampleRows<BFloat16Logits, false> of _ZN4fire7kernels10SampleRowsINS0_14BFloat16LogitsELb0E…"""
    plain = re.match(r"_ZN4fire7kernels\d+([A-Z][A-Za-z]+Rows)E", mangled)
    if plain:  # of no type of logits
        return plain.group(1)
    found = re.search(r"\d([A-Z][A-Za-z]+Rows)INS0_\d+([A-Z]\w*?)E(?:Lb([01])E)?EEv", mangled)
    if found is None:
        return mangled
    resident = {None: "", "0": ", false", "1": ", true"}[found.group(3)]
    return f"{found.group(1)}<{found.group(2)}{resident}>"


@cache
def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


@cache
def pass_lines(path: Path = PASSES) -> Mapping[str, range]:
    """The lines of each of the hot passes."""
    lines = _lines(str(path))
    found = {}
    for number, line in enumerate(lines, 1):
        name = re.match(r"__device__ \w+ \w+ (\w+)\(", line)
        if name and name.group(1) in HOT:
            found[name.group(1)] = range(number, lines.index("}", number - 1) + 2)
    return found


def _call(name: str, caller: Site, passes: Path) -> list[str] | None:
    """The template arguments of the pass where it is called. nvcc at times gives the caller's line with the
    name of another file, so the line is looked for in all that lie beside.
    """
    for path in (Path(caller.file), *sorted(passes.parent.glob("*.cuh"))):
        lines = _lines(str(path))
        call = re.search(rf"\b{name}<([^>]*)>", lines[caller.line - 1]) if caller.line <= len(lines) else None
        if call:
            return [argument.strip() for argument in call.group(1).split(",")]
    return None


def _variant(sites: tuple[Site, ...], passes: Path) -> tuple[str, list[str], tuple[Site, ...]] | None:
    """The pass that an instruction belongs to, its template arguments, and where it was inlined, outwards.
    From the outermost on: a pass's lambda lies in its lines too, and is called where it visits.
    """
    for depth, (site, caller) in reversed([*enumerate(pairwise(sites))]):
        if Path(site.file).name != passes.name:
            continue
        for name, lines in pass_lines(passes).items():
            arguments = _call(name, caller, passes) if site.line in lines else None
            if arguments:
                return name, arguments, sites[depth + 1 :]
    return None


def hot_loops(cubin: Cubin, passes: Path = PASSES) -> Iterator[HotLoop]:
    """All of a file's, where a pass was inlined several times several of one name."""
    for kernel in read_kernels(cubin.listing(with_sites=True)):
        yield from _loops_of(kernel, 2 if HALVES.search(kernel.name) else 4, passes)


def _loops_of(kernel: Kernel, element_bytes: int, passes: Path) -> Iterator[HotLoop]:
    """Of each pass as inlined, the loop that reads most in an iteration; the other reads what is left."""
    best: dict[tuple[str, tuple[Site, ...]], HotLoop] = {}
    for number, block in enumerate(kernel.blocks):
        first = next((one for one in block if bytes_loaded(one) and _variant(one.sites, passes)), None)
        way = kernel.cheapest_way(number, number) if first else None
        variant = _variant(first.sites, passes) if first else None
        if first is None or way is None or variant is None:
            continue
        name, arguments, place = variant
        known = {"kResident": "Lb1E" in kernel.name, "kFromShared": first.name == "LDS"}
        values = [str(known[one]).lower() if one in known else one for one in arguments]
        code = kernel.code(way)
        loop = HotLoop(
            kernel=kernel_name(kernel.name),
            name=f"{name}<{', '.join(values)}>",
            element_bytes=element_bytes,
            code=tuple(code[code.index(first) :] + code[: code.index(first)]),
            calls=tuple(one for one in kernel.code(kernel.loop_around(number)) if one.name == "CALL"),
            slow_path=_slow_path(kernel, number, len(code), passes),
        )
        if (loop.name, place) not in best or best[loop.name, place].elements < loop.elements:
            best[loop.name, place] = loop
    yield from best.values()


def _slow_path(kernel: Kernel, start: int, fast: int, passes: Path) -> int | None:
    """What the cheapest way around that appends a vector issues beyond the fast one."""
    costs = []
    for number, block in enumerate(kernel.blocks):
        if any(one.name == "ATOMS" and _variant(one.sites, passes) for one in block):
            there, back = kernel.cheapest_way(start, number), kernel.cheapest_way(number, start)
            if there and back:
                costs.append(len(kernel.code(there + back)) - fast)
    return min(costs, default=None)
