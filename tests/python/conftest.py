"""What the tests share: reproducible hypothesis runs, and new interpreters, with torch or without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import hypothesis
import pytest

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]

# Derandomised: a failure in CI is a failure everywhere. No deadline: the machines that run this are shared.
hypothesis.settings.register_profile("fire", derandomize=True, deadline=None, max_examples=200)
hypothesis.settings.load_profile("fire")


@pytest.fixture
def run_python() -> RunPython:
    """`run_python(*arguments, **environment)` runs a new interpreter; torch=False hides torch from it."""

    def run(*arguments: str, torch: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        if not torch:
            program = "import sys, runpy; sys.modules['torch'] = None; exec(sys.argv[1])"
            command = [sys.executable, "-c", program, *arguments]
        return subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
        )

    return run
