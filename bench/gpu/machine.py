"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import time

import torch
from harness.schema import Machine

_PACKAGES = ("torch", "triton", "transformers", "flashinfer-python", "vllm", "fire-sampling")
_FIELDS = {
    "driver_version": "driver",
    "clocks.sm": "SM clock",
    "clocks.mem": "memory clock",
    "clocks.max.sm": "highest SM clock",
    "power.limit": "power limit",
    "temperature.gpu": "temperature",
}


def describe(device: torch.device) -> Machine:
    versions = {"python": platform.python_version(), **_versions()}
    facts = {
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.release()}",
    }
    if device.type != "cuda":
        return {"name": "no GPU: a rehearsal", "date": _today(), "facts": facts, "versions": versions}
    properties = torch.cuda.get_device_properties(device)
    facts |= {
        "multiprocessors": str(properties.multi_processor_count),
        "compute capability": f"{properties.major}.{properties.minor}",
        "L2": f"{properties.L2_cache_size >> 20} MiB",
        "memory": f"{properties.total_memory >> 30} GiB",
        **clocks_now(),
    }
    return {"name": properties.name, "date": _today(), "facts": facts, "versions": versions}


def clocks_now() -> dict[str, str]:
    """What nvidia-smi says at this moment, as far as it is there and knows."""
    smi = shutil.which("nvidia-smi")
    found = {}
    for field, name in _FIELDS.items() if smi else ():
        words = [str(smi), f"--query-gpu={field}", "--format=csv,noheader", "-i", "0"]
        asked = subprocess.run(words, capture_output=True, text=True)
        if asked.returncode == 0:
            found[name] = asked.stdout.strip()
    return found


def highest_ghz(facts: dict[str, str]) -> float | None:
    """The highest clock of the multiprocessors, of what `describe` found; None where it was not told."""
    told = facts.get(_FIELDS["clocks.max.sm"], "").partition(" MHz")[0]
    return float(told) / 1e3 if told.isdigit() else None


def _versions() -> dict[str, str]:
    found = {"CUDA": torch.version.cuda} if torch.version.cuda else {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _today() -> str:
    return time.strftime("%Y-%m-%d")
