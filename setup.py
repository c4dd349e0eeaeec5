"""Builds the compiled parts of the package with CMake. Settings come from the environment:

FIRE_TORCH          auto (default): the torch operators are built where torch is found; on: without torch the
                    build fails; off: they are left out.
FIRE_TORCH_INCLUDE  torch's include folder (site-packages/torch/include); by default that of the environment
                    that called pip. torch is never downloaded for the build.
FIRE_CUDA           auto (default), on or off.
CMAKE_ARGS          More arguments for CMake.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
NO_TORCH = """
  fire_sampling: NO TORCH HEADERS WERE FOUND, so torch.ops.fire.* and all that needs it are left out of this
  build. The NumPy entry is complete. To have the torch operators, install torch (2.10 or newer) into the
  environment that calls pip, or set FIRE_TORCH_INCLUDE to the site-packages/torch/include of another one, and
  install again.
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


def torch_arguments() -> list[str]:
    wish = os.environ.get("FIRE_TORCH", "auto")
    if wish not in ("auto", "on", "off"):
        sys.exit(f"FIRE_TORCH={wish}: expected auto, on or off")
    if wish == "off":
        return ["-DFIRE_TORCH=OFF"]
    include = torch_include()
    if include is not None:
        return ["-DFIRE_TORCH=ON", f"-DFIRE_TORCH_INCLUDE={include}"]
    print(NO_TORCH, file=sys.stderr, flush=True)
    if wish == "on":
        sys.exit("FIRE_TORCH=on: torch headers were not found")
    return ["-DFIRE_TORCH=OFF"]


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
        configure = ["cmake", "-S", str(ROOT), "-B", str(folder), *generator]
        configure += [
            "-DCMAKE_BUILD_TYPE=Release",
            "-DFIRE_PYTHON=ON",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DFIRE_CUDA={os.environ.get('FIRE_CUDA', 'auto')}",
            *torch_arguments(),
            *shlex.split(os.environ.get("CMAKE_ARGS", "")),
        ]
        jobs = str(len(os.sched_getaffinity(0)))
        install = ["cmake", "--install", str(folder), "--component", "python", "--strip"]
        remove_compiled(package)
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(folder), "--parallel", jobs], check=True)
        subprocess.run([*install, "--prefix", str(package.parent)], check=True)

    def copy_extensions_to_source(self) -> None:
        """For an editable install: the operators' library too, which setuptools knows nothing of."""
        source = ROOT / "python" / "fire_sampling"
        remove_compiled(source)
        for compiled in Path(self.build_lib, "fire_sampling").glob("*.so"):
            shutil.copy2(compiled, source)


setup(ext_modules=[Extension("fire_sampling._native", sources=[])], cmdclass={"build_ext": CMakeBuild})
