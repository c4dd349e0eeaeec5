"""What `pip wheel .` builds, under build isolation, and how the build treats its settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = "fire_sampling/libfire_sampling_torch_cpu.so"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a clone has it: without build folders and compiled files."""
    folder = tmp_path_factory.mktemp("packaging") / "source"
    unwanted = (
        ".git",
        ".venv",
        ".cache",
        "build*",
        "*.so",
        "*.egg-info",
        "__pycache__",
        ".*_cache",
        "demo_output",
    )
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*unwanted))
    return folder


def build_wheel(source: Path, **environment: str) -> set[str]:
    """The names in the wheel that `pip wheel` builds."""
    target = source.parent / "wheels"
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(target), str(source)]
    built = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_a_wheel_finds_torch_through_build_isolation_and_holds_no_sources(source: Path) -> None:
    names = build_wheel(source)
    assert OPERATORS in names
    assert any(name.startswith("fire_sampling/_native.") and name.endswith(".so") for name in names)
    assert {"fire_sampling/py.typed", "fire_sampling/_native.pyi", "fire_sampling/selftest.json"} <= names
    assert all(name.split("/")[0].startswith("fire_sampling") for name in names)
    assert not {Path(name).suffix for name in names} & {".cpp", ".h", ".cmake", ".a", ".o"}


def test_a_wheel_built_without_torch_has_no_operators_left_over_from_an_earlier_build(source: Path) -> None:
    names = build_wheel(source, FIRE_TORCH="off")
    assert OPERATORS not in names
    assert any(name.startswith("fire_sampling/_native.") for name in names)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["-DFIRE_CUDA=on"], "FIRE_CUDA=on: this version of fire_sampling has no CUDA backend"),
        (["-DFIRE_CUDA=maybe"], "FIRE_CUDA=maybe: expected auto, on or off"),
        (["-DFIRE_TORCH=ON"], "FIRE_TORCH=ON needs FIRE_TORCH_INCLUDE"),
        (["-DFIRE_TORCH=ON", "-DFIRE_TORCH_INCLUDE=/nowhere"], "expected torch 2.10 or newer"),
    ],
)
def test_a_setting_that_cannot_be_met_is_an_error_that_names_it(
    settings: list[str], message: str, tmp_path: Path
) -> None:
    command = ["cmake", "-S", str(ROOT), "-B", str(tmp_path), *settings]
    configured = subprocess.run(command, capture_output=True, text=True)
    assert configured.returncode != 0
    assert message in " ".join(configured.stderr.split())


def test_without_nvcc_the_build_says_that_it_is_for_the_cpu_only(tmp_path: Path) -> None:
    command = ["cmake", "-S", str(ROOT), "-B", str(tmp_path)]
    configured = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "FIRE_CUDA=auto: this version of fire_sampling has no CUDA backend" in configured.stdout
