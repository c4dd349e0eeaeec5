"""bench/profile_kernels.py and the table of kernels by range, from made-up traces and made-up tools."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_runs import BENCH  # noqa: F401 (finds the next ones)
from contenders.limits import Copy
from harness import trace, tracing
from harness.cases import Case

import kernels

import profile_kernels  # isort: skip

SAMPLE = (
    "void fire::kernels::SampleRows<fire::kernels::BFloat16Logits, true>(fire::kernels::Work, long, unsigned)"
)
SORT = "void at::sort<int>(int)"
CELL = Case(128_256, 4, "bfloat16", "k=50 p=0.9")
RANGE = tracing.range_name(CELL, "fire")


def event(category: str, name: str, ts: float, dur: float, tid: int = 1, **told: Any) -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": category,
        "name": name,
        "pid": 1,
        "tid": tid,
        "ts": ts,
        "dur": dur,
        "args": told,
    }


def annotation(name: str, ts: float, dur: float, tid: int = 1) -> dict[str, Any]:
    return event("user_annotation", name, ts, dur, tid)


def launch(correlation: int, ts: float, tid: int = 1) -> dict[str, Any]:
    return event("cuda_runtime", "cudaLaunchKernelExC", ts, 1.0, tid, correlation=correlation)


def kernel(name: str, correlation: int, us: float, grid: int) -> dict[str, Any]:
    told = {"correlation": correlation, "grid": [grid, 1, 1], "block": [512, 1, 1]}
    of_thread = {"registers per thread": 64, "shared memory": 107_728}
    return event("kernel", name, 900.0, us, tid=7, **told, **of_thread)


def test_kernels_are_told_by_the_range_that_launched_them_however_late_they_ran() -> None:
    events = [
        annotation(RANGE, 100, 50),
        annotation("ProfilerStep#1", 0, 1000),
        annotation(tracing.range_name(CELL, "hf"), 200, 50),
        *(launch(1, 110), launch(2, 120), launch(3, 210), launch(4, 160), launch(5, 110, tid=2)),
        *(kernel(SAMPLE, 1, 6.0, 32), kernel(SAMPLE, 2, 8.0, 32), kernel(SORT, 3, 50.0, 9)),
        *(kernel("between", 4, 1.0, 1), kernel("another thread", 5, 1.0, 1), kernel("orphan", 6, 1.0, 1)),
        {"ph": "M", "name": "process_name"},
    ]
    found = trace.lines(trace.launches({"traceEvents": events}))
    ours, theirs, *others = found
    assert (ours.range, ours.launches, ours.us) == (RANGE.removeprefix(trace.RANGE_PREFIX), 2, 7.0)
    assert ours.blocks_a_row == 8
    assert (theirs.range.split(",")[0], theirs.launches, theirs.blocks_a_row) == ("hf", 1, None)
    assert [line.range for line in others] == ["", "", ""]
    text = trace.markdown(found)
    assert "| SampleRows, BFloat16Logits, resident | 2 | 7.00 | 32·1·1 × 512·1·1 | 8 | 64 | 105.2 |" in text
    assert "| at::sort | 1 | 50.00 |" in text
    json.dumps(trace.as_json(found), allow_nan=False)


def test_a_grid_that_is_no_multiple_of_the_rows_has_no_blocks_a_row() -> None:
    events = [annotation(RANGE, 0, 10), launch(1, 5), kernel(SAMPLE, 1, 6.0, 31)]
    (line,) = trace.lines(trace.launches({"traceEvents": events}))
    assert line.blocks_a_row is None


def test_torchs_own_trace_has_our_ranges_as_the_reader_expects_them(tmp_path: Path) -> None:
    watching = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    with watching as profiler, tracing.watched(RANGE):
        torch.zeros(3).sum()
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    (ours,) = [event for event in events if event.get("name") == RANGE and event.get("ph") == "X"]
    inside = next(event for event in events if event.get("name") == "aten::sum")
    assert ours["cat"] == "user_annotation"
    events += [{**inside, "cat": "cuda_runtime", "args": {"correlation": 1}}, kernel(SAMPLE, 1, 2.0, 4)]
    (line,) = trace.lines(trace.launches({"traceEvents": events}))
    assert line.range == RANGE.removeprefix(trace.RANGE_PREFIX)


# ---- bench/profile_kernels.py ----


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


REPORT = 'for word; do case "$word" in --output=*) touch "${word#--output=}.nsys-rep" ;; esac; done'


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (None, "not installed"),
        ("exit 3", "made no report (exit status 3)"),
        ("exit 0", "made no report (it left none)"),
        (f'[ "$1" = stats ] && exit 4\n{REPORT}', "could not be exported (exit status 4)"),
        (f'[ "$1" = stats ] && touch "$OUT/nsys_a.csv"\n{REPORT}', "and 1 tables from it"),
    ],
)
def test_an_nsys_that_is_missing_or_fails_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, told: str
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.setattr(
        profile_kernels, "find", lambda name: None if script is None else str(tmp_path / name)
    )
    tool(tmp_path, "nsys", script or "")
    assert told in profile_kernels.nsys(tmp_path, ["true"])


def test_ncu_leaves_the_clocks_alone_and_sees_one_watched_call_of_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_kernels, "find", lambda name: str(tmp_path / name))
    tool(tmp_path, "ncu", f'echo "$@" > {tmp_path}/words')
    assert profile_kernels.ncu(tmp_path, ["python", "kernels.py", "--calls"]) == str(tmp_path / "ncu.txt")
    words = (tmp_path / "words").read_text()
    assert "--clock-control none" in words
    assert words.endswith("--calls 1 --contenders fire\n")
    monkeypatch.setattr(profile_kernels, "find", lambda name: None)
    assert profile_kernels.ncu(tmp_path, []) == "ncu is not installed"


def test_a_peer_that_fails_is_not_watched_and_the_others_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: object, logits: torch.Tensor) -> None:
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(Copy, "call", fail)
    words = "--rehearse --settings greedy --calls 1 --contenders copy fire"
    assert kernels.main(words.split()) == 0
    assert "copy failed" in capsys.readouterr().out


def test_every_call_of_a_rehearsal_can_be_watched(tmp_path: Path) -> None:
    axes = ["--rehearse", "--settings", "no filter", "--contenders", "fire", "copy"]
    assert kernels.main([*axes, "--calls", "2"]) == 0
    assert kernels.main([*axes, "--profile", str(tmp_path / "kernels")]) == 0
    assert json.loads((tmp_path / "kernels.json").read_text()) == []  # a CPU runs no kernels
    assert (tmp_path / "kernels.md").read_text().startswith("| range | kernel |")
