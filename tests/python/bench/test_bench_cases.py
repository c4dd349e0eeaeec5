"""Which cells a run measures, and on which rows of logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from bench_runs import BENCH

import cpu  # isort: skip
from harness import rows
from harness.cases import (
    DEFAULT,
    DTYPES,
    FULL,
    KINDS,
    ROWS,
    SHOWN_VOCABULARY,
    VOCABULARIES,
    Case,
    Selection,
    Slice,
    by_pool,
)
from harness.settings import SETTINGS

CACHE = 32 << 20


def test_the_benchmarks_folder_is_the_one_beside_the_tests() -> None:
    assert Path(cpu.__file__).parent == BENCH


def test_a_default_run_has_every_setting_at_every_vocabulary_and_dtype_on_one_row() -> None:
    cases = Selection().cases(CACHE)
    assert len(set(cases)) == len(cases)
    for vocabulary in VOCABULARIES:
        for dtype in DTYPES:
            for setting in (one for one in SETTINGS.values() if not one.mixed):
                for kind in setting.kinds:
                    assert Case(vocabulary, dtype, setting.name, kind, 1, "out of cache") in cases
                    in_cache = Case(vocabulary, dtype, setting.name, kind, 1, "in cache")
                    assert (in_cache in cases) == (vocabulary <= SHOWN_VOCABULARY)


def test_a_default_run_varies_logits_rows_and_outputs_at_one_vocabulary() -> None:
    cases = [case for case in Selection().cases(CACHE) if case.vocabulary == SHOWN_VOCABULARY]
    assert {case.kind for case in cases} == set(KINDS)
    assert {case.outputs for case in cases} == {"token", "logprobs", "reference"}
    assert {case.rows for case in cases if case.setting == "mixed"} >= {8, 32, 64, 128}


def test_a_full_run_holds_the_default_one_and_every_size_of_batch() -> None:
    full = set(Selection(FULL).cases(CACHE))
    assert full > set(Selection(DEFAULT).cases(CACHE))
    assert {case.rows for case in full} == set(ROWS)


def test_a_batch_that_would_not_stay_in_the_cache_is_measured_out_of_it_alone() -> None:
    places = {
        case.place
        for case in Selection((Slice(rows=(64,), places=("in cache", "out of cache")),)).cases(1 << 20)
    }
    assert places == {"out of cache"}


def test_one_row_of_a_mixed_batch_is_left_out() -> None:
    cases = list(Slice(settings=("mixed",), rows=(1, 8)).cases())
    assert [case.rows for case in cases] == [8]


def test_an_axis_that_no_flag_names_keeps_its_usual_value() -> None:
    selection = cpu.selection_of(cpu.parse_arguments(["--rows", "256", "--settings", "mixed,greedy"]))
    assert selection.cases(CACHE) == [
        Case(SHOWN_VOCABULARY, "bfloat16", name, "peaked", 256, "out of cache")
        for name in ("mixed", "greedy")
    ]


def test_a_misspelt_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"--dtypes: got 'float64', expected of \('bfloat16', 'float32'\)"):
        cpu.selection_of(cpu.parse_arguments(["--dtypes", "float64"]))


def test_cases_of_one_pool_follow_each_other_so_that_rows_are_made_once() -> None:
    cases = Selection(FULL).cases(CACHE)
    assert [case for group in by_pool(cases).values() for case in group] == cases


# ---- rows ----


def nucleus(row: np.ndarray[tuple[int], np.dtype[np.float32]]) -> int:
    """Tokens that hold 0.9 of the mass."""
    ordered = np.sort(row.astype(np.float64))[::-1]
    mass = np.cumsum(np.exp(ordered - ordered[0]))
    return int(np.searchsorted(mass, 0.9 * mass[-1])) + 1


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("peaked", 10, 100),
        ("masked", 2, 100),
        ("gaussian", 3_000, 10_000),
        ("ties", 3_000, 10_000),
        ("flat", 75_000, 100_000),
    ],
)
def test_each_kind_of_logits_has_the_nucleus_that_it_promises(kind: str, least: int, most: int) -> None:
    assert least <= nucleus(rows.make_rows(kind, 1, 151_936, seed=0)[0]) <= most


def test_masked_rows_are_masked_in_nine_tokens_of_ten_and_tied_ones_have_few_values() -> None:
    masked, ties = (rows.make_rows(kind, 2, 10_000, seed=0) for kind in ("masked", "ties"))
    assert (np.isneginf(masked).sum(axis=1) == 9_000).all()
    assert len(np.unique(ties)) < 40


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("largest", [1, 64, 1024])
def test_a_rotation_is_four_times_the_cache_in_whole_batches(
    vocabulary: int, dtype: str, largest: int
) -> None:
    count = rows.pool_rows(vocabulary, dtype, CACHE, largest)
    assert count % largest == 0
    assert count * vocabulary * (4 if dtype == "float32" else 2) >= 4 * CACHE


def test_out_of_cache_every_call_takes_the_next_batch_whoever_makes_it() -> None:
    pool = torch.arange(6 * 4, dtype=torch.float32).view(6, 4)
    rotation = rows.Rotation(Case(4, "float32", "no filter", "peaked", 2, "out of cache"), pool)
    assert [rotation.take() for _ in range(4)] == [0, 1, 2, 0]
    stays = rows.Rotation(Case(4, "float32", "no filter", "peaked", 2, "in cache"), pool)
    assert [stays.take() for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_pool_comes_back_from_its_file_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    rows.write_pool(tmp_path / "pool.npy", (32, dtype, "peaked"), CACHE, largest=3)
    loaded = rows.load_pool(tmp_path / "pool.npy")
    made = torch.from_numpy(rows.make_rows("peaked", 3, 32, seed=32)).to(getattr(torch, dtype))
    assert loaded.dtype == made.dtype
    assert torch.equal(loaded, made)
