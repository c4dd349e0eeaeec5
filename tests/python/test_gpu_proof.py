"""The harness of tests/gpu: what it makes of stages that fail, hang, leave nonsense or lack a tool."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "gpu"))

from proof import build, checks, command, context, golden, manifest, pack, peers, runner, stages, table  # noqa: E402
from proof.context import Context, MissingToolError, StageError  # noqa: E402
from proof.report import Report  # noqa: E402
from proof.runner import Runner, Stage  # noqa: E402

MISSING_TOOL = f"import sys; sys.exit({runner.MISSING_TOOL_EXIT})"
RunStages = Callable[..., tuple[bool, dict[str, Any]]]


def stage(name: str, program: str = "", **settings: Any) -> Stage:
    """A stage that is a Python program."""
    wishes = {"limit_s": 20.0, "expected_s": 0.0, **settings}
    return Stage(name, [sys.executable, "-c", program], **wishes)


def leaving(result: str) -> str:
    """A program that leaves `result`, whatever text that is."""
    return f"import os; open(os.environ['{runner.RESULT_VARIABLE}'], 'w').write({result!r})"


@pytest.fixture
def run_stages(tmp_path: Path) -> RunStages:
    """`run_stages(*stages, total_s=…)` returns the verdict and the report's contents."""

    def run(*wanted: Stage, total_s: float = 60.0) -> tuple[bool, dict[str, Any]]:
        report = Report(tmp_path / "report.json", [one.name for one in wanted], rehearsal=False)
        passed = Runner(report, tmp_path / "log.txt", tmp_path / "results", total_s).run(wanted)
        contents: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
        return passed, contents

    return run


@pytest.fixture
def make_context(tmp_path: Path) -> Context:
    return Context(out=tmp_path / "out", work=tmp_path / "work", pack=tmp_path / "pack", dry_run=True)


# ---- the runner ----


def test_a_run_of_good_stages_passes_and_keeps_what_they_left(run_stages: RunStages) -> None:
    passed, report = run_stages(stage("a", leaving('{"found": 3}')), stage("b"))
    assert passed
    assert report["state"] == "passed"
    assert report["stages"]["a"]["result"] == {"found": 3}
    assert report["stages"]["b"]["state"] == "passed"


def test_a_stage_that_fails_fails_the_run_and_not_the_stages_after_it(run_stages: RunStages) -> None:
    program = leaving('{"reason": "two of ten differ"}') + "; print('the last words'); raise SystemExit(3)"
    passed, report = run_stages(stage("a", program), stage("b"))
    assert not passed
    assert report["state"] == "failed"
    assert report["stages"]["a"]["state"] == "failed"
    assert report["stages"]["a"]["exit_code"] == 3
    assert report["stages"]["a"]["reason"] == "two of ten differ"
    assert report["stages"]["a"]["tail"] == ["the last words"]
    assert report["stages"]["b"]["state"] == "passed"


def test_a_stage_killed_by_a_signal_fails_the_run(run_stages: RunStages) -> None:
    passed, report = run_stages(stage("a", "import os; os.kill(os.getpid(), 11)"))
    assert not passed
    assert report["stages"]["a"]["exit_code"] == -11


def test_a_stage_that_hangs_is_ended_with_all_it_started(run_stages: RunStages, tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    child = f"import time\nwhile True: open({str(beat)!r}, 'w').close(); time.sleep(0.05)"
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    )
    begin = time.monotonic()
    passed, report = run_stages(stage("a", program, limit_s=1.5), stage("b"))
    assert not passed
    assert report["stages"]["a"]["state"] == "timed out"
    assert report["stages"]["b"]["state"] == "passed"
    assert time.monotonic() - begin < 30
    last_beat = beat.stat().st_mtime_ns
    time.sleep(0.5)
    assert beat.stat().st_mtime_ns == last_beat, "the stage's own child outlived it"


def test_what_a_hanging_stage_had_left_is_kept(run_stages: RunStages) -> None:
    _, report = run_stages(stage("a", leaving('{"done": 2}') + "; import time; time.sleep(600)", limit_s=1.5))
    assert report["stages"]["a"]["result"] == {"done": 2}


@pytest.mark.parametrize("nonsense", ["{", "[1]", '{"value": NaN}', ""])
def test_a_result_that_is_no_json_object_fails_its_stage(run_stages: RunStages, nonsense: str) -> None:
    passed, report = run_stages(stage("a", leaving(nonsense)))
    assert not passed
    assert "no JSON" in report["stages"]["a"]["reason"]


def test_a_missing_tool_is_said_and_fails_nothing(run_stages: RunStages) -> None:
    passed, report = run_stages(stage("a", leaving('{"reason": "x is not installed"}') + "; " + MISSING_TOOL))
    assert passed
    assert report["stages"]["a"]["state"] == "missing tool"
    assert report["stages"]["a"]["reason"] == "x is not installed"


def test_a_stage_whose_ground_failed_is_not_run_and_that_is_a_failure(run_stages: RunStages) -> None:
    passed, report = run_stages(
        stage("a", "raise SystemExit(1)"), stage("b", needs=["a"]), stage("c", needs=["b"])
    )
    assert not passed
    assert report["stages"]["b"] == {"state": "not run", "reason": "needs a"}
    assert report["stages"]["c"] == {"state": "not run", "reason": "needs b"}


def test_only_an_optional_stage_may_fail(run_stages: RunStages) -> None:
    passed, report = run_stages(stage("a", "raise SystemExit(1)", optional=True), stage("b"))
    assert passed
    assert report["stages"]["a"]["state"] == "failed"


