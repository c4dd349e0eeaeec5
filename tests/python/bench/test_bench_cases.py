"""Which cells a run measures, and on which rows of logits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_runs import BENCH

import cpu  # isort: skip
from harness import rows
from harness.cases import (
    CPU_VOCABULARY,
    DEFAULT,
    DTYPES,
    FULL,
    GPU_DEFAULT,
    GPU_FULL,
    GPU_GOALS,
    KINDS,
    REHEARSED,
    ROWS,
    VOCABULARIES,
    Case,
    Slice,
    cases_of,
)
from harness.settings import SETTINGS

CACHE = 32 << 20


def test_the_benchmarks_folder_is_the_one_beside_the_tests() -> None:
    assert Path(cpu.__file__).parent == BENCH


@pytest.mark.parametrize("slices", [DEFAULT, FULL, GPU_DEFAULT, GPU_FULL, GPU_GOALS, REHEARSED])
def test_every_cell_is_measured_once_and_one_that_is_to_stay_in_the_cache_fits(slices: list[Slice]) -> None:
    cases = cases_of(slices, CACHE)
    assert len(set(cases)) == len(cases) > 0
    assert all(case.out_of_cache or 2 * case.bytes <= CACHE for case in cases)


def test_a_default_run_has_every_setting_at_every_vocabulary_and_dtype_on_one_row() -> None:
    cases = cases_of(DEFAULT, CACHE)
    for vocabulary in VOCABULARIES:
        for dtype in DTYPES:
            for setting in (one for one in SETTINGS.values() if not one.mixed):
                for kind in setting.kinds:
                    assert Case(vocabulary, 1, dtype, setting.name, kind) in cases
                    in_cache = Case(vocabulary, 1, dtype, setting.name, kind, place="in cache")
                    assert (in_cache in cases) == (vocabulary <= CPU_VOCABULARY)


def test_a_default_run_varies_logits_rows_and_outputs_at_one_vocabulary() -> None:
    cases = [case for case in cases_of(DEFAULT, CACHE) if case.vocabulary == CPU_VOCABULARY]
    assert {case.kind for case in cases} == set(KINDS)
    assert {case.outputs for case in cases} == {"token", "logprobs", "reference"}
    assert {case.rows for case in cases if case.setting == "mixed"} >= {8, 32, 64, 128}


def test_a_full_run_holds_the_default_one_and_every_size_of_batch() -> None:
    full = set(cases_of(FULL, CACHE))
    assert full > set(cases_of(DEFAULT, CACHE))
    assert {case.rows for case in full} == set(ROWS)


def test_a_batch_that_would_not_stay_in_the_cache_is_measured_out_of_it_alone() -> None:
    slices = [Slice(rows=(64,), places=("in cache", "out of cache"))]
    places = {case.place for case in cases_of(slices, 1 << 20)}
    assert places == {"out of cache"}


def test_one_row_of_a_mixed_batch_is_left_out() -> None:
    cases = list(Slice(settings=("mixed",), rows=(1, 8)).cases())
    assert [case.rows for case in cases] == [8]


def test_an_axis_that_no_flag_names_keeps_its_usual_value() -> None:
    for words in (["mixed,greedy"], ["mixed", "greedy"]):
        slices = cpu.slices_of(cpu.parse_arguments(["--rows", "256", "--settings", *words]))
        assert cases_of(slices, CACHE) == [
            Case(CPU_VOCABULARY, 256, "bfloat16", name) for name in ("mixed", "greedy")
        ]


def test_a_misspelt_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"--dtypes: got 'float64', expected of \('bfloat16', 'float32'\)"):
        cpu.slices_of(cpu.parse_arguments(["--dtypes", "float64"]))


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
    assert least <= nucleus(rows.make_rows(kind, 1, 151_936)[0].numpy()) <= most


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("largest", [1, 64, 1024])
def test_a_rotation_is_four_times_the_cache_in_whole_batches(
    vocabulary: int, dtype: str, largest: int
) -> None:
    cases = [Case(vocabulary, count, dtype, "no filter") for count in {1, largest}]
    count = rows.pool_rows(cases, CACHE)
    assert count % largest == 0
    assert count * vocabulary * (4 if dtype == "float32" else 2) >= 4 * CACHE


def test_out_of_cache_every_call_takes_the_next_batch_whoever_makes_it() -> None:
    pool = torch.arange(6 * 4, dtype=torch.float32).view(6, 4)
    case = Case(4, 2, "float32", "no filter")
    rotation = rows.Rotation(case, pool)
    assert [rotation.take() for _ in range(4)] == [0, 1, 2, 0]
    stays = rows.Rotation(replace(case, place="in cache"), pool)
    assert [stays.take() for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_of_their_kind_and_the_same_each_time(kind: str) -> None:
    logits = rows.make_rows(kind, 70, 10_000)
    assert torch.equal(logits, rows.make_rows(kind, 70, 10_000))
    assert (logits.isneginf().sum(dim=1) == (9_000 if kind == "masked" else 0)).all()
    assert (len(set(logits[:2].flatten().tolist())) < 40) == (kind == "ties")


def test_a_pool_is_larger_than_the_cache_and_its_batches_share_no_row() -> None:
    case = Case(256, 8, "bfloat16", "no filter", kind="flat")
    cached = replace(case, place="in cache")
    pool = rows.make_pool([case, cached], cache_bytes=1 << 16)
    batches = rows.batches_of(pool, case)
    assert sum(batch.nbytes for batch in batches) >= 4 << 16
    assert len({batch.data_ptr() for batch in batches}) == len(batches)
    assert len(rows.batches_of(pool, cached)) == 1
    assert len(rows.make_pool([cached], cache_bytes=1 << 30)) == 8
