"""Peak memory of a call, from the process's own high-water mark (Linux)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

# Large allocations go straight to the system and back, so that resident memory tells them.
MALLOC_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "0",
    "MALLOC_TOP_PAD_": "0",
}
_PROCESS = Path("/proc/self")


def _status_bytes(field: str) -> int:
    for line in (_PROCESS / "status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status: got no {field}, expected one")


def peak_extra_bytes(call: Callable[[], Any], calls: int = 4) -> int:
    """The largest rise of resident memory within one of the first `calls` calls, what it returns included.

    The first counts: it is there that a workspace kept for later calls appears.
    """
    peak = 0
    for _ in range(calls):
        (_PROCESS / "clear_refs").write_text("5")  # the high-water mark starts anew
        before = _status_bytes("VmRSS")
        result = call()
        peak = max(peak, _status_bytes("VmHWM") - before)
        del result
    return peak
