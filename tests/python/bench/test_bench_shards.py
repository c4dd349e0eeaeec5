"""What bench/shards.py measures and predicts."""

from __future__ import annotations

import pytest
from bench_runs import committed

import shards as bench  # isort: skip
from harness import exchange_model as model
from views import shards_plot

COMMITTED = committed(bench.PROGRAM)


def test_no_measured_token_was_wrong() -> None:
    assert [cell["wrong"] for cell in COMMITTED["cells"]] == [0] * len(COMMITTED["cells"])
    assert {(cell["ranks"], cell["rows"], cell["case"]) for cell in COMMITTED["cells"]} == {
        (ranks, rows, case) for ranks in bench.RANKS for rows in bench.ROWS for case in model.CASES
    }


def test_the_model_counts_the_exchanges_that_were_made() -> None:
    """A search may end sooner or later than the four digits that the page shows."""
    for cell in COMMITTED["cells"]:
        made = [(kind, sent) for kind, sent in cell["exchanges"]]
        planned = model.CASES[cell["case"]].exchanges(cell["ranks"])
        assert made[0] == (model.GATHER, planned[0].words * model.WORD * cell["rows"])
        assert all(kind == model.ADD for kind, _ in made[1:])
        if cell["case"] == "search" or cell["rows"] > 1:
            assert len(made) <= 11
        else:
            # What is added has a word behind it that counts the ranks that have failed.
            assert made[1:] == [(kind, words * model.WORD + model.WORD) for kind, words in planned[1:]]


def test_nccls_model_is_that_of_its_file() -> None:
    # Ring, LL, 8 ranks: 3.6 + 7 · 0.47 µs and 235 / 3 · 8 / 7 GB/s.
    assert model.microseconds(model.GATHER, 8, 8) == pytest.approx(
        3.6 + 7 * 0.47 + 64 / (1000 * 235 / 3 * 8 / 7)
    )
    # Ring, Simple: 8.4 + 3.4 µs and 235 · 2 GB/s.
    sent = 1 << 24
    assert model.microseconds(model.GATHER, 2, sent) == pytest.approx(11.8 + 2 * sent / (1000 * 235 * 2))
    # Tree, LL: 4.4 + 2 · 7 · 0.52 µs, a little below the ring's 3.6 + 14 · 0.47.
    assert model.microseconds(model.ADD, 8, 0) == pytest.approx(3.6 + 14 * 0.47)
    assert model.microseconds(model.ADD, 64, 0) == pytest.approx(4.4 + 2 * (7 * 0.52 * 1.8 + 3 * 5.0))


def test_top_k_pays_in_every_cell_of_the_predicted_table() -> None:
    for ranks in shards_plot.RANKS:
        for rows in shards_plot.ROWS:
            ours = model.CASES["top_k"].microseconds(ranks, rows)
            for vocabulary in shards_plot.VOCABULARIES:
                assert ours < model.gather_microseconds(ranks, vocabulary, rows)
