"""What the kernels take of a GPU and what their hot loops cost: the table resources.json.

python tests/gates/resources.py          prints the table of what is built
python tests/gates/resources.py --write  and replaces tests/gates/resources.json by it
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devices import DEVICES, RESERVED, TASKS, Shape, blocks_of_multiprocessor, launches
from hot_loops import UNITS, HotLoop, hot_loops, kernel_name
from toolchain import DTYPES, FILES, Cubin, built_kernels, compiler

TABLE = Path(__file__).with_name("resources.json")
VOCABULARY = 128_256
ROWS = (1, 8, 32, 64, 128, 512, 1024)
KERNEL_NAMES = {
    "sample_group": "Group",
    "sample_with_support": "Support",
    "support_log_prob": "SupportLogProb",
    "support_log_prob_backward": "SupportGradient",
    "shard_answer": "ShardAnswer",
}
TYPE_NAMES = {"float32": "Float32Logits", "bfloat16": "BFloat16Logits", "float16": "Float16Logits"}
USAGE = re.compile(r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")

Row = dict[str, Any]
Cubins = Mapping[tuple[str, int], Cubin]


def kernels(cubins: Cubins) -> list[Row]:
    """Registers of a thread, bytes of shared memory that no launch asks for, and of local memory."""
    rows = []
    for (_, architecture), cubin in cubins.items():
        for name, registers, stack, shared, local in USAGE.findall(cubin.resource_usage()):
            # What cuobjdump counts among a kernel's own, where it has any.
            reserved = RESERVED if architecture >= 90 and int(shared) != 0 else 0
            rows.append(
                {
                    "kernel": kernel_name(name),
                    "architecture": architecture,
                    "registers": int(registers),
                    "shared_bytes": int(shared) - reserved,
                    "local_bytes": int(stack) + int(local),
                }
            )
    return rows


def blocks(used: Sequence[Row]) -> list[Row]:
    """Of the launches that V = 128,256 gets, how many blocks a multiprocessor holds."""
    by_kernel = {(row["kernel"], row["architecture"]): row for row in used}
    found: dict[tuple[Any, ...], Row] = {}
    for device in DEVICES:
        shapes = [Shape(task, rows, VOCABULARY, dtype) for dtype in DTYPES for task in TASKS for rows in ROWS]
        for shape, launch in zip(shapes, launches(shapes, device), strict=True):
            name = KERNEL_NAMES.get(shape.task, "Sample" if shape.task.startswith("sample") else "Write")
            variant = f", {str(launch.resident).lower()}" if name == "Sample" else ""
            kernel = f"{name}Rows<{TYPE_NAMES[shape.dtype]}{variant}>"
            key = (device.name, kernel, launch.threads, launch.cluster, launch.dynamic_bytes)
            if key in found:
                found[key]["rows"] = sorted({*found[key]["rows"], shape.rows})
                continue
            row = by_kernel[kernel, device.architecture]
            found[key] = {
                "device": device.name,
                "kernel": kernel,
                "rows": [shape.rows],
                "threads": launch.threads,
                "cluster": launch.cluster,
                "dynamic_bytes": launch.dynamic_bytes,
                "blocks": blocks_of_multiprocessor(device, row["registers"], row["shared_bytes"], launch),
            }
    return list(found.values())


def loops(found: Sequence[HotLoop]) -> list[Row]:
    """Of loops of one name in one kernel the costliest. The units' figures are slots an element too."""
    rows: dict[tuple[str, str], Row] = {}
    for loop in sorted(found, key=lambda one: one.slots):
        rows[loop.kernel, loop.name] = {
            "kernel": loop.kernel,
            "loop": loop.name,
            "slots": round(loop.slots, 4),
            **{unit: round(loop.unit_slots(unit), 4) for unit in UNITS},
            "cycles": round(loop.cycles, 4),
            "loads_ahead": loop.loads_ahead,
            "slow_path": loop.slow_path,
        }
    return [rows[key] for key in sorted(rows)]


def measure(cubins: Cubins, found: Sequence[HotLoop]) -> dict[str, Any]:
    used = kernels(cubins)
    return {"compiler": compiler(), "kernels": used, "blocks": blocks(used), "loops": loops(found)}


def differences(committed: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """The rows that only one of them has."""
    told = []
    for sign, one, other in (("-", committed, made), ("+", made, committed)):
        for name, value in one.items():
            for row in value if isinstance(value, list) else [value]:
                there = other.get(name)
                if row not in (there if isinstance(there, list) else [there]):
                    told.append(f"{sign} {name}: {json.dumps(row)}")
    return told


def text(table: Mapping[str, Any]) -> str:
    """JSON with a line for each row, so that differences can be read."""
    parts = []
    for name, value in table.items():
        rows = [json.dumps(row) for row in value] if isinstance(value, list) else None
        shown = json.dumps(value) if rows is None else "[\n  " + ",\n  ".join(rows) + "\n ]"
        parts.append(f' "{name}": {shown}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def sm90_loops(cubins: Cubins) -> list[HotLoop]:
    return [loop for file in FILES for loop in hot_loops(cubins[file, 90])]


def main() -> int:
    parser = argparse.ArgumentParser(description="The table of what is built.")
    parser.add_argument("--write", action="store_true", help=f"replace {TABLE.name}")
    write = parser.parse_args().write
    cubins = built_kernels()
    made = text(measure(cubins, sm90_loops(cubins)))
    print(made, end="")
    if write:
        TABLE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
