"""Whole runs of the benchmarks, on rows and models so small that they take seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench_runs import BENCH

import cpu  # isort: skip
import generate
from harness import schema
from harness.settings import SETTINGS, Filters
from views.results import Results
from views.tables import Tables

assert Path(cpu.__file__).parent == BENCH


def test_a_small_run_checks_every_draw_and_finds_none_wrong() -> None:
    options = cpu.parse_arguments(
        [
            *("--vocabularies", "512", "--dtypes", "bfloat16", "--rows", "3", "--budget", "0.001"),
            *("--settings", "p=0.9,mixed", "--places", "in cache", "--isa", "baseline"),
            *("--peers", "numpy", "--sections", "calls,cells", "--outputs", "token,reference"),
        ]
    )
    saved: list[int] = []
    run = cpu.measure(options, lambda run: saved.append(len(run["cells"])))
    assert saved == list(range(1, 7))
    assert {(cell["setting"], cell["kind"]) for cell in run["cells"]} == {
        ("p=0.9", "peaked"),
        ("p=0.9", "flat"),
        ("mixed", "peaked"),
    }
    for cell in (*run["cells"], *run["calls"]):
        ours = {"read/baseline", "fire/baseline"}
        assert set(cell["results"]) == (ours | {"numpy"} if cell["outputs"] == "token" else ours)
        for measured in cell["results"].values():
            assert measured["calls"] > 0
            assert measured["checked"] >= measured["calls"] * cell["rows"]
            assert measured["wrong"] == 0
    assert "V = 512" in Tables(Results(run)).summary() or "512" in Tables(Results(run)).details()


def rehearsed(*arguments: str) -> schema.Run:
    small = ("--model", "tiny", "--batches", "2", "--new-tokens", "4", "--prompt-tokens", "3", "--runs", "2")
    return generate.measure(generate.parse_arguments([*small, *arguments]))


def test_a_rehearsed_generation_checks_every_token_of_everybody_and_stores_no_time() -> None:
    run = rehearsed("--rehearse", "--settings", "k=50 p=0.95 T=0.7", "min-p=0.05")
    for entry in run["end_to_end"]:
        assert set(entry["results"]) == {"fire", "argmax", "hf"}
        for found in entry["results"].values():
            assert (found["checked"], found["wrong"]) == (2 * 2 * 4, 0)
            assert found["tokens_per_second"] is found["sampling_share"] is None


def test_a_token_of_another_seed_is_counted_as_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Filters.arguments
    monkeypatch.setattr(Filters, "arguments", lambda filters, seed: honest(filters, seed + 1))
    run = rehearsed("--rehearse", "--settings", "no filter")
    assert run["end_to_end"][0]["results"]["fire"]["wrong"] > 0


def test_a_generation_says_what_share_of_it_was_sampling() -> None:
    run: Any = rehearsed("--settings", "p=0.9")
    for found in run["end_to_end"][0]["results"].values():
        assert found["tokens_per_second"] > 0
        assert 0 < found["sampling_share"] < 1
    assert run["settings"] == {"p=0.9": str(SETTINGS["p=0.9"])}
