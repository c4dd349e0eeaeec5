"""The command line of `tests/gpu/pack`: gathers what a machine without network must bring to its proof."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from . import build, manifest, peers
from .context import ROOT, SHIPPED, MissingToolError, StageError, run, tool

MOST_BYTES = 48 << 20
ARCHITECTURES = "80;86;90;100;120"
OLDEST_TORCH = "2.10.0"
GOOGLETEST = Path("/usr/src/googletest")  # Debian's libgtest-dev
# What the tests import besides torch and NumPy. The newest that is pure Python: right for any interpreter.
PURE_PYTHON = ("pytest", "hypothesis")
HEADERS = tuple(f"torch/include/torch/{folder}/" for folder in ("csrc/stable", "csrc/inductor", "headeronly"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests/gpu/pack", description=__doc__)
    parser.add_argument("--pack", type=Path, default=ROOT / "build/gpu-pack", help="the folder to fill")
    parser.add_argument("--work", type=Path, default=ROOT / "build/gpu-pack-build", help="folder to build in")
    parser.add_argument("--architectures", default=ARCHITECTURES, help="of the shipped objects")
    parser.add_argument("--googletest", type=Path, default=GOOGLETEST, help="its sources")
    parser.add_argument(
        "--peer-architectures", default=peers.ARCHITECTURES, help="of FlashInfer's kernels, which take long"
    )
    parser.add_argument(
        "--peer-pythons", nargs="+", default=peers.PYTHONS, help="versions of Python that load FlashInfer"
    )
    parser.add_argument(
        "--no-peers", action="store_true", help="leave out what bench/kernels.py measures beside"
    )
    parser.add_argument("--no-objects", action="store_true", help="ship golden answers and sources alone")
    chosen = parser.parse_args(arguments)
    try:
        check_prerequisites(chosen.googletest, compiles=not (chosen.no_objects and chosen.no_peers))
        return pack(chosen.pack.resolve(), chosen.work.resolve(), chosen)
    except (StageError, MissingToolError) as failure:
        print(f"tests/gpu/pack: {failure}", file=sys.stderr)
        return 1


def pack(folder: Path, work: Path, chosen: argparse.Namespace) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    work.mkdir(parents=True, exist_ok=True)
    copy_googletest(chosen.googletest, folder / "googletest")
    copy_pure_python(folder / "python")
    write_golden(folder, work)
    about: dict[str, object] = {"objects": []}
    if not chosen.no_objects:
        torches = build_objects(work / "shipped", work, chosen.architectures)
        compress(work / "shipped", folder / SHIPPED)
        about |= {"objects": torches, "architectures": chosen.architectures.split(";")}
    trouble = "" if chosen.no_peers else pack_peers(folder, work, chosen, about)
    manifest.write(folder, about)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(
        f"{folder}: {size / 2**20:.1f} MiB of {MOST_BYTES >> 20}; objects for {about['objects'] or 'nothing'}"
    )
    if size > MOST_BYTES:
        raise StageError(f"{folder} is larger than {MOST_BYTES >> 20} MiB")
    if trouble:
        raise StageError(f"the proof is packed, what bench/kernels.py measures beside is not: {trouble}")
    return 0


def pack_peers(folder: Path, work: Path, chosen: argparse.Namespace, about: dict[str, object]) -> str:
    """Why there are none, if so: other people's packages must not keep the proof from being packed."""
    try:
        about["peers"] = peers.gather(folder / "peers", work, chosen.peer_architectures, chosen.peer_pythons)
    except (StageError, MissingToolError, OSError, KeyError, ValueError) as failure:
        shutil.rmtree(folder / "peers", ignore_errors=True)
        return f"{type(failure).__name__}: {failure}"
    return ""


