"""Runs of bench/kernels.py, rehearsed on a CPU: no GPU, no time asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_runs import BENCH

import contenders  # isort: skip
from contenders.fire import Fire
from contenders.hugging_face import HuggingFace
from harness import operators
from harness.cases import REHEARSED, Case, call_cases, cases_of
from harness.device import GpuSession, clocks_of
from harness.schema import LAUNCHES, check
from harness.settings import SETTINGS
from torch import Tensor

import fire_sampling as fire
import kernels

CPU = torch.device("cpu")


def rehearse(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """A rehearsed run's exit status and results file."""
    out = tmp_path / "gpu.json"
    code = kernels.main(["--rehearse", "--out", str(out), *arguments])
    return code, json.loads(out.read_text())


def test_a_rehearsed_run_makes_every_call_checks_it_and_writes_a_file_that_readers_take(
    tmp_path: Path,
) -> None:
    code, run = rehearse(
        tmp_path, "--contenders", "fire", "copy", "hf", "torch.compile", "torch.topk", "torch.sort"
    )
    check(run)
    assert code == 0
    assert len(run["cells"]) == len(cases_of(REHEARSED, kernels.REHEARSED_CACHE))
    assert len(run["calls"]) == len(call_cases(SETTINGS, launches=LAUNCHES))
    drawn = [result for cell in run["cells"] for result in cell["results"].values()]
    assert all(result["median"] is None and result["wrong"] == 0 for result in drawn)
    assert all(cell["results"]["fire"]["checked"] >= cell["rows"] for cell in run["cells"])
    assert run["contenders"]["fire"] == {**run["contenders"]["fire"], "role": "ours", "limit": "copy"}
    mixed = next(cell for cell in run["cells"] if cell["setting"] == "mixed")
    assert set(mixed["results"]) == {"fire", "copy", "hf"}


def test_a_peer_that_is_missing_is_left_out_and_named_and_ours_may_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(contenders.ADAPTERS, "hf", "no_such_module:X")
    axes = ["--settings", "no filter", "--rows", "1"]
    code, run = rehearse(tmp_path, *axes, "--contenders", "fire", "hf")
    assert code == 0
    assert "no_such_module" in run["left_out"]["hf"]
    monkeypatch.setitem(contenders.ADAPTERS, "fire", "no_such_module:X")
    assert rehearse(tmp_path, *axes, "--contenders", "fire", "copy")[0] == 1


def test_wrong_tokens_end_a_run_with_1_and_are_shouted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(HuggingFace, "call", lambda self, logits: [logits.argmin(-1)])
    axes = ["--settings", "k=50 p=0.9", "--rows", "8", "--contenders", "fire", "hf"]
    code, run = rehearse(tmp_path, *axes)
    assert code == 1
    assert run["cells"][0]["results"]["hf"]["wrong"] == 16
    assert "16 WRONG" in capsys.readouterr().out


def test_a_peer_that_fails_costs_its_own_cells_and_ours_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: object, logits: Tensor, draw: int = 0) -> Tensor:
        raise RuntimeError("CUDA error: no kernel image\nand more lines")

    monkeypatch.setattr(HuggingFace, "call", fail)
    axes = ["--settings", "no filter", "p=0.9", "--contenders", "fire", "hf"]
    code, run = rehearse(tmp_path, *axes)
    assert code == 0
    assert all(set(cell["results"]) == {"fire"} for cell in run["cells"])
    assert run["left_out"]["hf"].startswith("failed 3 times, first in V=32 ")
    assert "hf failed: V=32 bfloat16" in capsys.readouterr().out
    monkeypatch.setattr(Fire, "call", fail)
    with pytest.raises(RuntimeError, match="no kernel image"):
        rehearse(tmp_path, *axes)


def test_a_run_that_is_out_of_time_says_how_many_cells_it_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rehearse(tmp_path, "--limit-s", "1e-9", "--contenders", "fire")
    assert f"{len(cases_of(REHEARSED, kernels.REHEARSED_CACHE)) + 18} not reached" in capsys.readouterr().out


def test_what_a_contender_cannot_do_is_told(tmp_path: Path) -> None:
    axes = ["--settings", "mixed", "--rows", "8", "--contenders", "fire", "torch.compile"]
    run = GpuSession(CPU, 1 << 16, clocks_of(CPU), contenders.load, ["fire", "torch.compile"])
    cell = Case(64, 8, "float32", "mixed")
    run.use([cell])
    assert set(run.measure(cell)["results"]) == {"fire"}
    assert "one setting for the whole batch" in str(run.refusals["torch.compile"])
    assert rehearse(tmp_path, *axes)[0] == 0


def test_what_compiles_does_so_ahead_once_for_each_setting_and_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[str]] = []

    def run(words: list[str], **options: Any) -> None:
        made.append(words[2:])
        if len(made) == 1:
            raise subprocess.TimeoutExpired(words, options["timeout"])

    monkeypatch.setattr(kernels.subprocess, "run", run)
    session = GpuSession(CPU, 1 << 16, clocks_of(CPU), contenders.load, ["fire", "torch.compile"])
    cells = [Case(64, rows, "float32", name) for name in ("p=0.9", "no filter", "mixed") for rows in (1, 8)]
    kernels.compile_ahead(session, cells, tmp_path)
    assert sorted(words[words.index("--settings") + 1] for words in made) == ["no filter", "p=0.9"]
    for words in made:
        chosen = kernels.parser().parse_args(words)
        assert (chosen.contenders, chosen.dtypes, chosen.calls) == (["torch.compile"], ["float32"], 1)
        assert chosen.operators == tmp_path


def test_a_machine_with_the_operators_and_without_the_package_suffices(tmp_path: Path) -> None:
    folder = Path(fire.__file__).parent
    arguments = ["--rehearse", "--settings", "mixed", "--contenders", "fire", "copy", "--operators"]
    program = (
        "import runpy, sys; sys.modules['fire_sampling'] = None; sys.argv = sys.argv[1:];"
        f"sys.path.insert(0, {str(BENCH)!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    words = [sys.executable, "-c", program, str(BENCH / "kernels.py"), *arguments, str(folder)]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "1 cells, 0 not reached, 0 wrong tokens" in ended.stdout


def test_operators_that_are_nowhere_are_named_with_the_folders_looked_in(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"torch_cuda\.so are not in"):
        operators.load(tmp_path, with_cuda=True)
