"""What a stage knows and how it acts: folders, tools, commands, and the result it leaves."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .runner import LIMIT_VARIABLE, RESULT_VARIABLE

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = "shipped.tar.xz"  # in the pack


Command = Sequence[object]  # words, as str() has them


class StageError(Exception):
    """A check did not hold, or could not be made; the message is the reason, `found` what is known."""

    def __init__(self, reason: str, found: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.found = dict(found or {})


class MissingToolError(Exception):
    """A tool that a machine may lack is not there."""


@dataclass(frozen=True)
class Context:
    """The same for every stage of a run."""

    out: Path  # report, log, table
    work: Path  # builds and what stages hand on
    pack: Path  # what tests/gpu/pack gathered
    dry_run: bool  # against the simulated device and the CPU backend

    @property
    def native(self) -> Path:
        """The build for this machine's GPU."""
        return self.work / ("rehearsal" if self.dry_run else "native")

    @property
    def shipped(self) -> Path:
        """Objects built where they were packed; `unpack_shipped` puts them here."""
        return self.work / "shipped"

    @property
    def golden(self) -> Path:
        return self.pack / "golden.bin"

    def program(self, name: str) -> Path:
        """A program of this folder's CMakeLists.txt: from the native build, else as it was shipped."""
        return self._first(f"programs/{name}", self.shipped)

    def operators(self) -> Path:
        """The folder of the torch operators' objects, in the same order."""
        newest = sorted(self.shipped.glob("torch-*"), key=lambda folder: _version(folder.name), reverse=True)
        return self._first("libfire_sampling_torch_cpu.so", *newest).parent

    def _first(self, name: str, *shipped: Path) -> Path:
        # What is shipped is for real devices: a rehearsal has its own build or nothing.
        folders = (self.native, *(() if self.dry_run else shipped))
        for folder in folders:
            if (folder / name).exists():
                return folder / name
        raise StageError(f"{name} is not in {' nor in '.join(map(str, folders))}")


def unpack_shipped(context: Context) -> None:
    """Unpacks the packed objects, unless these very ones already are."""
    archive = context.pack / SHIPPED
    stamp = context.work / "shipped.stamp"
    if not archive.exists():
        return
    about = f"{archive} {archive.stat().st_size} {archive.stat().st_mtime_ns}"
    if stamp.exists() and stamp.read_text() == about:
        return
    shutil.rmtree(context.shipped, ignore_errors=True)
    with tarfile.open(archive) as contents:
        contents.extractall(context.shipped)
    stamp.write_text(about)


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.rpartition("-")[2].split(".") if part.isdigit())


def run(command: Command, environment: Mapping[str, str] | None = None) -> None:
    """Runs a command into the log; raises StageError if it fails."""
    words = list(map(str, command))
    print("+", shlex.join(words), flush=True)
    code = subprocess.run(words, env={**os.environ, **(environment or {})}, cwd=ROOT).returncode
    if code != 0:
        raise StageError(f"{Path(words[0]).name} ended with {code}: {shlex.join(words)}")


def output_of(command: Command) -> str:
    """What a command prints, which goes into the log too; raises StageError if it fails or is missing."""
    words = list(map(str, command))
    print("+", shlex.join(words), flush=True)
    try:
        found = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, errors="replace")
    except OSError as error:
        raise StageError(f"{words[0]} cannot be started: {error}") from error
    print(found.stdout, flush=True)
    if found.returncode != 0:
        raise StageError(f"{Path(words[0]).name} ended with {found.returncode}: {shlex.join(words)}")
    return found.stdout


def json_lines_of(command: Command) -> list[dict[str, Any]]:
    """The objects that one of the programs prints, one a line."""
    return [json.loads(line) for line in output_of(command).splitlines() if line.startswith("{")]


def tool(name: str) -> str:
    """A tool's path: on PATH, or in the usual folders of a CUDA toolkit; raises MissingToolError.

    CUDACXX names nvcc, as it does for CMake.
    """
    if name == "nvcc" and os.environ.get("CUDACXX"):
        return os.environ["CUDACXX"]
    folders = [os.environ.get("PATH", "")]
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            folders.append(str(Path(os.environ[variable], "bin")))
    folders += [str(Path(sys.executable).parent), "/usr/local/cuda/bin"]
    folders += sorted(map(str, Path("/usr/local").glob("cuda-*/bin")), reverse=True)
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise MissingToolError(f"{name} is not installed")
    return found


def cores() -> int:
    return len(os.sched_getaffinity(0))


def seconds_left(begin: float) -> float:
    """Of the stage's own time, `begin` being time.monotonic() when it began."""
    return float(os.environ.get(LIMIT_VARIABLE, "600")) - (time.monotonic() - begin)


def leave(result: Mapping[str, Any]) -> None:
    """Hands the result to the runner; may be called again with more."""
    path = Path(os.environ.get(RESULT_VARIABLE, os.devnull))
    text = json.dumps(result, allow_nan=False) + "\n"
    if path == Path(os.devnull):
        print(text)
        return
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    os.replace(beside, path)
