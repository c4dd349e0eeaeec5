"""`python -m fire_sampling`: what it reports, and that its self-test can fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import RunPython

import fire_sampling
from fire_sampling import _native, _ops, selftest
from fire_sampling.__main__ import UNAVAILABLE, main


def test_info_names_versions_instruction_set_cuda_and_the_operators(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["info"]) == 0
    lines = {line[:16].rstrip(): line[17:] for line in capsys.readouterr().out.splitlines()}
    build = _native.build_info()
    version = fire_sampling.__version__
    assert lines["fire_sampling"] == f"{version} (compiled part {build['version']}, {build['compiler']})"
    assert lines["instruction set"] == build["instruction_set"]
    seen = (
        "torch is built without CUDA"
        if torch.version.cuda is None
        else f"torch has CUDA {torch.version.cuda}"
    )
    assert lines["CUDA"].startswith(f"no kernels in this version; {seen}")
    assert lines["torch operators"] == f"{_ops.LIBRARY}, built against torch {build['torch']}"
    assert lines["torch"] == torch.__version__


def test_the_compiled_part_and_the_package_have_one_version() -> None:
    assert _native.build_info()["version"] == fire_sampling.__version__


def test_info_without_torch_says_why_the_operators_are_missing(run_python: RunPython) -> None:
    program = "sys.argv = ['fire_sampling', 'info']; runpy.run_module('fire_sampling', run_name='__main__')"
    child = run_python(program, torch=False)
    assert child.returncode == 0, child.stderr
    assert "torch operators  missing: torch is not installed\n" in child.stdout
    assert "CUDA             no kernels in this version\n" in child.stdout
    assert child.stderr == ""


def test_info_names_the_gpus_that_torch_sees_and_that_nothing_here_uses_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    assert main(["info"]) == 0
    assert (
        "no kernels in this version; torch has CUDA 13.0 and sees GPU 0, GPU 1\n" in capsys.readouterr().out
    )
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert main(["info"]) == 0
    assert "torch has CUDA 13.0 and sees no GPU\n" in capsys.readouterr().out


def test_a_self_test_without_ml_dtypes_says_that_bfloat16_was_not_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "numpy_dtypes", lambda: ("float32", "float16"))
    instruction_set = _native.build_info()["instruction_set"]
    monkeypatch.setenv("FIRE_CPU", instruction_set)
    assert main(["selftest"]) == 0
    lines = capsys.readouterr().out.splitlines()
    missing = "bfloat16 not compared through NumPy: ml_dtypes is not installed"
    assert lines.count(f"{instruction_set}: {missing}") == 1


def test_a_build_without_operators_says_how_to_get_them(run_python: RunPython, tmp_path: Path) -> None:
    package = Path(fire_sampling.__file__).parent
    ignored = shutil.ignore_patterns("libfire_sampling_torch*", "__pycache__")
    shutil.copytree(package, tmp_path / "fire_sampling", ignore=ignored)
    child = run_python("-m", "fire_sampling", "info", PYTHONPATH=str(tmp_path))
    assert child.returncode == 0, child.stderr
    assert "built without its torch operators" in child.stdout
    assert "FIRE_TORCH_INCLUDE" in child.stdout


def test_the_self_test_passes_for_every_instruction_set_through_both_entries(run_python: RunPython) -> None:
    child = run_python("-m", "fire_sampling", "selftest")
    assert child.returncode == 0, child.stdout + child.stderr
    lines = child.stdout.splitlines()
    rows = len(selftest.DTYPES) * len(selftest.VOCABULARIES) * len(selftest.CASES)
    for entry in ("NumPy", "torch"):
        line = f"baseline: {rows} rows of float32, bfloat16, float16 through {entry}: all equal"
        assert line in lines
    assert lines[-1] == "selftest: passed"


def test_the_self_test_fails_when_one_token_of_the_table_differs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = json.loads(selftest.ANSWERS.read_text())
    table["bell float16"]["token"][3] ^= 1
    changed = tmp_path / "selftest.json"
    changed.write_text(json.dumps(table))
    monkeypatch.setattr(selftest, "ANSWERS", changed)
    monkeypatch.setenv("FIRE_CPU", _native.build_info()["instruction_set"])
    assert main(["selftest"]) == 1
    out = capsys.readouterr().out
    assert out.count("1 batches DIFFER") == 2
    assert out.count("  bell float16: got ") == 2


def test_the_table_covers_every_batch_and_no_other() -> None:
    table = json.loads(selftest.ANSWERS.read_text())
    assert set(table) == {f"{kind} {dtype}" for kind in selftest.VOCABULARIES for dtype in selftest.DTYPES}


def test_the_answers_printed_are_those_committed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--answers"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(selftest.ANSWERS.read_text())


@pytest.mark.parametrize("command", ["info", "selftest"])
def test_an_instruction_set_that_does_not_exist_is_an_error_that_lists_those_that_do(
    run_python: RunPython, command: str
) -> None:
    child = run_python("-m", "fire_sampling", command, FIRE_CPU="avx1024")
    assert child.returncode == UNAVAILABLE
    assert "FIRE_CPU is 'avx1024'; expected one that runs here:" in child.stdout
    assert "baseline" in child.stdout
