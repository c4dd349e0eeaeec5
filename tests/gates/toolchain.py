"""The compiler and the readers of machine code: CUDACXX names nvcc, the others are beside it or in PATH."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "gates"
SOURCES = ("kernels", "csrc/definition", "csrc/include")
DTYPES = ("float32", "bfloat16", "float16")
# The files of kernels/ whose machine code is looked at, and how many kernels each has.
FILES = {
    **{f"rows_{dtype}": 5 for dtype in DTYPES},
    "support_log_prob": 2 * len(DTYPES),
    "shard_rows": 3 * len(DTYPES),
    "shard_states": 3,
}
ARCHITECTURES = (80, 86, 90, 100, 120)

# As cmake/cuda.cmake builds the kernels.
FLAGS = ("--fmad=false", "-Xptxas=-warn-spills,-warn-lmem-usage", "-Xptxas=-Werror", "-Werror=all-warnings")
LANGUAGE = ("-std=c++17", "-O3", "-DNDEBUG", "-lineinfo")
INCLUDES = ("-I.", "-Icsrc", "-Icsrc/include")


class CompileError(Exception):
    """nvcc refused; its own words."""


def run(*command: str | Path, text: str | None = None) -> str:
    """What a command prints. It runs in the project's folder, from where the sources' names are short."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, input=text, capture_output=True, text=True, check=False
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


def content() -> str:
    """Names what is compiled, and with what: the same name, the same machine code."""
    digest = hashlib.sha256(repr((compiler(), LANGUAGE, FLAGS, INCLUDES)).encode())
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.*")):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def compile_kernels() -> dict[tuple[str, int], Cubin]:
    """Every file for every architecture, by both; from an earlier run where nothing has changed."""
    folder = BUILD / content()
    for old in BUILD.glob("*/"):
        if old != folder:
            shutil.rmtree(old)

    def compiled(key: tuple[str, int]) -> Cubin:
        file, architecture = key
        path = folder / f"{file}.sm_{architecture}.cubin"
        if not path.exists():
            compile_cubin(ROOT / "kernels" / f"{file}.cu", architecture, path)
        return Cubin(file, architecture, path)

    keys = [(file, architecture) for file in FILES for architecture in ARCHITECTURES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(keys, pool.map(compiled, keys), strict=True))
