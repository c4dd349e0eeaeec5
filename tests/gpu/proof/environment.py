"""Stage `environment`: what this machine is, and whether it has what the others need."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

from .context import Context, MissingToolError, StageError, cores, leave, output_of, tool
from .manifest import differences

GPU_FIELDS = (
    "name",
    "compute_cap",
    "driver_version",
    "memory.total",
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "clocks.max.mem",
    "power.limit",
    "temperature.gpu",
    "utilization.gpu",
    "mig.mode.current",
    "persistence_mode",
)
REQUIRED_TOOLS = ("nvcc", "cmake", "c++")
OPTIONAL_TOOLS = ("compute-sanitizer", "ncu", "nsys", "ninja", "cuobjdump", "nvdisasm")
TORCH = """
import json, sys, torch
found = {"version": torch.__version__, "cuda": torch.version.cuda, "available": torch.cuda.is_available()}
if found["available"]:
    properties = torch.cuda.get_device_properties(0)
    found |= {
        "name": properties.name,
        "capability": [properties.major, properties.minor],
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "l2_bytes": properties.L2_cache_size,
        "devices": torch.cuda.device_count(),
    }
print(json.dumps(found))
"""


def record(context: Context) -> None:
    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
        "python_headers": Path(sysconfig.get_path("include"), "Python.h").exists(),
        "cores": cores(),
        "tools": {name: version_of(name) for name in (*REQUIRED_TOOLS, *OPTIONAL_TOOLS)},
        "packages": {name: _has(name) for name in ("numpy", "pytest", "hypothesis", "pybind11", "triton")},
    }
    wrong = [f"{name} is missing" for name in REQUIRED_TOOLS if found["tools"][name] is None]
    try:
        found["torch"] = json.loads(output_of([sys.executable, "-c", TORCH]).splitlines()[-1])
        wrong += wrong_with_torch(found["torch"], context.dry_run)
    except StageError as failure:
        wrong.append(f"torch does not work: {failure}")
    try:
        found["gpu"] = gpu_now()
    except (StageError, MissingToolError) as failure:
        found["gpu"] = {}
        if not context.dry_run:
            wrong.append(f"no GPU: {failure}")
    stale = differences(context.pack)
    found["pack"] = stale or "as the tree"
    wrong += stale
    if wrong:
        raise StageError("; ".join(wrong), found)
    leave(found)


def wrong_with_torch(torch: dict[str, Any], dry_run: bool) -> list[str]:
    version = tuple(int(part) for part in torch["version"].split("+")[0].split(".")[:2])
    wrong = [] if version >= (2, 10) else [f"torch {torch['version']} is older than 2.10"]
    if not torch["available"] and not dry_run:
        wrong.append(f"torch {torch['version']} sees no GPU")
    return wrong


def version_of(name: str) -> str | None:
    """What `--version` prints of it, None where the tool is missing."""
    try:
        lines = output_of([tool(name), "--version"]).splitlines()
    except MissingToolError:
        return None
    except StageError:
        lines = []
    return next((line for line in lines if re.search(r"\d\.\d", line)), "does not tell its version")


def gpu_now() -> dict[str, str]:
    """What nvidia-smi says of the first GPU: clocks and temperature are of this moment."""
    # Asked one by one, since one field that a driver does not know fails the whole question.
    smi = tool("nvidia-smi")
    found = {"name": _ask(smi, "name")}
    for field in GPU_FIELDS[1:]:
        try:
            found[field] = _ask(smi, field)
        except StageError:
            found[field] = "unknown to this driver"
    return found


def _ask(smi: str, field: str) -> str:
    return output_of([smi, f"--query-gpu={field}", "--format=csv,noheader", "-i", "0"]).strip()


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
