"""`uv pip install` and `uv sync`: which torch they find, what they say without one, when they build anew.

CMake is a stand-in that writes down what it is asked for: what is tested here is what setup.py asks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import uv
from packaging_support import run

UV = uv.find_uv_bin()
TORCH_INCLUDE = Path(torch.__file__).parent / "include"
CMAKE = """#!/bin/sh
echo "$@" >> "$CMAKE_LOG"
"""


class Installation:
    """A folder with a stand-in for CMake, in which uv installs the source."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        self.source = source
        self.log = folder / "cmake.log"
        self.cmake = folder / "tools/cmake"
        self.cmake.parent.mkdir()
        self.cmake.write_text(CMAKE)
        self.cmake.chmod(0o755)

    def environment(self, path: str, has_torch: bool = True) -> str:
        """A new virtual environment; torch is in it by a .pth file."""
        place = self.folder / path
        run([UV, "venv", "--python", sys.executable, str(place)])
        if has_torch:
            (packages,) = place.glob("lib/python*/site-packages")
            (packages / "torch_is_there.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
        return str(place)

    def uv(self, *arguments: str, cwd: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs uv in a folder of this one, its environment free of everything that chooses a torch."""
        chooses = ("FIRE_", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "UV_")
        kept = (
            "UV_INDEX",
            "UV_DEFAULT_INDEX",
            "UV_EXTRA_INDEX",
            "UV_CACHE",
            "UV_HTTP",
            "UV_SSL",
            "UV_NATIVE_TLS",
        )
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(chooses) or name.startswith(kept)
        }
        clean |= {"PATH": f"{self.cmake.parent}:{os.environ['PATH']}", "CMAKE_LOG": str(self.log)}
        self.log.unlink(missing_ok=True)
        (self.folder / cwd).mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            [UV, *arguments],
            cwd=self.folder / cwd,
            env=clean | environment,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def pip_install(
        self, *arguments: str, cwd: str = ".", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return self.uv("pip", "install", "--no-deps", *arguments, str(self.source), cwd=cwd, **environment)

    def asked(self) -> str:
        """What the last installation asked of CMake; nothing where it built nothing."""
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def installation(tmp_path: Path, source: Path) -> Installation:
    return Installation(tmp_path, source)


@pytest.mark.parametrize("way", ["VIRTUAL_ENV", "-p", ".venv"])
def test_uv_pip_install_finds_the_torch_of_the_environment_it_installs_into(
    installation: Installation, way: str
) -> None:
    place = installation.environment("project/.venv" if way == ".venv" else "target")
    if way == "VIRTUAL_ENV":
        done = installation.pip_install(VIRTUAL_ENV=place)
    elif way == "-p":
        done = installation.pip_install("-p", "../target", cwd="project")
    else:
        done = installation.pip_install(cwd="project/below")
    assert done.returncode == 0, done.stderr
    assert f"-DFIRE_TORCH=ON -DFIRE_TORCH_INCLUDE={TORCH_INCLUDE} " in installation.asked()


def test_uv_pip_install_beside_no_torch_is_refused_where_uv_shows_it_with_lines_that_work(
    installation: Installation,
) -> None:
    place = installation.environment("target", has_torch=False)
    refused = installation.pip_install(VIRTUAL_ENV=place)
    assert refused.returncode != 0
    assert "fire_sampling: no torch was found; the torch operators cannot be built" in refused.stderr
    for line in (
        'pip install "torch>=2.10"',
        "FIRE_TORCH=off",
        "FIRE_TORCH_INCLUDE=",
        "uv pip install --no-build-isolation .",
        "[tool.uv.extra-build-dependencies]",
    ):
        assert line in refused.stderr
    alone = installation.pip_install(VIRTUAL_ENV=place, FIRE_TORCH="off")
    assert alone.returncode == 0, alone.stderr
    assert "-DFIRE_TORCH=OFF " in installation.asked()


PROJECT = """
[project]
name = "project"
version = "0"
requires-python = ">=3.10"
dependencies = ["fire-sampling"]
[tool.uv.sources]
fire-sampling = {{ path = "{source}" }}
"""


def test_uv_sync_finds_the_projects_torch_and_does_not_keep_a_wheel_of_other_settings_or_sources(
    installation: Installation,
) -> None:
    installation.environment("project/.venv")
    (installation.folder / "project/pyproject.toml").write_text(PROJECT.format(source=installation.source))

    def sync(**environment: str) -> str:
        # An environment that is active is not the one that `uv sync` installs into.
        other = str(installation.folder / "other")
        done = installation.uv(
            "sync", "--no-install-package=numpy", cwd="project", VIRTUAL_ENV=other, **environment
        )
        assert done.returncode == 0, done.stderr
        return installation.asked()

    edited = installation.source / "csrc/torch/cpu.cpp"
    edited.touch()
    assert "-DFIRE_TORCH=OFF " in sync(FIRE_TORCH="off")
    with_torch = f"-DFIRE_TORCH=ON -DFIRE_TORCH_INCLUDE={TORCH_INCLUDE} "
    assert with_torch in sync()
    assert sync() == ""
    edited.touch()
    assert with_torch in sync()
