"""`python -m fire_sampling`: what it reports, and that its self-test can fail."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import RunPython

import fire_sampling
from fire_sampling import _native, _ops, selftest
from fire_sampling import numpy as fire_numpy
from fire_sampling.__main__ import UNAVAILABLE, driver, main
from fire_sampling.config import DESIGNS, word_of


def test_info_names_versions_instruction_set_cuda_and_the_operators(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["info"]) == 0
    lines = {line[:16].rstrip(): line[17:] for line in capsys.readouterr().out.splitlines()}
    build = _native.build_info()
    version = fire_sampling.__version__
    assert lines["fire_sampling"] == f"{version} (compiled part {build['version']}, {build['compiler']})"
    assert lines["instruction set"] == build["instruction_set"]
    assert lines["CUDA"].startswith(build["cuda"])
    seen = "is built without CUDA" if torch.version.cuda is None else f"has CUDA {torch.version.cuda}"
    assert f"; torch {seen}" in lines["CUDA"]
    assert lines["torch operators"] == f"{_ops.LIBRARY}, built against torch {build['torch']}"
    assert lines["torch"] == torch.__version__


@pytest.mark.parametrize("arguments", [["info"], ["plan", "--rows", "4", "--vocabulary", "1000"]])
def test_output_that_a_full_disk_refuses_is_an_error_of_one_line_and_no_traceback(
    arguments: list[str],
) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "fire_sampling", *arguments]
        child = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert child.returncode == 1
    assert child.stderr == (
        "python -m fire_sampling: the output cannot be written: No space left on device\n"
    )


def test_the_compiled_part_and_the_package_have_one_version() -> None:
    assert _native.build_info()["version"] == fire_sampling.__version__


def test_info_without_torch_says_why_the_operators_are_missing(run_python: RunPython) -> None:
    program = "sys.argv = ['fire_sampling', 'info']; runpy.run_module('fire_sampling', run_name='__main__')"
    child = run_python(program, torch=False)
    assert child.returncode == 0, child.stderr
    assert "torch operators  missing: torch is not installed\n" in child.stdout
    assert f"CUDA             {_native.build_info()['cuda']}\n" in child.stdout
    assert child.stderr == ""


@pytest.mark.parametrize(
    ("unavailable", "state"), [(None, "loaded"), ("it is missing", "not loaded: it is missing")]
)
def test_info_says_whether_the_cuda_kernels_are_loaded_and_which_gpus_torch_sees(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    unavailable: str | None,
    state: str,
) -> None:
    build = _native.build_info() | {"cuda": "kernels for 80, 90 (CUDA 13.0.88)"}
    monkeypatch.setattr(_native, "build_info", lambda: build)
    monkeypatch.setattr(_ops, "cuda_unavailable", unavailable)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
    monkeypatch.setattr(fire_sampling.__main__, "cuda_of_driver", lambda: "13.1")
    assert main(["info"]) == 0
    line = f"kernels for 80, 90 (CUDA 13.0.88), {state}; torch has CUDA 13.0 and sees"
    assert f"CUDA             {line} GPU 0, GPU 1, a driver of CUDA 13.1\n" in capsys.readouterr().out
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(fire_sampling.__main__, "cuda_of_driver", lambda: None)
    assert main(["info"]) == 0
    assert f"CUDA             {line} no GPU, no driver\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (
            "kernels for 80, 90 (CUDA 13.0.88)",
            "a driver of CUDA 12.8, too old for the kernels, which need 13.0",
        ),
        ("kernels for 80, 90 (CUDA 12.9.86)", "a driver of CUDA 12.8"),
        ("no kernels in this build", "a driver of CUDA 12.8"),
    ],
)
def test_info_says_that_a_driver_is_too_old_for_the_kernels_even_where_torch_runs(
    tmp_path: Path, build: str, told: str
) -> None:
    source = "int cuDriverGetVersion(int* version) { *version = 12080; return 0; }"
    compiler = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(tmp_path / "libcuda.so.1")]
    subprocess.run(compiler, input=source, text=True, check=True)
    program = f"from fire_sampling.__main__ import driver; print(driver({build!r}))"
    folders = [str(tmp_path), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    environment = os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(folders)}
    child = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert child.stdout == f"{told}\n", child.stderr


@pytest.mark.parametrize(
    ("kernels", "capability", "needs"),
    [
        ("80, 90, 100, 120", (8, 9), None),
        ("80, 90, 100, 120", (8, 7), "8.7"),
        ("80, 90, 100, 120", (11, 0), "11.0"),
        ("86, 90", (8, 0), "8.0"),
        ("80-virtual, 90-real", (8, 0), "8.0"),
        ("90a", (9, 0), None),
        ("native", (11, 0), None),
    ],
)
def test_info_says_that_a_driver_is_too_old_to_translate_kernels_for_a_gpu_without_machine_code(
    monkeypatch: pytest.MonkeyPatch, kernels: str, capability: tuple[int, int], needs: str | None
) -> None:
    build = f"kernels for {kernels} (CUDA 13.1.80)"
    monkeypatch.setattr(fire_sampling.__main__, "cuda_of_driver", lambda: "13.0")
    told = f", too old for the kernels on {needs}, which are PTX there and need 13.1" if needs else ""
    assert driver(build, [capability, (9, 0)]) == f"a driver of CUDA 13.0{told}"
    monkeypatch.setattr(fire_sampling.__main__, "cuda_of_driver", lambda: "13.1")
    assert driver(build, [capability]) == "a driver of CUDA 13.1"


def plan_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    assert main(["plan", *arguments]) == 0
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_plan_shows_the_launch_of_a_shape_without_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    shape = ("--rows", "1", "--vocabulary", "128256", "--dtype", "float32")
    one_row = plan_of(capsys, *shape, "--device", "h100")
    expected = _native.plan("sample", 1, 128256, "float32")
    assert {name: one_row[name] for name in expected} == {k: str(v) for k, v in expected.items()}
    assert int(one_row["cluster"]) > 1
    assert one_row["launch"] == "16 blocks a row, resident"
    # Without clusters no launch may ask for one.
    assert plan_of(capsys, *shape, "--device", "a100")["cluster"] == "1"
    assert plan_of(capsys, *shape, "--device", "h100", "--largest-cluster", "1")["cluster"] == "1"


def test_plan_lets_no_row_wait_for_another_whatever_clusters_a_device_runs_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shape = ("--rows", "31", "--vocabulary", "151936")
    assert plan_of(capsys, *shape)["cluster"] == "2"
    assert plan_of(capsys, *shape, "--clusters", "66", "33", "16", "8")["cluster"] == "4"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(vocabulary=0), "vocabulary is 0, expected 1 … 2097152"),
        (dict(vocabulary=2**21 + 1), "vocabulary is 2097153, expected 1 … 2097152"),
        (dict(rows=-1), "rows is -1, expected 0 or more"),
        (dict(dtype="float64"), "dtype is 'float64', expected one of bfloat16, float16, float32"),
        (dict(task="guess"), "task is 'guess', expected one of heat_logits_, log_prob, log_prob_backward"),
    ],
)
def test_a_plan_of_an_impossible_shape_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = dict(task="sample", rows=1, vocabulary=9, dtype="float32")
    with pytest.raises(ValueError, match=f"^fire_sampling._native.plan: {re.escape(message)}"):
        _native.plan(**good | change)


def test_plan_on_the_command_line_says_what_is_wrong_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--rows", "1", "--vocabulary", "0"]) == 2
    assert capsys.readouterr().out == "fire_sampling._native.plan: vocabulary is 0, expected 1 … 2097152\n"


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
    assert "FIRE_TORCH=off. Install it again without that variable" in child.stdout


@pytest.mark.parametrize("instruction_set", [None, "baseline"])
def test_the_self_test_fails_where_torch_is_installed_and_the_operators_are_missing(
    run_python: RunPython, tmp_path: Path, instruction_set: str | None
) -> None:
    ignored = shutil.ignore_patterns("libfire_sampling_torch*", "__pycache__")
    shutil.copytree(Path(fire_sampling.__file__).parent, tmp_path / "fire_sampling", ignore=ignored)
    chosen = {} if instruction_set is None else {"FIRE_CPU": instruction_set}
    child = run_python("-m", "fire_sampling", "selftest", PYTHONPATH=str(tmp_path), **chosen)
    assert child.returncode == 1, child.stderr
    assert re.search(r"^baseline: torch: FAILED: .*built without its torch operators", child.stdout, re.M)
    assert "selftest: passed" not in child.stdout


def test_the_self_test_without_torch_passes_and_says_that_it_compared_numpy_alone(
    run_python: RunPython,
) -> None:
    program = (
        "sys.argv = ['fire_sampling', 'selftest']; runpy.run_module('fire_sampling', run_name='__main__')"
    )
    child = run_python(program, torch=False, FIRE_CPU="baseline")
    assert child.returncode == 0, child.stderr
    assert "baseline: torch: not compared: torch is not installed\n" in child.stdout


def test_an_instruction_set_that_this_processor_lacks_does_not_read_like_an_error_of_the_self_test(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], env: dict[str, str], **options: Any) -> subprocess.CompletedProcess[str]:
        lacks = env["FIRE_CPU"] == "avx512"
        out = (
            "FIRE_CPU is 'avx512'; expected one that runs here: baseline, avx2\n" if lacks else "all equal\n"
        )
        return subprocess.CompletedProcess(command, UNAVAILABLE if lacks else 0, stdout=out)

    monkeypatch.delenv("FIRE_CPU", raising=False)
    monkeypatch.setattr(subprocess, "run", run)
    assert main(["selftest"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        *("all equal", "all equal", "avx512: not compared, this processor does not have it"),
        "selftest: passed",
    ]


def test_the_version_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"fire_sampling {fire_sampling.__version__}\n"


@pytest.mark.parametrize("arguments", ["info", "selftest --answers", "plan --rows 1 --vocabulary 9"])
def test_a_reader_that_stops_reading_gets_no_traceback(arguments: str) -> None:
    command = [sys.executable, "-m", "fire_sampling", *arguments.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == -signal.SIGPIPE


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


def test_the_table_has_sets_that_fit_a_support_and_sets_that_do_not_and_hot_rows_of_every_design() -> None:
    kept = [size for answer in json.loads(selftest.ANSWERS.read_text()).values() for size in answer["kept"]]
    assert min(kept) < selftest.WIDTH < max(kept)
    logits = np.zeros((len(selftest.CASES), 9), dtype=np.float32)
    status = fire_numpy.sample_with_logprobs(logits, 0, selftest.group_records()).status
    hot = selftest.group_records()[status & fire_sampling.Status.HOT != 0]
    flags = hot[:, word_of("flags")]
    assert set(flags >> 5 & 7) == set(range(len(DESIGNS)))


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
