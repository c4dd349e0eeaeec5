"""Results files for the tests of the benchmark: made up, and small."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.comparison import Comparison, Results

BENCH = Path(__file__).resolve().parents[3] / "bench"
sys.path.insert(0, str(BENCH))


def committed(program: Comparison) -> Results:
    """The results that the program's page shows."""
    found: Results = json.loads(program.results.read_text())
    return found


def result(median: float | None, wrong: int = 0) -> dict[str, Any]:
    spread = (None, None) if median is None else (median * 0.9, median * 1.1)
    return {
        **{"median": median, "p10": spread[0], "p90": spread[1], "calls": 100},
        **{"checked": 100, "wrong": wrong},
    }


def cell(medians: Mapping[str, float | None], **shape: Any) -> dict[str, Any]:
    """A cell of one bfloat16 row in the hot setting, unless `shape` says otherwise."""
    plain = {
        **{"vocabulary": 151_936, "rows": 1, "dtype": "bfloat16", "setting": "hot T=30 k=16"},
        **{"kind": "peaked", "outputs": "token", "place": "out of cache", "launch": "eager"},
    }
    results = {key: result(median) for key, median in medians.items()}
    return {**plain, **shape, "stolen_percent": 0.0, "kept": 16, "results": results}


def run(cells: list[dict[str, Any]], **sections: Any) -> dict[str, Any]:
    """A results file with ours on one instruction set, its limit and one peer."""
    return {
        "schema": 2,
        "device": "cpu",
        "machine": {
            "name": "a processor",
            "date": "2026-01-01",
            "facts": {"cores": "2", "L3": "32 MiB"},
            "versions": {"torch": "2.13.0"},
        },
        "about": ["One thread unless said."],
        "settings": {"hot T=30 k=16": "T 30, top-k 16, hot"},
        "contenders": {
            "fire/avx2": {
                "title": "fire-sampling",
                "notes": "one call",
                "role": "ours",
                "limit": "read/avx2",
            },
            "read/avx2": {"title": "one read", "notes": "a maximum", "role": "limit"},
            "hf": {"title": "HF transformers", "notes": "warpers", "role": "peer"},
        },
        "left_out": {"numpy": "ImportError: missing"},
        "cells": cells,
        **sections,
    }
