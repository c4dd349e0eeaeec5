"""Compiles native.cpp with the system's g++ and loads it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np

_SOURCE = Path(__file__).with_name("native.cpp")
# One read is measured with the instructions that the sampler beside it uses.
_ARCHITECTURE = {"baseline": "x86-64", "avx2": "x86-64-v3", "avx512": "x86-64-v4"}


def compile_native(instruction_set: str, folder: Path) -> Path:
    """The shared object for an instruction set, compiled into `folder`."""
    target = folder / f"native-{instruction_set}.so"
    if not target.exists():
        command = [os.environ.get("CXX", "g++"), "-O3", "-ffast-math", "-shared", "-fPIC"]
        command += [f"-march={_ARCHITECTURE[instruction_set]}", "-Wno-psabi", str(_SOURCE), "-o"]
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # two workers may compile at once
            product = Path(scratch) / target.name
            subprocess.run([*command, str(product)], check=True)
            product.rename(target)
    return target


class Native:
    """The functions of native.cpp."""

    def __init__(self, instruction_set: str, folder: Path, sweep_bytes: int) -> None:
        library = ctypes.CDLL(str(compile_native(instruction_set, folder)))
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        self.read = {4: library.ReadFloat32, 2: library.ReadInt16}  # by the bytes of a logit
        for read in self.read.values():
            read.argtypes = (pointer, size, size, pointer)
            read.restype = None
        self.fill_token_data = library.FillTokenData
        self.fill_token_data.argtypes = (pointer, size, pointer)
        self.fill_token_data.restype = None
        self._sweep = library.Sweep
        self._sweep.argtypes = (pointer, size)
        self._sweep.restype = ctypes.c_int16
        self._sweep_bytes = sweep_bytes
        self._add_vectors = library.AddVectors
        self._add_vectors.argtypes = (size,)
        self._add_vectors.restype = None

    def instructions_per_ns(self, turns: int = 1_000_000) -> float:
        """The best of some attempts at eight additions and the three instructions of the loop around them."""
        times = []
        for _ in range(20):
            begin = time.perf_counter_ns()
            self._add_vectors(turns)
            times.append(time.perf_counter_ns() - begin)
        return 11 * turns / min(times)

    @cache  # noqa: B019 (one object a process, alive to its end)
    def _swept(self) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        return np.ones(self._sweep_bytes // 2, np.int16)

    def sweep(self) -> None:
        """Reads so much that nothing else is left in a cache."""
        swept = self._swept()
        self._sweep(swept.ctypes.data, swept.size)
