"""Builds the compiled parts of the package with CMake. Settings come from the environment:

FIRE_TORCH          on (default): the torch operators are built, against torch 2.10 or newer, and without one
                    the build fails: pip and uv show what a build says only when it fails. off: they are left
                    out; the NumPy and C++ entries are complete without them.
FIRE_TORCH_INCLUDE  torch's include folder (site-packages/torch/include), which must then serve; by default
                    that of the environment that pip or uv installs into. torch is never downloaded for the
                    build.
FIRE_CUDA           auto (default): the CUDA kernels are built where nvcc is found and torch is a CUDA build,
                    which alone can load them; on: without nvcc the build fails; off: they are left out.
FIRE_CUDA_ARCHITECTURES  Compute capabilities to build for, by default "80;86;90;100;120", the first and the
                    last also as PTX; native: this machine's, in a fraction of the time.
CMAKE_ARGS          More arguments for CMake.
"""

from __future__ import annotations

import argparse
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
NO_TORCH = """
fire_sampling: {reason}; the torch operators cannot be built. One of these works:
  pip install "torch>=2.10"              into the environment that fire_sampling goes to, then this again
  FIRE_TORCH_INCLUDE=FOLDER              FOLDER: the site-packages/torch/include of another environment
  FIRE_TORCH=off                         no torch.ops.fire, and nothing that needs it: NumPy and C++ alone{uv}
"""
UV = """
  uv pip install --no-build-isolation .  with torch, setuptools and pybind11 installed beforehand
  for `uv sync` and `uv add`, in pyproject.toml, so that torch is there first:
    [tool.uv.extra-build-dependencies]
    fire-sampling = [{ requirement = "torch", match-runtime = true }]"""


def uv_interpreter() -> str | None:
    """The interpreter of the environment that uv installs into, if it is uv that builds.

    uv points VIRTUAL_ENV at the environment of the build and hands down nothing of the other one. What it was
    called with stands in /proc, and `uv python find`, called likewise, finds what it found.
    """
    uv, caller = os.environ.get("UV", ""), Path("/proc", str(os.getppid()))
    try:
        if not os.path.samefile(uv, caller / "exe"):
            return None
        items = (os.fsdecode(item).partition("=") for item in nul_separated(caller / "environ"))
        environment = {name: value for name, equals, value in items if name and equals}
        called_with = [os.fsdecode(argument) for argument in nul_separated(caller / "cmdline")[1:]]
        folder = os.readlink(caller / "cwd")
    except OSError:
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--python", "-p", default=environment.get("UV_PYTHON"))
    parser.add_argument("--project")
    parser.add_argument("--system", action="store_true")
    parser.add_argument("--active", action="store_true")
    try:
        given, others = parser.parse_known_args(called_with)
    except argparse.ArgumentError:
        return None
    command = next((word for word in others if word in ("pip", "sync", "add", "remove", "run", "tool")), None)
    # `uv sync` and its like install into the project's environment, not the active one, unless told to.
    if command != "pip" and not given.active:
        environment.pop("VIRTUAL_ENV", None)
    find = [uv, "python", "find", *(["--system"] if given.system else [])]
    find += [f"--project={given.project}"] if given.project else []
    find += ["--", given.python] if given.python else []
    found = subprocess.run(find, env=environment, cwd=folder, capture_output=True, text=True)
    return str(Path(folder, found.stdout.strip())) if found.returncode == 0 else None


def nul_separated(path: Path) -> list[bytes]:
    """The items of a file that ends each with a zero byte."""
    return path.read_bytes().split(b"\0")[:-1]


def environment_interpreters() -> list[str]:
    """Interpreters of the environment installed into, which build isolation hides from this process."""
    candidates = [sys.executable, uv_interpreter()]
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if os.environ.get(variable):
            candidates.append(str(Path(os.environ[variable], "bin", "python")))
    candidates.append(getattr(sys, "_base_executable", sys.executable))
    return [path for path in dict.fromkeys(candidates) if path and Path(path).exists()]


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
    """CMake's settings of the torch operators; says which torch they are for, or why they cannot be."""
    wish = os.environ.get("FIRE_TORCH", "on")
    if wish not in ("on", "off"):
        sys.exit(f"FIRE_TORCH={wish}: expected on or off")
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
    sys.exit(NO_TORCH.format(reason=reason, uv=UV if "UV" in os.environ else ""))


def cuda_of_torch(include: str) -> str | None:
    """The CUDA version of the torch that this folder belongs to, None without one: its version.py tells."""
    version = Path(include).parent / "version.py"
    found = (
        re.search(r"^cuda\b.*= *'([^']*)'", version.read_text(), re.MULTILINE) if version.exists() else None
    )
    return found.group(1) if found else None


def cuda_arguments(torch: list[str]) -> list[str]:
    """CMake's settings of the CUDA kernels, given those of torch; CMake looks for nvcc itself."""
    wish = os.environ.get("FIRE_CUDA", "auto")
    includes = [
        argument.partition("=")[2] for argument in torch if argument.startswith("-DFIRE_TORCH_INCLUDE=")
    ]
    versions = [version for version in map(cuda_of_torch, includes) if version is not None]
    if wish == "auto" and not versions:
        print(
            "fire_sampling: FIRE_CUDA=auto: no CUDA build of torch was found; building for the CPU only",
            flush=True,
        )
        wish = "off"
    architectures = os.environ.get("FIRE_CUDA_ARCHITECTURES")
    named = [f"-DFIRE_CUDA_ARCHITECTURES={architectures}"] if architectures else []
    return [f"-DFIRE_CUDA={wish}", *named, *(f"-DFIRE_TORCH_CUDA={version}" for version in versions)]


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
