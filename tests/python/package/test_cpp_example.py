"""The installed library from C++: examples/cpp is built against an installed tree and run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(*command: str | Path) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, built and installed as a user does, with nothing but the C++ parts."""
    folder = tmp_path_factory.mktemp("cpp")
    run("cmake", "-S", ROOT, "-B", folder / "build", "-DFIRE_CUDA=off")
    run("cmake", "--build", folder / "build", "-j2")
    run("cmake", "--install", folder / "build", "--prefix", folder / "prefix")
    return folder / "prefix"


@pytest.fixture(scope="module")
def example(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/cpp, copied away from the sources so that it can only find the installed headers."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(ROOT / "examples" / "cpp", folder / "source")
    run(
        "cmake",
        "-S",
        folder / "source",
        "-B",
        folder / "build",
        f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror",
    )
    run("cmake", "--build", folder / "build")
    return folder / "build" / "sample"


def test_example_samples_hot_then_as_usual(example: Path) -> None:
    printed = run(example)
    rows = re.findall(r"step (\d) row (\d): token (\d+) of (\d+) kept, logprob (\S+), of .* (\S+)", printed)
    assert [(int(step), int(row)) for step, row, *_ in rows] == [(s, r) for s in range(2) for r in range(4)]
    for step, _, token, kept, logprob, ref_logprob in rows:
        # The logits fall with the id, so the kept set is the ids below its size.
        assert int(token) < int(kept)
        assert float(logprob) <= 0
        assert float(ref_logprob) <= 0
        if step == "0":
            assert int(kept) == 16


def test_example_prints_the_same_on_every_run(example: Path) -> None:
    assert run(example) == run(example)


def test_rows_of_one_configuration_do_not_draw_alike(example: Path) -> None:
    hot_tokens = re.findall(r"step 0 row \d: token (\d+)", run(example))
    assert len(set(hot_tokens)) > 1


def test_only_public_headers_are_installed(prefix: Path) -> None:
    headers = sorted(path.relative_to(prefix / "include").as_posix() for path in prefix.rglob("*.h"))
    names = ("config", "sampling", "sampling_config", "shards", "status")
    assert headers == [f"fire/{name}.h" for name in names]
