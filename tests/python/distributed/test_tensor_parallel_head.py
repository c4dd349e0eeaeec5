"""The example of docs/distributed.md, as its reader starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "tensor_parallel_head.py"


@pytest.mark.parametrize("processes", [2, 3])
def test_a_head_split_by_torch_draws_and_learns_as_a_whole_one_does(processes: int) -> None:
    """It compares tokens and gradient with the gathered rows' itself, and fails where a bit differs."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*command, str(EXAMPLE)],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    *steps, gradient = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in steps] == ["step 0", "step 1", "step 2"]
    assert gradient == "gradient of the head: DTensor, placed (Shard(dim=0),)"
