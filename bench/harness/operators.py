"""Loads the torch operators from wherever they are: nothing of the Python package is needed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
CPU_OBJECT, CUDA_OBJECT = "libfire_sampling_torch_cpu.so", "libfire_sampling_torch_cuda.so"
PROOF = ROOT / "build" / "gpu-proof"  # where tests/gpu/prove builds and unpacks


def load(folder: Path | None, with_cuda: bool) -> None:
    """`folder`: of the objects; else that of the installed package, or of what tests/gpu/prove left."""
    names = (CPU_OBJECT, CUDA_OBJECT) if with_cuda else (CPU_OBJECT,)
    folders = [folder] if folder is not None else _usual_folders()
    for one in folders:
        if all((one / name).exists() for name in names):
            for name in names:
                torch.ops.load_library(str(one / name))
            return
    sys.exit(
        f"{' and '.join(names)} are not in {', '.join(map(str, folders)) or 'any folder'}; see --operators"
    )


def _usual_folders() -> list[Path]:
    found = importlib.util.find_spec("fire_sampling")
    installed = [Path(one) for one in (found.submodule_search_locations or ())] if found is not None else []
    shipped = sorted((PROOF / "shipped").glob("torch-*"), reverse=True)
    return [*installed, PROOF / "native", *shipped]
