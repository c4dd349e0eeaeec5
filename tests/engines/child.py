"""A program in a process of its own, where vLLM reads the environment and its plugins anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_BEGIN = """
import json, os, sys
sys.path.insert(0, {folder!r})
if os.environ["VLLM_USE_V2_MODEL_RUNNER"] == "1":
    import triton_interpreter
    triton_interpreter.install()
    triton_interpreter.replace_filters()
from engine import engine, model_runner
from vllm import SamplingParams
"""
_END = """
print("RESULT", json.dumps(result))
"""


def run_child(program: str, **environment: str) -> tuple[int, Any, str]:
    """Runs a program that leaves what JSON holds in `result`; `engine`, `model_runner` are there for it.

    Returns:
        Its exit status, `result` (None where it did not come so far), and all else that it printed.
    """
    child = subprocess.run(
        [sys.executable, "-c", _BEGIN.format(folder=str(Path(__file__).parent)) + program + _END],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = child.stdout.splitlines()
    result = next((json.loads(line[7:]) for line in lines if line.startswith("RESULT ")), None)
    return child.returncode, result, child.stdout + child.stderr
