"""What `pip wheel .` builds, under build isolation, and how the build treats its settings."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import setuptools  # type: ignore[import-untyped]
import torch
from packaging_support import ROOT, build_wheel, run

from fire_sampling import SamplingConfig
from fire_sampling import numpy as fire

OPERATORS = "fire_sampling/libfire_sampling_torch_cpu.so"


def test_a_source_distribution_holds_what_a_build_needs_and_nothing_that_tools_left(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CMakeLists.txt", "csrc/include/fire/config.h", "python/fire_sampling/selftest.json"} <= names
    assert not [name for name in names if "cache" in name or name.endswith((".so", ".pyc"))]
    # Tests need the examples, the benchmarks and the Makefile too: they run from a clone.
    assert not [name for name in names if name.startswith(("tests", "bench", "examples"))]


def test_a_wheel_finds_torch_through_build_isolation_and_holds_no_sources(source: Path) -> None:
    names = build_wheel(source)
    assert OPERATORS in names
    assert any(name.startswith("fire_sampling/_native.") and name.endswith(".so") for name in names)
    assert {"fire_sampling/py.typed", "fire_sampling/_native.pyi", "fire_sampling/selftest.json"} <= names
    assert "fire_sampling_vllm/__init__.py" in names
    assert all(name.split("/")[0].startswith("fire_sampling") for name in names)
    assert not {Path(name).suffix for name in names} & {".cpp", ".h", ".cmake", ".a", ".o"}


def test_a_wheel_built_without_torch_has_no_operators_left_over_from_an_earlier_build(source: Path) -> None:
    names = build_wheel(source, FIRE_TORCH="off")
    assert OPERATORS not in names
    assert any(name.startswith("fire_sampling/_native.") for name in names)


BUILD_NEEDS = ("numpy", "setuptools", "pybind11", "_distutils_hack", "pkg_resources")


@pytest.fixture
def environment_without_torch(tmp_path: Path) -> Path:
    """The interpreter of a new environment in which a build without isolation finds what it needs."""
    folder = tmp_path / "environment"
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    packages = next(folder.glob("lib/python*/site-packages"))
    installed = Path(np.__file__).parents[1]
    for name in BUILD_NEEDS:
        for path in installed.glob(f"{name}*"):
            (packages / path.name).symlink_to(path)
    return folder / "bin/python"


def test_pip_install_beside_no_torch_is_refused_where_pip_shows_it_and_with_torch_off_is_the_numpy_entry(
    source: Path, environment_without_torch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "FIRE_TORCH", "FIRE_TORCH_INCLUDE"):
        monkeypatch.delenv(variable, raising=False)
    interpreter = str(environment_without_torch)
    pip = [sys.executable, "-m", "pip", "--python", interpreter, "install", "--no-index"]
    install = [*pip, "--no-build-isolation", "--no-deps", str(source)]
    refused = subprocess.run(install, capture_output=True, text=True)
    assert refused.returncode != 0
    shown = refused.stdout + refused.stderr
    assert "fire_sampling: no torch was found; the torch operators cannot be built" in shown
    assert "FIRE_TORCH=off" in shown
    assert "uv" not in shown.replace(str(source), "")
    run(install, FIRE_TORCH="off")
    info = run([interpreter, "-m", "fire_sampling", "info"], cwd=environment_without_torch.parent).stdout
    assert "torch            not installed\n" in info
    assert "torch operators  missing: torch is not installed\n" in info
    program = (
        "import numpy as np, fire_sampling.numpy as fire; from fire_sampling import SamplingConfig;"
        "print(fire.sample(np.zeros((3, 99), np.float32), 1, SamplingConfig(seed=1)).tolist())"
    )
    tokens = run([interpreter, "-c", program], cwd=environment_without_torch.parent).stdout
    expected = fire.sample(np.zeros((3, 99), np.float32), 1, SamplingConfig(seed=1)).tolist()
    assert tokens.strip() == str(expected)


def headers_of(folder: Path, version: str) -> Path:
    """An include folder as torch before 2.10 had it."""
    header = folder / "torch/csrc/api/include/torch/version.h"
    header.parent.mkdir(parents=True)
    parts = zip(("MAJOR", "MINOR", "PATCH"), version.split("."), strict=True)
    header.write_text("".join(f"#define TORCH_VERSION_{name} {number}\n" for name, number in parts))
    return folder


@pytest.fixture
def setup_script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The functions of setup.py, in an environment that sets nothing."""
    for variable in ("FIRE_TORCH", "FIRE_TORCH_INCLUDE", "FIRE_CUDA", "FIRE_CUDA_ARCHITECTURES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: None)
    return runpy.run_path(str(ROOT / "setup.py"))


@pytest.mark.parametrize(
    ("version", "reason"), [("2.9.1", "torch 2.9.1 at .* is older than 2.10"), (None, "no torch was found")]
)
def test_a_torch_that_does_not_serve_is_an_error_that_says_how_to_go_on(
    setup_script: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: str | None,
    reason: str,
) -> None:
    include = None if version is None else str(headers_of(tmp_path, version))
    monkeypatch.setitem(setup_script["torch_arguments"].__globals__, "torch_include", lambda: include)
    with pytest.raises(SystemExit, match=f"fire_sampling: {reason}; the torch operators cannot be built"):
        setup_script["torch_arguments"]()
    monkeypatch.setenv("FIRE_TORCH", "off")
    assert setup_script["torch_arguments"]() == ["-DFIRE_TORCH=OFF"]


def test_a_setting_of_the_operators_that_there_is_not_is_an_error_that_names_those_there_are(
    setup_script: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRE_TORCH", "auto")
    with pytest.raises(SystemExit, match="FIRE_TORCH=auto: expected on or off"):
        setup_script["torch_arguments"]()


def test_an_include_folder_that_was_named_and_does_not_serve_is_an_error(
    setup_script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FIRE_TORCH_INCLUDE", str(tmp_path))
    with pytest.raises(SystemExit, match="holds no headers of torch; the torch operators cannot be built"):
        setup_script["torch_arguments"]()


def test_the_build_says_which_torch_the_operators_are_for(
    setup_script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    include = str(Path(torch.__file__).parent / "include")
    monkeypatch.setenv("FIRE_TORCH_INCLUDE", include)
    assert setup_script["torch_arguments"]() == ["-DFIRE_TORCH=ON", f"-DFIRE_TORCH_INCLUDE={include}"]
    version = torch.__version__.split("+")[0]
    assert (
        capfd.readouterr().out == f"fire_sampling: building the operators for torch {version} at {include}\n"
    )


@pytest.mark.parametrize(("cuda", "expected"), [("'13.0'", "auto"), ("None", "off")])
def test_cuda_kernels_are_built_by_themselves_only_beside_a_torch_that_can_load_them(
    setup_script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cuda: str, expected: str
) -> None:
    (tmp_path / "version.py").write_text(f"__all__ = ['cuda']\ncuda: Optional[str] = {cuda}\n")
    torch_settings = ["-DFIRE_TORCH=ON", f"-DFIRE_TORCH_INCLUDE={tmp_path / 'include'}"]
    of_torch = ["-DFIRE_TORCH_CUDA=13.0"] if expected == "auto" else []
    assert setup_script["cuda_arguments"](torch_settings) == [f"-DFIRE_CUDA={expected}", *of_torch]
    assert setup_script["cuda_arguments"](["-DFIRE_TORCH=OFF"]) == ["-DFIRE_CUDA=off"]
    monkeypatch.setenv("FIRE_CUDA", "on")
    monkeypatch.setenv("FIRE_CUDA_ARCHITECTURES", "75;90")
    settings = setup_script["cuda_arguments"](torch_settings)
    assert settings == ["-DFIRE_CUDA=on", "-DFIRE_CUDA_ARCHITECTURES=75;90", *of_torch]


def test_a_build_that_fails_leaves_the_earlier_one_in_place(source: Path, tmp_path: Path) -> None:
    package = tmp_path / "fire_sampling"
    package.mkdir()
    earlier = package / "_native.earlier.so"
    earlier.touch()
    command = [sys.executable, "setup.py", "build_ext", "--build-lib", str(tmp_path)]
    command += ["--build-temp", str(tmp_path / "temp")]
    environment = os.environ | {"FIRE_CUDA": "on", "FIRE_TORCH": "off", "CUDACXX": "/nowhere/nvcc"}
    built = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    assert built.returncode != 0
    assert "FIRE_CUDA=on: no nvcc that works was found" in built.stderr
    assert earlier.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["-DFIRE_CUDA=on"],
            "FIRE_CUDA=on: no nvcc that works was found by CUDACXX, CUDA_HOME, CUDA_PATH or PATH",
        ),
        (["-DFIRE_CUDA=maybe"], "FIRE_CUDA=maybe: expected auto, on or off"),
        (["-DFIRE_TORCH=ON"], "FIRE_TORCH=ON needs FIRE_TORCH_INCLUDE"),
        (["-DFIRE_TORCH=ON"], "FIRE_TORCH=OFF builds without the torch operators"),
        (
            ["-DFIRE_TORCH=ON", "-DFIRE_TORCH_INCLUDE=/nowhere"],
            "expected torch 2.10 or newer; FIRE_TORCH=OFF",
        ),
    ],
)
def test_a_setting_that_cannot_be_met_is_an_error_that_names_it(
    settings: list[str], message: str, tmp_path: Path
) -> None:
    command = ["cmake", "-S", str(ROOT), "-B", str(tmp_path), *settings]
    environment = os.environ | {"CUDACXX": "/nowhere/nvcc"}
    configured = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert configured.returncode != 0
    assert message in " ".join(configured.stderr.split())


def test_without_nvcc_the_build_says_that_it_is_for_the_cpu_only(tmp_path: Path) -> None:
    command = ["cmake", "-S", str(ROOT), "-B", str(tmp_path)]
    environment = os.environ | {"CUDACXX": "/nowhere/nvcc"}
    configured = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert re.search("FIRE_CUDA=auto: no nvcc .* building for the CPU only", configured.stdout)
