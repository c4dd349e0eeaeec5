"""Stage `build`: everything for this machine's GPU alone; in a rehearsal, for the simulated device.

The shipped objects are built with the same functions, for more architectures.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .context import ROOT, Context, MissingToolError, StageError, cores, leave, output_of, run, tool

PROGRAMS = ("smoke", "equality", "large", "measure")  # that are shipped too


def native(context: Context) -> None:
    begin = time.monotonic()
    folder = context.native
    has_headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    found: dict[str, Any] = {"architecture": "simulated" if context.dry_run else architecture()}
    googletest = install_googletest(context.pack / "googletest", context.work / "googletest")
    configure(
        folder,
        [
            f"-DFIRE_GPU_PROOF={'simulated' if context.dry_run else 'ON'}",
            f"-DFIRE_CUDA_ARCHITECTURES={'90' if context.dry_run else found['architecture']}",
            "-DFIRE_CUDA_LINEINFO=ON",
            # Other compilers warn of other things: that is no reason to prove nothing.
            "-DFIRE_CUDA_WERROR=OFF",
            "-DFIRE_TESTS=ON",
            f"-DCMAKE_PREFIX_PATH={googletest}",
            f"-DFIRE_TORCH_INCLUDE={torch_folder() / 'include'}",
            *python_module(context, has_headers),
        ],
    )
    compile_targets(folder, ["fire_proof_programs"])
    leave(found)
    compile_targets(folder, ["fire_cuda_tests"])
    found["seconds"] = round(time.monotonic() - begin, 1)
    leave(found)
    if not has_headers:
        raise StageError("Python.h is missing, so there is no Python package to test", found)
    compile_targets(folder, package_targets(context))
    assemble_package(folder)
    found["seconds"] = round(time.monotonic() - begin, 1)
    leave(found)


def package_targets(context: Context) -> list[str]:
    """All that the package installs; a rehearsal runs the operators on the simulated device besides."""
    installed = ["fire_sampling_torch_cpu", "fire_sampling_torch_cuda", "fire_sampling_native"]
    return [*installed, *(["fire_sampling_torch_simulated"] if context.dry_run else [])]


def architecture() -> str:
    """The compute capability of the first GPU, without the dot."""
    capability = output_of(
        [tool("nvidia-smi"), "--query-gpu=compute_cap", "--format=csv,noheader", "-i", "0"]
    )
    return capability.strip().replace(".", "")


def torch_folder() -> Path:
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        raise StageError("torch is not installed")
    return Path(found.origin).parent


def install_googletest(sources: Path, prefix: Path) -> Path:
    """Builds the packed GoogleTest, where find_package(GTest) then finds it."""
    if not (sources / "CMakeLists.txt").exists():
        raise StageError(f"{sources} holds no GoogleTest; `python tests/gpu/pack` brings it")
    if not prefix.exists():
        folder = prefix.with_name("googletest-build")
        run(
            [
                "cmake",
                "-S",
                sources,
                "-B",
                folder,
                *generator(),
                "-DCMAKE_BUILD_TYPE=Release",
                "-DBUILD_GMOCK=OFF",
            ]
        )
        run(["cmake", "--build", folder, "--parallel", str(cores())])
        run(["cmake", "--install", folder, "--prefix", prefix])
    return prefix


def generator() -> list[str]:
    try:
        return ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"]
    except MissingToolError:
        return ["-G", "Unix Makefiles"]


def configure(folder: Path, settings: Sequence[str]) -> None:
    os.environ["CUDACXX"] = tool("nvcc")
    run(
        [
            "cmake",
            *("-S", ROOT, "-B", folder, *generator(), "-DCMAKE_BUILD_TYPE=Release"),
            *("-DFIRE_CUDA=on", "-DFIRE_TORCH=ON", *settings),
        ]
    )


def compile_targets(folder: Path, targets: Sequence[str]) -> None:
    run(["cmake", "--build", folder, "--parallel", str(cores()), "--target", *targets])


def python_module(context: Context, has_headers: bool) -> list[str]:
    if not has_headers:
        return ["-DFIRE_PYTHON=OFF"]
    packed = context.pack / "python" / "pybind11" / "share" / "cmake" / "pybind11"
    return ["-DFIRE_PYTHON=ON", f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={packed}"]


def assemble_package(folder: Path) -> None:
    """The package as an installation has it, in folder/package."""
    package = folder / "package"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(
        ROOT / "python" / "fire_sampling",
        package / "fire_sampling",
        ignore=shutil.ignore_patterns("*.so", "__pycache__", ".*_cache"),
    )
    run(["cmake", "--install", folder, "--component", "python", "--prefix", package])
