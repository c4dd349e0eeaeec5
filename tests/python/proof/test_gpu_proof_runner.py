"""What the runner of tests/gpu makes of stages that fail, hang, leave nonsense or lack a tool."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gpu_harness import PROOF  # noqa: F401 (finds the next ones)
from proof import runner
from proof.report import Report
from proof.runner import Runner, Stage

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
