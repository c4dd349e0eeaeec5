"""Which backend the tests of the operators run on: FIRE_BACKEND=cpu (default), simulated or cuda.

`simulated` runs the CUDA kernels and their glue on the simulated device, for CPU tensors, with the object
that FIRE_SIMULATED_LIBRARY names and tests/torch_cuda builds. `cuda` runs them on this machine's GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import fire_sampling as fire
from fire_sampling import _ops

BACKEND = os.environ.get("FIRE_BACKEND", "cpu")
if BACKEND not in ("cpu", "simulated", "cuda"):
    raise RuntimeError(f"FIRE_BACKEND={BACKEND}: expected cpu, simulated or cuda")

# Where a tensor of the tests lies, as torch prints it.
DEVICE = "cuda:0" if BACKEND == "cuda" else "cpu"
# The backend whose bits are the definition's in the log-probabilities too; elsewhere these are within 1e-6.
IS_CPU = BACKEND == "cpu"

pack = functools.partial(fire.pack, device=DEVICE)


def on_device(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors on the backend's device."""
    return tuple(tensor.to(DEVICE) for tensor in tensors)


class Counts(NamedTuple):
    """What the operators' calls did on the simulated device."""

    launches: int
    waits: int  # of the host for the device
    allocations: int


class Simulated:
    """The object that puts the simulated device under the operators for CPU tensors."""

    def __init__(self, library: Path) -> None:
        with warnings.catch_warnings(action="ignore"):  # it replaces the CPU's kernels, and means to
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        self._object = ctypes.CDLL(str(library))
        self._object.fire_simulated_reports.restype = ctypes.c_char_p

    def counts(self) -> Counts:
        """Of all calls since the last time."""
        values = (ctypes.c_uint64 * 3)()
        self._object.fire_simulated_counts(values)
        return Counts(*values)

    def withhold(self, count: int) -> None:
        """From now on kernels may touch all but so many bytes at the end of each tensor."""
        self._object.fire_simulated_withhold(ctypes.c_uint64(count))

    @contextlib.contextmanager
    def placed_on(self, device: int) -> Iterator[None]:
        """The tensors of calls are said to lie on that one of the simulated devices."""
        self._object.fire_simulated_place(device)
        try:
            yield
        finally:
            self._object.fire_simulated_place(0)

    def reports(self) -> str:
        """What the device's checks found since the last time; empty where all is well."""
        return bytes(self._object.fire_simulated_reports()).decode()


def start() -> Simulated | None:
    """Puts the backend in place for this process."""
    if BACKEND == "cuda":
        if _ops.cuda_unavailable is not None:
            raise RuntimeError(f"FIRE_BACKEND=cuda: {_ops.cuda_unavailable}")
        torch.set_default_device("cuda")
    if BACKEND != "simulated":
        return None
    named = os.environ.get("FIRE_SIMULATED_LIBRARY", "")
    if not Path(named).is_file():
        raise RuntimeError(
            f"FIRE_BACKEND=simulated needs FIRE_SIMULATED_LIBRARY, the object that tests/torch_cuda builds; "
            f"it is '{named}'"
        )
    return Simulated(Path(named))


simulated = start()