def check_prerequisites(googletest: Path, compiles: bool) -> None:
    """Names all that is missing before minutes go into building, and before the last pack is thrown away."""
    wrong = []
    if not (googletest / "googletest" / "CMakeLists.txt").exists():
        wrong.append(
            f"{googletest} holds no GoogleTest (Debian: apt-get install libgtest-dev); see --googletest"
        )
    for name in ("cmake", "c++", *(("nvcc", "strip") if compiles else ())):
        try:
            tool(name)
        except MissingToolError as missing:
            wrong.append(str(missing))
    for name in ("pip", "pybind11", *(("torch",) if compiles else ())):
        if importlib.util.find_spec(name) is None:
            wrong.append(f"{name} is not installed for {sys.executable}")
    if wrong:
        raise StageError("; ".join(wrong))


def copy_googletest(sources: Path, target: Path) -> None:
    """What a build of gtest and gtest_main reads."""
    shutil.copytree(
        sources,
        target,
        ignore=shutil.ignore_patterns("googlemock", "test", "samples", "docs", "*.md", ".git*"),
    )


def copy_pure_python(target: Path) -> None:
    import pybind11

    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    pip += ["--no-compile", "--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
    run([*pip, "--target", target, *PURE_PYTHON])
    shutil.copytree(
        Path(pybind11.__file__).parent, target / "pybind11", ignore=shutil.ignore_patterns("__pycache__")
    )


def write_golden(folder: Path, work: Path) -> None:
    configured = ["cmake", "-S", ROOT, "-B", work / "golden", *build.generator(), "-DFIRE_CUDA=off"]
    run([*configured, "-DFIRE_GPU_PROOF=ON"])
    build.compile_targets(work / "golden", ["write_golden"])
    run([work / "golden" / "programs" / "write_golden", folder / "golden.bin"])


def build_objects(shipped: Path, work: Path, architectures: str) -> list[str]:
    """The programs, and the operators against the installed torch's headers and the oldest supported ones."""
    shutil.rmtree(shipped, ignore_errors=True)
    libraries = build.torch_folder() / "lib"
    includes = {_installed_torch(): build.torch_folder() / "include"}
    includes[OLDEST_TORCH] = oldest_headers(work / f"torch-{OLDEST_TORCH}")
    where = work / "objects"  # one for all: between versions only the operators are compiled again
    for version, include in includes.items():
        torch = [f"-DFIRE_TORCH_INCLUDE={include}", f"-DFIRE_TORCH_LIBRARY_DIR={libraries}"]
        build.configure(where, ["-DFIRE_GPU_PROOF=ON", f"-DFIRE_CUDA_ARCHITECTURES={architectures}", *torch])
        build.compile_targets(where, ["fire_sampling_torch_cpu", "fire_sampling_torch_cuda"])
        for name in ("cpu", "cuda"):
            copy_stripped(where / f"libfire_sampling_torch_{name}.so", shipped / f"torch-{version}")
    build.compile_targets(where, ["fire_proof_programs"])
    for name in build.PROGRAMS:
        copy_stripped(where / "programs" / name, shipped / "programs")
    return [f"torch {version}" for version in includes]


def compress(shipped: Path, archive: Path) -> None:
    """Into one file, since every object holds the same kernels."""
    with tarfile.open(archive, "w:xz", preset=9) as contents:
        contents.add(shipped, arcname=".")


def _installed_torch() -> str:
    import torch

    return str(torch.__version__).partition("+")[0]


def oldest_headers(folder: Path) -> Path:
    """torch's oldest supported headers, out of the smallest wheel of that version.

    The stable ABI's headers are the same on every platform, and the wheel for macOS is by far the smallest.
    """
    include = folder / "torch" / "include"
    if include.exists():
        return include
    with tempfile.TemporaryDirectory() as download:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        pip += ["--only-binary=:all:", "--platform=macosx_11_0_arm64", "--python-version=3.12"]
        run([*pip, "--dest", download, f"torch=={OLDEST_TORCH}"])
        (wheel,) = Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(HEADERS)])
    return include


def copy_stripped(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target / source.name)
    os.chmod(target / source.name, 0o755)
    # Names for the debugger are worth a third of a program's size, and nobody debugs the shipped ones.
    subprocess.run(["strip", "--strip-unneeded", target / source.name], check=True)
