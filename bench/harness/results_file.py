"""How results are written: an entry a line, so that a change of a few can be read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def as_text(value: Any, depth: int = 2) -> str:
    """JSON; what lies `depth` levels within `value` is on one line each."""
    if depth == 0 or not value or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    if isinstance(value, dict):
        entries = [
            f"{json.dumps(key, ensure_ascii=False)}: {as_text(one, depth - 1)}" for key, one in value.items()
        ]
    else:
        entries = [as_text(one, depth - 1) for one in value]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return f"{begin}\n" + ",\n".join(entries) + f"\n{end}"


def write(path: Path, results: Mapping[str, Any], depth: int = 2) -> None:
    """Replaces the file at once: a run that is killed leaves the last one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(as_text(results, depth) + "\n")
    os.replace(beside, path)
