"""The stages of tests/gpu: each in its own process, and their table."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from gpu_harness import PROOF  # noqa: F401 (finds the next ones)
from packaging_support import ROOT
from proof import build, checks, command, context, runner, stages, table
from proof.context import Context, MissingToolError, StageError


@pytest.fixture
def make_context(tmp_path: Path) -> Context:
    return Context(out=tmp_path / "out", work=tmp_path / "work", pack=tmp_path / "pack", dry_run=True)


def replace_stage(monkeypatch: pytest.MonkeyPatch, raised: Exception, may_lack_tool: bool) -> None:
    def function(_: Context) -> None:
        raise raised

    one = stages.Definition("a", function, 1, 1, may_lack_tool=may_lack_tool)
    monkeypatch.setattr(stages, "DEFINITIONS", (one,))


@pytest.mark.parametrize(
    ("raised", "may_lack_tool", "code"),
    [
        (StageError("x", {"known": 1}), False, 1),
        (MissingToolError("x"), True, runner.MISSING_TOOL_EXIT),
        (MissingToolError("x"), False, 1),
    ],
)
def test_a_stage_tells_its_reason_and_only_some_may_lack_their_tool(
    make_context: Context,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    raised: Exception,
    may_lack_tool: bool,
    code: int,
) -> None:
    replace_stage(monkeypatch, raised, may_lack_tool)
    monkeypatch.setenv(runner.RESULT_VARIABLE, str(tmp_path / "result.json"))
    assert command.run_stage("a", make_context) == code
    assert json.loads((tmp_path / "result.json").read_text())["reason"] == "x"


def test_a_tool_that_no_folder_has_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="no-such-tool is not installed"):
        context.tool("no-such-tool")


def test_cudacxx_names_nvcc_before_path_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDACXX", "/somewhere/bin/nvcc")
    assert context.tool("nvcc") == "/somewhere/bin/nvcc"


def test_programs_of_this_machine_come_before_shipped_ones(make_context: Context) -> None:
    on_gpu = dataclasses.replace(make_context, dry_run=False)
    shipped = on_gpu.shipped / "programs" / "smoke"
    native = on_gpu.native / "programs" / "smoke"
    with pytest.raises(StageError, match="smoke is not in"):
        on_gpu.program("smoke")
    for path in (shipped, native):
        path.parent.mkdir(parents=True)
        path.touch()
        assert on_gpu.program("smoke") == path


def test_a_rehearsal_never_takes_what_is_shipped_for_real_devices(make_context: Context) -> None:
    for path in ("programs/smoke", "torch-2.13.0/libfire_sampling_torch_cpu.so"):
        (make_context.shipped / path).parent.mkdir(parents=True)
        (make_context.shipped / path).touch()
    with pytest.raises(StageError, match="smoke is not in"):
        make_context.program("smoke")
    with pytest.raises(StageError, match="libfire_sampling_torch_cpu"):
        make_context.operators()


def test_operators_built_for_the_newest_torch_are_the_shipped_choice(make_context: Context) -> None:
    for version in ("2.9.0", "2.10.0", "2.13.0"):
        folder = make_context.shipped / f"torch-{version}"
        folder.mkdir(parents=True)
        (folder / "libfire_sampling_torch_cpu.so").touch()
    assert dataclasses.replace(make_context, dry_run=False).operators().name == "torch-2.13.0"


SMOKE = {
    "devices": 1,
    "capability": 90,
    "multiprocessors": 132,
    "clusters": [66, 30, 15, 7],
    "forced": {"16": 9},
}


@pytest.mark.parametrize(
    ("found", "is_missing"),
    [
        ({}, False),
        ({"forced": {"8": 9}, "clusters": [66, 30, 15, 0]}, True),
        ({"forced": {"8": 9}, "capability": 120}, False),
        ({"forced": {"4": 9}, "multiprocessors": 14}, False),
    ],
)
def test_a_gpu_that_never_ran_a_cluster_of_16_fails_unless_it_has_none(
    make_context: Context, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], is_missing: bool
) -> None:
    monkeypatch.setattr(checks, "json_lines_of", lambda _: [SMOKE | found])
    if not is_missing:
        return checks.smoke_native(make_context)
    with pytest.raises(StageError, match="no cluster of 16 was launched"):
        checks.smoke_native(make_context)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_a_second_gpu_is_asked_where_there_is_one(
    make_context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, devices: int
) -> None:
    asked: list[list[str]] = []

    def run(command: context.Command) -> list[dict[str, Any]]:
        asked.append([str(word) for word in command])
        return [SMOKE | {"devices": devices}]

    monkeypatch.setattr(checks, "json_lines_of", run)
    monkeypatch.setenv(runner.RESULT_VARIABLE, str(tmp_path / "result.json"))
    checks.smoke_native(make_context)
    assert [command[2:4] == ["--device", "1"] for command in asked] == [False, True][: min(devices, 2)]
    left = json.loads((tmp_path / "result.json").read_text())
    assert (left["second_device"] is None) == (devices == 1)


def run_modules(context: Context, tmp_path: Path, **programs: str) -> dict[str, Any]:
    """What the stage `pytest` makes of test modules with these texts; StageError.found where they fail."""
    modules = []
    for name, text in programs.items():
        modules.append(tmp_path / f"test_{name}.py")
        modules[-1].write_text(text)
    (context.work / "results").mkdir(parents=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    found = checks._each_module(context, command, modules, {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    checks._leave_counts(found)
    return found


PASSES = "def test_one() -> None: pass\n"


def test_modules_run_apart_and_all_are_counted(make_context: Context, tmp_path: Path) -> None:
    found = run_modules(make_context, tmp_path, a=PASSES, b=PASSES + "def test_two() -> None: pass\n")
    assert {name: module["tests"] for name, module in found.items()} == {"test_a": 1, "test_b": 2}


@pytest.mark.parametrize(
    "broken", ["def test_one() -> None: assert False", "import no_such_module", "import os; os._exit(0)", ""]
)
def test_a_module_that_fails_crashes_or_has_no_test_fails_the_stage(
    make_context: Context, tmp_path: Path, broken: str
) -> None:
    with pytest.raises(StageError, match="failed: test_b") as failure:
        run_modules(make_context, tmp_path, a=PASSES, b=broken)
    assert failure.value.found["tests"] >= 1


def test_a_test_run_that_skipped_everything_is_a_failure(make_context: Context, tmp_path: Path) -> None:
    skips = "import pytest\n@pytest.mark.skip\ndef test_one() -> None: pass\n"
    with pytest.raises(StageError, match="no test ran"):
        run_modules(make_context, tmp_path, a=skips)


@pytest.mark.parametrize("dry_run", [True, False])
def test_all_that_the_package_installs_is_built(make_context: Context, dry_run: bool) -> None:
    rules = "".join(path.read_text() for path in (ROOT / "cmake").glob("*.cmake"))
    installed = re.findall(r"install\(TARGETS (\w+) [^)]*COMPONENT python", rules)
    assert len(installed) == 3
    built = build.package_targets(dataclasses.replace(make_context, dry_run=dry_run))
    assert set(installed) <= set(built)


def test_every_need_is_an_earlier_stage_and_the_whole_fits_its_time() -> None:
    names = stages.names()
    assert len(set(names)) == len(names)
    for index, definition in enumerate(stages.DEFINITIONS):
        assert set(definition.needs) <= set(names[:index])
        assert definition.expected_s <= definition.limit_s
    assert sum(definition.expected_s for definition in stages.DEFINITIONS) <= command.TOTAL_S < 540


def test_a_rehearsal_on_few_cores_is_not_ended_by_the_limits_of_a_gpu_machine(make_context: Context) -> None:
    stage = stages.definition("build")
    on_gpu = dataclasses.replace(make_context, dry_run=False)
    assert command._as_run(stage, make_context, ["build"], 7200.0).limit_s == 7200.0
    assert command._as_run(stage, on_gpu, ["build"], 530.0).limit_s == stage.limit_s < 530.0


def test_a_run_of_chosen_stages_takes_each_through_a_process_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--work", str(tmp_path / "work"), "--pack", str(tmp_path / "pack")]
    code = command.main([*arguments, "--dry-run", "--only", "smoke-shipped", "table"])
    report = json.loads((out / "report.json").read_text())
    assert code == 1
    assert report["rehearsal"]
    assert list(report["stages"]) == ["smoke-shipped", "table"]
    assert "tests/gpu/pack` builds it" in report["stages"]["smoke-shipped"]["reason"]
    assert report["stages"]["table"]["state"] == "passed"
    assert "no figure here is a measurement" in (out / "table.md").read_text()
    assert "===== smoke-shipped" in (out / "log.txt").read_text()


def test_a_rehearsed_microbenchmark_shows_no_figure() -> None:
    result = {"benchmark": "launch", "how": "graph", "unit": "ns", "value": None, "low": None, "high": None}
    assert "| how graph | — | — – — |" in table._unknown("launch", [result])
