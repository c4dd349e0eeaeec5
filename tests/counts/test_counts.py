"""The row passes execute as many instructions as the committed table says, and one more is found."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import counts
import pytest

PROGRAM = Path(os.environ["FIRE_ROW_PASSES"])


@pytest.fixture(scope="session")
def table() -> dict[str, Any]:
    committed: dict[str, Any] = json.loads(counts.TABLE.read_text())
    return committed


@pytest.fixture(scope="session")
def made() -> dict[str, counts.Counts]:
    return {name: counts.count(PROGRAM, name) for name in counts.INSTRUCTION_SETS}


@pytest.mark.parametrize("instruction_set", counts.INSTRUCTION_SETS)
def test_a_row_takes_as_many_instructions_as_the_table_says(
    instruction_set: str, table: dict[str, Any], made: dict[str, counts.Counts]
) -> None:
    same = counts.compiler() == table["compiler"]
    tolerance = counts.SAME_COMPILER if same else counts.OTHER_COMPILER
    told = counts.complaints(table[instruction_set], made[instruction_set], tolerance)
    assert not told, "\n".join(
        [
            f"{counts.compiler()}, the table is of {table['compiler']}: {tolerance:.1%} is allowed",
            *told,
            f"If that is meant: python tests/counts/counts.py {PROGRAM} --write",
        ]
    )


@pytest.mark.parametrize(
    ("planted", "found_in"),
    [("first_pass", "float32, hot T=30 k=16"), ("groups", "float32, p=0.9, flat")],
)
def test_one_instruction_more_in_a_loop_is_found(
    planted: str, found_in: str, made: dict[str, counts.Counts]
) -> None:
    program = PROGRAM.with_name(f"{PROGRAM.name}_{planted}")
    told = counts.complaints(made["avx2"], counts.count(program, "avx2"), counts.SAME_COMPILER)
    assert any(line.startswith(f"{found_in}: ") for line in told), told


# Rows of which more tokens than the candidate list holds are equal, or large. min-p keeps all of the first
# three, which then cost what a row without a filter does, and the search for nothing.
CROWDED = ("all equal", "two values", "a few larger", "large in one place")
MOST_OF_OWN = 6
MOST_OF_UNFILTERED = 3


def test_no_row_takes_many_times_what_its_settings_own_row_takes(made: dict[str, counts.Counts]) -> None:
    taken = made["avx2"]
    unfiltered = taken["float32, no filter"]
    told = []
    for name, instructions in taken.items():
        setting, _, kind = name.rpartition(", ")
        if kind not in CROWDED:
            continue
        most = MOST_OF_OWN * taken[f"float32, {setting}"]
        if setting.startswith("min-p"):
            most = max(most, MOST_OF_UNFILTERED * unfiltered)
        if instructions > most:
            told.append(f"{name}: {instructions:,} instructions, expected {most:,} or fewer")
    assert not told, "\n".join(told)


def test_a_program_repeats_its_counts_exactly(made: dict[str, counts.Counts]) -> None:
    assert counts.count(PROGRAM, "avx2") == made["avx2"]


def test_a_case_that_only_one_table_has_is_named() -> None:
    assert counts.complaints({"a": 10}, {"b": 10}, 0.1) == ["a: not counted", "b: not in the table"]
