"""The kernels' machine code, out of the build of the tests, and its readers.

CUDACXX names nvcc, the others are beside it or in PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "gates"
# Of `make build-tests`, which CMake tells where it is another, and where its objects of the kernels are.
BUILD_OF_TESTS = Path(os.environ.get("FIRE_BUILD_OF_TESTS", ROOT / "build" / "tests"))
OBJECTS = BUILD_OF_TESTS / "CMakeFiles" / "fire_sampling_cuda.dir" / "kernels"
DTYPES = ("float32", "bfloat16", "float16")
# The files of kernels/ whose machine code is looked at, and how many kernels each has.
FILES = {
    **{f"rows_{dtype}": 5 for dtype in DTYPES},
    "support_log_prob": 2 * len(DTYPES),
    "shard_rows": 3 * len(DTYPES),
    "shard_states": 3,
}
ARCHITECTURES = (80, 86, 90, 100, 120)

# As cmake/cuda.cmake builds the kernels, for what is compiled here.
FLAGS = ("--fmad=false", "-Xptxas=-warn-spills,-warn-lmem-usage", "-Xptxas=-Werror", "-Werror=all-warnings")
LANGUAGE = ("-std=c++17", "-O3", "-DNDEBUG", "-lineinfo")
INCLUDES = ("-I.", "-Icsrc", "-Icsrc/include")


class CompileError(Exception):
    """nvcc refused; its own words."""


def run(*command: str | Path, text: str | None = None, folder: Path = ROOT) -> str:
    """What a command prints. It runs in the project's folder, from where the sources' names are short."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CompileError(done.stdout + done.stderr)
    return done.stdout


@cache
def tool(name: str) -> str:
    nvcc = os.environ.get("CUDACXX", "nvcc")
    beside = Path(shutil.which(nvcc) or nvcc).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is neither beside {nvcc} nor in PATH")
    return found


@cache
def compiler() -> str:
    """nvcc's version."""
    return run(tool("nvcc"), "--version").rpartition("V")[2].split()[0]


@dataclass(frozen=True)
class Cubin:
    """Machine code of one file for one architecture."""

    file: str
    architecture: int
    path: Path

    def resource_usage(self) -> str:
        return run(tool("cuobjdump"), "-res-usage", self.path)

    def listing(self, with_sites: bool = False) -> str:
        return run(tool("nvdisasm"), "-c", *(["-gi"] if with_sites else []), self.path)


def compile_cubin(source: Path, architecture: int, to: Path, flags: Sequence[str] = FLAGS) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    unfinished = to.with_suffix(".new")
    name = source.relative_to(ROOT) if source.is_relative_to(ROOT) else source
    options = (*LANGUAGE, *flags, *INCLUDES, f"-arch=sm_{architecture}", "-cubin")
    run(tool("nvcc"), *options, "-o", unfinished, name)
    unfinished.rename(to)
    return to


def built_kernels() -> dict[tuple[str, int], Cubin]:
    """Every file for every architecture, by both: what `make build-tests` has linked, brought up to date."""
    if not (BUILD_OF_TESTS / "CMakeCache.txt").exists():
        raise FileNotFoundError(f"{BUILD_OF_TESTS} is no build of the tests: make build-tests")
    run("cmake", "--build", BUILD_OF_TESTS, "--target", "fire_sampling_cuda")
    folder = BUILD / "cubins"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = {}
    for file in FILES:
        run(tool("cuobjdump"), "-xelf", "all", OBJECTS / f"{file}.cu.o", folder=folder)
        for architecture in ARCHITECTURES:
            paths = list(folder.glob(f"{file}*.sm_{architecture}.cubin"))
            if len(paths) != 1:
                raise CompileError(f"{file} is there {len(paths)} times for {architecture}, expected once")
            found[file, architecture] = Cubin(file, architecture, paths[0])
    return found
