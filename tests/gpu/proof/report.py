"""The report of a run: one JSON file, whole and valid at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SCHEMA = 1

PASSED = "passed"
FAILED = "failed"
TIMED_OUT = "timed out"
NOT_RUN = "not run"
MISSING_TOOL = "missing tool"


class Report:
    """Stages and what each found. `write` replaces the file in one step: no reader sees half of it."""

    def __init__(self, path: Path, stages: Iterable[str], rehearsal: bool) -> None:
        self.path = path
        self.contents: dict[str, Any] = {
            "schema": SCHEMA,
            "rehearsal": rehearsal,
            "state": "running",
            "seconds": 0.0,
            "stages": {name: {"state": NOT_RUN, "reason": "the run ended before it"} for name in stages},
        }
        self.write()

    def set(self, stage: str, outcome: dict[str, Any], seconds: float) -> None:
        self.contents["stages"][stage] = outcome
        self.contents["seconds"] = round(seconds, 1)
        self.write()

    def state(self, stage: str) -> str:
        return str(self.contents["stages"][stage]["state"])

    def result(self, stage: str) -> dict[str, Any]:
        """What a stage left; empty if it left nothing."""
        found: dict[str, Any] = self.contents["stages"][stage].get("result", {})
        return found

    def finish(self, optional: Iterable[str], seconds: float) -> bool:
        """Records and returns whether all that counts has passed; a missing tool is no failure."""
        forgiven = set(optional)
        passed = all(
            outcome["state"] in (PASSED, MISSING_TOOL) or name in forgiven
            for name, outcome in self.contents["stages"].items()
        )
        self.contents["state"] = PASSED if passed else FAILED
        self.contents["seconds"] = round(seconds, 1)
        self.write()
        return passed

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(self.path.name + ".new")
        beside.write_text(json.dumps(self.contents, indent=1, allow_nan=False) + "\n")
        os.replace(beside, self.path)
