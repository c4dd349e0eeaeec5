"""Runs stages one after another, each in a process and a session of its own, each within its time.

A kernel that faults poisons its process, and one that hangs blocks it: neither may take others along.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from .report import FAILED, MISSING_TOOL, NOT_RUN, PASSED, TIMED_OUT, Report

MISSING_TOOL_EXIT = 77  # as in automake's tests: could not be run here
GRACE_S = 3.0  # between asking a stage to end and making it
TAIL_LINES = 25
RESULT_VARIABLE = "FIRE_PROOF_RESULT"  # where a stage leaves its result, as JSON
LIMIT_VARIABLE = "FIRE_PROOF_LIMIT_S"  # how long it may take


@dataclass(frozen=True)
class Stage:
    """One step of the proof."""

    name: str
    command: Sequence[str]
    limit_s: float  # it is ended after that
    expected_s: float  # kept back for it while earlier stages run
    needs: Sequence[str] = ()  # stages that must have passed
    optional: bool = False  # no part of the verdict
    environment: Mapping[str, str] = field(default_factory=dict)


class Runner:
    def __init__(self, report: Report, log: Path, folder: Path, total_s: float) -> None:
        self._report = report
        self._log = log
        self._folder = folder
        self._total_s = total_s
        self._begin = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def seconds(self) -> float:
        return time.monotonic() - self._begin

    def run(self, stages: Sequence[Stage]) -> bool:
        """Runs every stage that can be run; returns whether all that counts has passed."""
        for index, stage in enumerate(stages):
            kept_back = sum(later.expected_s for later in stages[index + 1 :] if not later.optional)
            left = self._total_s - self.seconds()
            # A stage gets what it is expected to take even where that eats into the time of later ones.
            limit = min(stage.limit_s, left, max(left - kept_back, stage.expected_s))
            unmet = [name for name in stage.needs if self._report.state(name) != PASSED]
            if unmet:
                outcome: dict[str, Any] = {"state": NOT_RUN, "reason": f"needs {', '.join(unmet)}"}
            elif limit < 1:
                outcome = {
                    "state": NOT_RUN,
                    "reason": f"the {self._total_s:.0f} s of the whole run are spent",
                }
            else:
                outcome = self._run(stage, limit)
            self._report.set(stage.name, outcome, self.seconds())
            self._tell(stage, outcome)
        return self._report.finish((stage.name for stage in stages if stage.optional), self.seconds())

    def _run(self, stage: Stage, limit: float) -> dict[str, Any]:
        result = self._folder / f"{stage.name}.json"
        result.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            **stage.environment,
            RESULT_VARIABLE: str(result),
            LIMIT_VARIABLE: f"{limit:.1f}",
        }
        begin = time.monotonic()
        with self._log.open("ab") as log:
            log.write(f"\n===== {stage.name} (at most {limit:.0f} s): {' '.join(stage.command)}\n".encode())
            log.flush()
            first = log.tell()
            code, timed_out = _run_within(stage.command, environment, log, limit)
        outcome: dict[str, Any] = {
            "state": TIMED_OUT if timed_out else PASSED if code == 0 else FAILED,
            "seconds": round(time.monotonic() - begin, 2),
            "limit_s": round(limit, 1),
            "exit_code": code,
        }
        if code == MISSING_TOOL_EXIT and not timed_out:
            outcome["state"] = MISSING_TOOL
        try:
            outcome |= _left_by(result)
        except ValueError as error:
            outcome |= {"state": FAILED, "reason": f"left a result that is no JSON: {error}"}
        if timed_out:
            outcome["reason"] = f"ended after {limit:.0f} s"
        if outcome["state"] != PASSED:
            outcome["tail"] = _tail(self._log, first)
        return outcome

    def _tell(self, stage: Stage, outcome: Mapping[str, Any]) -> None:
        reason = f": {outcome['reason']}" if "reason" in outcome else ""
        print(f"{self.seconds():6.1f} s  {stage.name:20} {outcome['state']}{reason}", flush=True)
        for line in outcome.get("tail", ()) if outcome["state"] in (FAILED, TIMED_OUT) else ():
            print(f"          | {line}", flush=True)


def _run_within(
    command: Sequence[str], environment: Mapping[str, str], log: IO[bytes], limit: float
) -> tuple[int | None, bool]:
    """The exit code, and whether it had to be ended; whatever it started in its session ends with it."""
    try:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        log.write(f"cannot be started: {error}\n".encode())
        return None, False
    timed_out = False
    try:
        process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        timed_out = True
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_S)
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()
    return process.returncode, timed_out


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The group keeps its number while any of its processes lives, the first one's being over or not.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _left_by(result: Path) -> dict[str, Any]:
    """What a stage wrote: its findings, and the reason of a failure if it knew one."""
    if not result.exists():
        return {}
    found = json.loads(result.read_text(), parse_constant=_refuse_constant)
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__}, expected an object")
    reason = found.pop("reason", None)
    return {"result": found} | ({} if reason is None else {"reason": str(reason)})


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _tail(log: Path, first: int) -> list[str]:
    with log.open("rb") as stream:
        stream.seek(first)
        return stream.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
