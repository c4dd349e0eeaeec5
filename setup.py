"""Builds the compiled parts of the package with CMake. Settings come from the environment:

FIRE_TORCH          auto (default): the torch operators are built where torch 2.10 or newer is found; on:
                    without it the build fails; off: they are left out.
FIRE_TORCH_INCLUDE  torch's include folder (site-packages/torch/include), which must then serve; by default
                    that of the environment that called pip. torch is never downloaded for the build.
FIRE_CUDA           auto (default): the CUDA kernels are built where nvcc is found and torch is a CUDA build,
                    which alone can load them; on: without nvcc the build fails; off: they are left out.
FIRE_CUDA_ARCHITECTURES  Compute capabilities to build for, by default "80;90;100;120"; native: this
                    machine's, in a fraction of the time.
CMAKE_ARGS          More arguments for CMake.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
OLDEST_TORCH = (2, 10)
NO_OPERATORS = """
  fire_sampling: {reason}, so torch.ops.fire.* and all that needs it are LEFT OUT of this build. The NumPy
  entry is complete. To have the torch operators, install torch (2.10 or newer) into the environment that
  calls pip, or set FIRE_TORCH_INCLUDE to the site-packages/torch/include of another one, and install again.
"""


def environment_interpreters() -> list[str]:
    """Interpreters of the environment that called pip, which build isolation hides from this process."""
    candidates = [sys.executable]
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if os.environ.get(variable):
            candidates.append(str(Path(os.environ[variable], "bin", "python")))
    candidates.append(getattr(sys, "_base_executable", sys.executable))
    return [path for path in dict.fromkeys(candidates) if Path(path).exists()]


def torch_include() -> str | None:
    """torch's include folder: FIRE_TORCH_INCLUDE, else that of an environment outside build isolation."""
    named = os.environ.get("FIRE_TORCH_INCLUDE")
    if named:
        return named
    isolation = ("PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE")
    clean = {name: value for name, value in os.environ.items() if name not in isolation}
    find = "import importlib.util as u; s = u.find_spec('torch'); print(s.origin if s and s.origin else '')"
    for interpreter in environment_interpreters():
        # Started in the root folder, so that no folder called torch beside setup.py is taken for the package.
        found = subprocess.run([interpreter, "-c", find], env=clean, cwd="/", capture_output=True, text=True)
        origin = found.stdout.strip()
        if found.returncode == 0 and origin:
            return str(Path(origin).parent / "include")
    return None


def torch_version(include: str) -> tuple[int, ...] | None:
    """The version that torch's headers state; they have moved to another file once."""
    for header in ("torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"):
        path = Path(include, header)
        if path.exists():
            found = re.findall(r"define TORCH_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", path.read_text())
            if found:
                return tuple(map(int, found))
    return None


def torch_arguments() -> list[str]:
    """CMake's settings of the torch operators; says which torch they are for, or why there are none."""
    wish = os.environ.get("FIRE_TORCH", "auto")
    if wish not in ("auto", "on", "off"):
        sys.exit(f"FIRE_TORCH={wish}: expected auto, on or off")
    if wish == "off":
        return ["-DFIRE_TORCH=OFF"]
    include = torch_include()
    version = None if include is None else torch_version(include)
    if include is not None and version is not None and version >= OLDEST_TORCH:
        text = ".".join(map(str, version))
        print(f"fire_sampling: building the operators for torch {text} at {include}", flush=True)
        return ["-DFIRE_TORCH=ON", f"-DFIRE_TORCH_INCLUDE={include}"]
    if include is None:
        reason = "no torch was found"
    elif version is None:
        reason = f"{include} holds no headers of torch"
    else:
        reason = f"torch {'.'.join(map(str, version))} at {include} is older than 2.10"
    if wish == "on" or os.environ.get("FIRE_TORCH_INCLUDE"):
        sys.exit(f"fire_sampling: {reason}; FIRE_TORCH=off builds without the torch operators")
    print(NO_OPERATORS.format(reason=reason), file=sys.stderr, flush=True)
    return ["-DFIRE_TORCH=OFF"]


def torch_has_cuda(include: str) -> bool:
    """Whether that folder belongs to a CUDA build of torch, as its version.py tells."""
    version = Path(include).parent / "version.py"
    return version.exists() and re.search(r"^cuda\b.*= *'", version.read_text(), re.MULTILINE) is not None


def cuda_arguments(torch: list[str]) -> list[str]:
    """CMake's settings of the CUDA kernels, given those of torch; CMake looks for nvcc itself."""
    wish = os.environ.get("FIRE_CUDA", "auto")
    includes = [
        argument.partition("=")[2] for argument in torch if argument.startswith("-DFIRE_TORCH_INCLUDE=")
    ]
    if wish == "auto" and not any(map(torch_has_cuda, includes)):
        print(
            "fire_sampling: FIRE_CUDA=auto: no CUDA build of torch was found; building for the CPU only",
            flush=True,
        )
        wish = "off"
    architectures = os.environ.get("FIRE_CUDA_ARCHITECTURES")
    named = [f"-DFIRE_CUDA_ARCHITECTURES={architectures}"] if architectures else []
    return [f"-DFIRE_CUDA={wish}", *named]


def remove_compiled(package: Path) -> None:
    """Removes what an earlier build left, which would otherwise outlive a change of the settings."""
    for compiled in package.glob("*.so"):
        compiled.unlink()


class CMakeBuild(build_ext):
    """Configures, builds and installs CMake's component `python` into the package folder."""

    def build_extension(self, ext: Extension) -> None:
        import pybind11

        if shutil.which("cmake") is None:
            sys.exit("fire_sampling: cmake (3.20 or newer) is not on PATH; install it with apt or pip")
        package = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        ninja = shutil.which("ninja")
        generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else ["-G", "Unix Makefiles"]
        # A build folder belongs to one generator for ever.
        folder = Path(self.build_temp).resolve() / ("cmake-ninja" if ninja else "cmake-make")
        torch = torch_arguments()
        configure = ["cmake", "-S", str(ROOT), "-B", str(folder), *generator]
        configure += [
            "-DCMAKE_BUILD_TYPE=Release",
            "-DFIRE_PYTHON=ON",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            *torch,
            *cuda_arguments(torch),
            *shlex.split(os.environ.get("CMAKE_ARGS", "")),
        ]
        jobs = str(len(os.sched_getaffinity(0)))
        install = ["cmake", "--install", str(folder), "--component", "python", "--strip"]
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(folder), "--parallel", jobs], check=True)
        # Only after a build that succeeded, so that one that fails leaves a working package.
        remove_compiled(package)
        subprocess.run([*install, "--prefix", str(package.parent)], check=True)

    def copy_extensions_to_source(self) -> None:
        """For an editable install: the operators' library too, which setuptools knows nothing of."""
        source = ROOT / "python" / "fire_sampling"
        remove_compiled(source)
        for compiled in Path(self.build_lib, "fire_sampling").glob("*.so"):
            shutil.copy2(compiled, source)


setup(ext_modules=[Extension("fire_sampling._native", sources=[])], cmdclass={"build_ext": CMakeBuild})
