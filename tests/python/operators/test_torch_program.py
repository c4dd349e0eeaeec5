"""The operators without Python: a C++ program that loads their shared object and samples."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch

import fire_sampling as fire
from fire_sampling import _ops

ROOT = Path(__file__).resolve().parents[3]
TORCH = Path(torch.__file__).parent


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("torch_program") / "torch_program"
    command = [os.environ.get("CXX", "g++"), "-std=c++20", "-O1"]
    command += ["-I", str(ROOT / "csrc/include"), "-isystem", str(TORCH / "include")]
    command += [str(ROOT / "tests/cpp/torch_program/main.cpp"), "-o", str(built)]
    command += [
        f"-L{TORCH / 'lib'}",
        f"-Wl,-rpath,{TORCH / 'lib'}",
        "-ltorch",
        "-ltorch_cpu",
        "-lc10",
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return built


def test_a_program_without_python_draws_the_tokens_that_python_draws(program: Path) -> None:
    rows, vocabulary = 32, 5000
    run = subprocess.run(
        [program, _ops.LIBRARY, str(rows), str(vocabulary)], check=True, capture_output=True, text=True
    )
    row, token = torch.arange(rows)[:, None], torch.arange(vocabulary)[None, :]
    logits = ((7919 * token + 104729 * row) % 1001).float() / 100
    records = fire.pack([fire.SamplingConfig(temperature=0.8, top_p=0.95, seed=seed) for seed in range(rows)])
    expected = torch.ops.fire.sample(logits, torch.arange(rows) % 2, records)
    assert [int(line) for line in run.stdout.split()] == expected.tolist()
    assert len(set(expected.tolist())) > rows // 2


def test_neither_the_program_nor_the_object_needs_python(program: Path) -> None:
    for binary in (program, _ops.LIBRARY):
        needed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
        assert "libtorch_cpu" in needed
        assert "libpython" not in needed
