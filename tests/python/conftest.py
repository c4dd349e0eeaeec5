"""What the tests share: the backend they run on, reproducible hypothesis runs, and new interpreters, with
torch or without.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from packaging_support import ROOT, run

if TYPE_CHECKING:
    from rank_pool import RankPool

BACKEND = os.environ.get("FIRE_BACKEND", "cpu")
# These are about what only that backend has.
collect_ignore_glob = [
    f"operators/test_{backend}_*.py" for backend in ("cuda", "simulated") if backend != BACKEND
]

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]

# Derandomised: a failure in CI is a failure everywhere. No deadline: the machines that run this are shared.
hypothesis.settings.register_profile("fire", derandomize=True, deadline=None, max_examples=200)
hypothesis.settings.load_profile("fire")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a backend other than the CPU only the tests of modules that are marked for every backend run."""
    if BACKEND == "cpu":
        return
    runs = [
        item.get_closest_marker("every_backend") is not None and item.get_closest_marker("cpu_only") is None
        for item in items
    ]
    config.hook.pytest_deselected(items=[item for item, run in zip(items, runs, strict=True) if not run])
    items[:] = [item for item, run in zip(items, runs, strict=True) if run]


@pytest.fixture(autouse=BACKEND == "simulated")
def nothing_reported() -> Iterator[None]:
    """Fails a test whose kernels did what the simulated device's checks object to."""
    from backends import simulated

    yield
    assert simulated is not None
    reports = simulated.reports()
    assert not reports, reports


@pytest.fixture
def run_python() -> RunPython:
    """`run_python(*arguments, **environment)` runs a new interpreter; torch=False hides torch from it."""

    def run(*arguments: str, torch: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        if not torch:
            program = "import sys, runpy; sys.modules['torch'] = None; exec(sys.argv[1])"
            command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
        )

    return run


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RankPool]:
    """Eight ranks of a process group, started once."""
    from rank_pool import rank_pool

    yield from rank_pool(tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, made where tools have left their caches."""
    folder = tmp_path_factory.mktemp("packaging")
    unwanted = (
        ".git",
        ".venv",
        ".cache",
        "build*",
        "*.egg-info",
        "demo_output",
    )
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(*unwanted))
    for cache in (
        "python/.mypy_cache/3.11/x.json",
        "python/fire_sampling/.ruff_cache/1/y",
        "csrc/__pycache__/z.pyc",
    ):
        path = folder / "tree" / cache
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    make = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    run([sys.executable, "-c", make, str(folder)], cwd=folder / "tree")
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def source(sdist: Path) -> Path:
    """What the source distribution unpacks to: if the wheels build from it, it carries what they need."""
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    return sdist.parent / sdist.name.removesuffix(".tar.gz")