def test_stages_that_the_whole_run_has_no_time_for_are_failures(run_stages: RunStages) -> None:
    sleeper = "import time; time.sleep(600)"
    passed, report = run_stages(stage("a", sleeper), stage("b"), total_s=2.0)
    assert not passed
    assert report["stages"]["a"]["state"] == "timed out"
    assert report["stages"]["b"]["state"] == "not run"
    assert "2 s" in report["stages"]["b"]["reason"]


def test_a_stage_that_hangs_leaves_later_ones_the_time_they_are_expected_to_take(
    run_stages: RunStages,
) -> None:
    passed, report = run_stages(
        stage("a", "import time; time.sleep(600)", limit_s=60.0), stage("b", expected_s=18.0), total_s=20.0
    )
    assert not passed
    assert report["stages"]["a"]["limit_s"] <= 2.0
    assert report["stages"]["b"]["state"] == "passed"


def test_a_program_that_cannot_be_started_fails_its_stage(run_stages: RunStages) -> None:
    passed, report = run_stages(Stage("a", ["/no/such/program"], 5.0, 0.0), stage("b"))
    assert not passed
    assert report["stages"]["a"]["state"] == "failed"
    assert "cannot be started" in report["stages"]["a"]["tail"][0]


def test_the_report_is_whole_while_every_stage_runs(run_stages: RunStages, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    reader = (
        f"import json; found = json.load(open({str(report)!r}));"
        "assert found['state'] == 'running'; assert found['stages']['c']['state'] == 'not run';"
        "assert found['stages']['a']['state'] == 'passed'"
    )
    passed, _ = run_stages(stage("a"), stage("b", reader), stage("c"))
    assert passed
    assert not list(tmp_path.glob("*.new"))


def test_a_figure_that_json_does_not_have_never_reaches_the_report(tmp_path: Path) -> None:
    report = Report(tmp_path / "report.json", ["a"], rehearsal=False)
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.set("a", {"value": float("nan")}, 0.0)
    assert json.loads((tmp_path / "report.json").read_text())["stages"]["a"]["state"] == "not run"


# ---- one stage, in its own process ----


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


# ---- the table of stages ----


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


# ---- the pack ----


def test_a_pack_of_other_sources_or_with_a_file_missing_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "golden.bin").write_bytes(b"answers")
    manifest.write(tmp_path, {})
    assert manifest.differences(tmp_path) == []
    (tmp_path / "golden.bin").write_bytes(b"half")
    assert manifest.differences(tmp_path) == ["the pack lacks golden.bin of 7 bytes"]
    (tmp_path / "golden.bin").write_bytes(b"answers")
    monkeypatch.setattr(manifest, "source_digest", lambda: "another")
    assert manifest.differences(tmp_path) == ["the pack is of other sources; pack again"]
    assert "no pack" in manifest.differences(tmp_path / "elsewhere")[0]


def test_the_digest_of_the_sources_sees_a_change_of_one_byte(tmp_path: Path) -> None:
    kernel = tmp_path / "kernels" / "a.cu"
    kernel.parent.mkdir()
    (tmp_path / "CMakeLists.txt").touch()
    for name in ("tests/cpp/cpu_backend_rows.h",):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    kernel.write_text("a")
    before = manifest.source_digest(tmp_path)
    kernel.write_text("b")
    assert manifest.source_digest(tmp_path) != before


def test_a_pack_names_all_that_it_lacks_and_leaves_the_last_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDACXX", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "golden.bin").touch()
    assert pack.main(["--pack", str(tmp_path / "pack"), "--googletest", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    for name in ("libgtest-dev", "strip", "pip is not installed", "pybind11 is not", "torch is not"):
        assert name in told
    assert (tmp_path / "pack" / "golden.bin").exists()


def test_peers_that_cannot_be_packed_keep_nothing_else_from_being(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(folder: Path, *_: object) -> list[str]:
        folder.mkdir()
        raise StageError("pip downloaded no wheel")

    for name in ("check_prerequisites", "copy_googletest", "copy_pure_python", "write_golden"):
        monkeypatch.setattr(pack, name, lambda *_, **__: None)
    monkeypatch.setattr(peers, "gather", fail)
    arguments = ["--no-objects", "--pack", str(tmp_path / "pack"), "--work", str(tmp_path / "work")]
    assert pack.main(arguments) == 1
    assert "pip downloaded no wheel" in capsys.readouterr().err
    assert manifest.differences(tmp_path / "pack") == []
    assert not (tmp_path / "pack" / "peers").exists()
    assert pack.main([*arguments, "--no-peers"]) == 0


def test_the_measurements_assemble_for_devices_with_clusters_and_without(tmp_path: Path) -> None:
    """What is shipped is compiled for both: what only newer ones have must not reach the older ones' code."""
    sources = sorted((ROOT / "tests" / "gpu" / "micro").glob("*.cu"))
    assert sources
    for source in sources:
        for architecture in ("80", "90"):
            words = [context.tool("nvcc"), "-std=c++17", f"-I{ROOT}", f"-I{ROOT / 'csrc'}", "-cubin"]
            words += [f"-arch=sm_{architecture}", "-o", str(tmp_path / "code"), str(source)]
            compiled = subprocess.run(words, capture_output=True, text=True)
            assert compiled.returncode == 0, compiled.stderr


# ---- what a reader and the stages take in ----


def test_a_rehearsed_microbenchmark_shows_no_figure() -> None:
    result = {"benchmark": "launch", "how": "graph", "unit": "ns", "value": None, "low": None, "high": None}
    assert "| how graph | — | — – — |" in table._unknown("launch", [result])


def test_golden_answers_of_another_form_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.bin"
    path.write_bytes(os.urandom(64))
    with pytest.raises(ValueError, match="no golden answers"):
        list(golden.read(path))
