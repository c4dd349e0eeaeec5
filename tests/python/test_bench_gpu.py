"""The logic of bench/kernels.py: what is measured, how it is timed and checked. No GPU, no time asserted."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bench_runs import BENCH
from torch import Tensor

import fire_sampling as fire

assert BENCH  # it is on the path now

from gpu import clocks, contenders, loops, machine, operators, promises, records, session  # noqa: E402
from gpu.contenders.fire import Fire  # noqa: E402
from gpu.contenders.hugging_face import HuggingFace  # noqa: E402
from gpu.kept import (  # noqa: E402
    JOINT,
    LOGIT_TOLERANCE,
    MASS_TOLERANCE,
    MIN_P_FIRST,
    SEQUENTIAL,
    KeptSets,
    lowest_kept,
    wrong_references,
)
from gpu.logits import Pool, make_logits  # noqa: E402
from gpu.selection import DEFAULT, FULL, GOALS, KINDS, REHEARSED, Cell, Slice, call_cells, cells_of  # noqa: E402
from gpu.session import Session, clocks_of, wrong_of_ours  # noqa: E402
from gpu.table import kernels_table  # noqa: E402
from harness.schema import check  # noqa: E402
from harness.settings import SETTINGS, Filters  # noqa: E402

import kernels  # noqa: E402

CPU = torch.device("cpu")
L2 = 60 << 20


# ---- what is measured ----


@pytest.mark.parametrize("slices", [DEFAULT, FULL, GOALS, REHEARSED])
def test_every_cell_is_measured_once_and_one_that_is_to_stay_in_the_cache_fits(slices: list[Slice]) -> None:
    cells = cells_of(slices, L2)
    assert len(set(cells)) == len(cells) > 0
    assert all(cell.out_of_cache or 2 * cell.bytes <= L2 for cell in cells)


def test_all_that_has_a_goal_is_measured_by_a_run_of_the_goals() -> None:
    promised = [cell for cell in cells_of(GOALS, L2) if "goal_us" in promises.promises(cell)]
    # Six numbers of rows have goals, in two types: two settings by figures of their own, two by derived ones.
    assert len(promised) == 6 * 2 * 4
    assert all(promises.promises(cell)["goal_us"] > 0 for cell in promised)
    moved = Cell(128_256, 1, "bfloat16", "no filter", place="in cache")
    assert promises.promises(moved) == {}


def test_records_are_those_that_pack_writes() -> None:
    of_rows = [Filters(0.7, 50, 0.95, 0.1), Filters(30.0, 16, hot=True), Filters(0.0)]
    configs = [
        fire.SamplingConfig(temperature=0.7, top_k=50, top_p=0.95, min_p=0.1, hot_steps=0, seed=0),
        fire.SamplingConfig(temperature=1, hot_temperature=30.0, hot_top_k=16, hot_steps=2**31 - 1, seed=1),
        fire.SamplingConfig(temperature=0, seed=2),
    ]
    logits = torch.randn(3, 500, generator=torch.Generator().manual_seed(0))
    for step in (0, 7, 1000):
        drawn = torch.ops.fire.sample(logits, torch.tensor(step), records.pack(of_rows))
        assert torch.equal(drawn, torch.ops.fire.sample(logits, torch.tensor(step), fire.pack(configs)))


def test_rows_of_a_mixed_batch_have_settings_and_steps_of_their_own() -> None:
    cell = Cell(100, 64, "float32", "mixed")
    assert len(set(map(tuple, records.records(cell).tolist()))) == 64
    assert len(set(records.steps(cell).tolist())) > 10
    assert not records.steps(Cell(100, 64, "float32", "no filter")).any()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_of_their_kind(kind: str) -> None:
    logits = make_logits(kind, 70, 4096, "float32", CPU)
    finite = logits.isfinite().float().mean()
    nucleus = (logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1) < 0.9).float().mean()
    ties = len(set(logits[0].tolist()))
    assert torch.equal(logits, make_logits(kind, 70, 4096, "float32", CPU))
    assert (0.05 < finite < 0.15) if kind == "masked" else finite == 1
    assert (nucleus > 0.5) == (kind == "flat")
    assert (ties < 100) == (kind == "ties")


def test_a_pool_is_larger_than_the_cache_and_its_batches_share_no_row() -> None:
    cell = Cell(256, 8, "bfloat16", "no filter", kind="flat")
    cached = replace(cell, place="in cache")
    pool = Pool([cell, cached], cache_bytes=1 << 16, device=CPU)
    batches = pool.batches(cell)
    assert sum(batch.nbytes for batch in batches) >= 4 << 16
    assert len({batch.data_ptr() for batch in batches}) == len(batches)
    assert len(pool.batches(cached)) == 1
    small = Pool([cached], cache_bytes=1 << 30, device=CPU)
    assert len(small.logits) == 8
    assert pool.serves([cell, cached])
    assert small.serves([cached])
    for cells in ([cell], [replace(cached, rows=9)], []):
        assert not small.serves(cells)


# ---- the clocks ----


class RecordedCuda:
    """Stands in for the parts of torch.cuda that the clocks use; `log` has what they did, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.Stream = self.current_stream = lambda: SimpleNamespace(wait_stream=lambda _: None)

    def CUDAGraph(self, keep_graph: bool) -> SimpleNamespace:  # noqa: N802
        assert keep_graph  # else its nodes are gone before they are counted
        return SimpleNamespace(
            replay=lambda: self.log.append("replay"),
            instantiate=lambda: self.log.append("instantiate"),
            raw_cuda_graph=lambda: 77,
        )

    def Event(self, enable_timing: bool) -> SimpleNamespace:  # noqa: N802
        assert enable_timing
        return SimpleNamespace(
            record=lambda: self.log.append("event"), synchronize=lambda: None, elapsed_time=lambda _: 0.5
        )

    def synchronize(self) -> None:
        self.log.append("wait")

    def call(self, name: str) -> clocks.Call:
        def made() -> str:
            self.log.append(name)
            return f"result of {name}"

        return made

    def stream(self, _: object) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def graph(self, _: object) -> Iterator[None]:
        self.log.append("capture")
        yield
        self.log.append("captured")


class Driver:
    """Stands in for libcuda: a graph of four kernels and two other nodes."""

    def cuGraphGetNodes(self, graph: Any, nodes: Any, count: Any) -> int:  # noqa: N802
        assert graph.value == 77
        count._obj.value = 6
        for place in range(6 if nodes else 0):
            nodes[place] = place + 1
        return 0

    def cuGraphNodeGetType(self, node: Any, kind: Any) -> int:  # noqa: N802
        kind._obj.value = 0 if node.value <= 4 else 1
        return 0


def test_the_graph_clock_times_replays_of_all_calls_and_counts_their_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = RecordedCuda()
    monkeypatch.setattr(clocks, "torch", SimpleNamespace(cuda=recorded))
    monkeypatch.setattr(clocks.ctypes, "CDLL", lambda name: Driver())
    timed = clocks.GraphClock().ready([recorded.call("a"), recorded.call("b")])
    assert [timed.sample(), timed.sample()] == [250.0, 250.0]  # half a millisecond for two calls
    assert timed.results == ["result of a", "result of b"]
    assert timed.launches() == 2
    ready = ["a", "capture", "a", "b", "captured", "instantiate", "replay", "wait"]
    # One call before the capture: nothing may be set up within it; one replay before the timed ones.
    assert recorded.log == [*ready, *["event", "replay", "event"] * 2]


def test_a_driver_that_refuses_to_count_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks.ctypes, "CDLL", lambda _: SimpleNamespace(cuGraphGetNodes=lambda *_: 1))
    with pytest.raises(RuntimeError, match="cuGraphGetNodes failed with CUDA error 1"):
        clocks._kernels_of(1)


def test_the_eager_clock_waits_for_the_device_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = RecordedCuda()
    monkeypatch.setattr(clocks, "torch", SimpleNamespace(cuda=recorded))
    timed = clocks.EagerClock().ready([recorded.call("a")])
    assert (timed.sample() or 0) > 0
    assert recorded.log == ["a", "wait", "wait", "a", "wait"]


@pytest.mark.parametrize(
    ("estimate", "rows", "calls"), [(6.0, 1, 500), (6.0, 512, 3), (5e4, 1, 1), (0.1, 1, 512)]
)
def test_a_turn_is_about_as_long_for_everyone_and_reads_no_logits_twice(
    estimate: float, rows: int, calls: int
) -> None:
    cell = Cell(128_256, rows, "bfloat16", "no filter")
    batches = 1536 // rows
    assert session._calls(estimate, cell, batches) == calls <= batches


# ---- the checks ----


def kept_by_definition(row: list[float], filters: Filters, order: str) -> set[int]:
    """Tokens in the kept set, ties included, in sets and plain sums."""
    weights = [math.exp(value / (filters.temperature or 1)) for value in row]
    tokens = sorted(range(len(row)), key=lambda token: -row[token])
    if filters.greedy:
        return {token for token in tokens if row[token] == max(row)}

    def top_k(kept: set[int]) -> set[int]:
        least = row[tokens[min(filters.top_k, len(row)) - 1]] if filters.top_k > 0 else -math.inf
        return {token for token in kept if row[token] >= least}

    def top_p(kept: set[int]) -> set[int]:
        found, mass = set(), 0.0
        for token in (token for token in tokens if token in kept):
            if mass < filters.top_p * sum(weights[other] for other in kept) or filters.top_p >= 1:
                found.add(token)
            mass += weights[token]
        return {token for token in kept if row[token] >= min(row[other] for other in found)}

    def min_p(kept: set[int]) -> set[int]:
        return {token for token in kept if weights[token] >= filters.min_p * max(weights)}

    whole = set(tokens)
    if order == JOINT:
        return top_k(whole) & top_p(whole) & min_p(whole)
    steps = (min_p, top_k, top_p) if order == MIN_P_FIRST else (top_k, top_p, min_p)
    for step in steps:
        whole = step(whole)
    return whole


@pytest.mark.parametrize("order", [SEQUENTIAL, JOINT, MIN_P_FIRST])
@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(0.0),
        Filters(top_k=5),
        Filters(top_p=0.83),
        Filters(min_p=0.07),
        Filters(0.7, 12, 0.77, 0.03),
        Filters(2.0, 9, 0.6),
        Filters(1.0, 500, 0.9, 0.2),
    ],
    ids=str,
)
def test_the_lowest_logit_that_may_be_drawn_is_the_lowest_kept_by_definition(
    filters: Filters, order: str
) -> None:
    rows = torch.randn(40, 60, generator=torch.Generator().manual_seed(1)) * 2
    rows[::4] = rows[::4].round()  # ties
    lowest = lowest_kept(rows, filters, order)
    top_p = filters.top_p + MASS_TOLERANCE if filters.top_p < 1 else 1.0
    widened = replace(filters, top_p=top_p, min_p=filters.min_p * math.exp(-LOGIT_TOLERANCE))
    for row, found in zip(rows.tolist(), lowest.tolist(), strict=True):
        kept = kept_by_definition(row, widened, order)
        assert {token for token, value in enumerate(row) if value >= found} == kept


def test_a_token_outside_the_kept_set_a_masked_one_and_none_at_all_are_wrong() -> None:
    logits = torch.tensor([[4.0, 3.0, 2.0, -math.inf], [1.0, 1.0, 0.0, 0.0], [0.0, 9.0, 1.0, 2.0]])
    kept = KeptSets(logits)
    of_rows = [Filters(top_k=2), Filters(top_k=1), Filters()]
    assert kept.wrong(torch.tensor([1, 1, 0]), 0, of_rows, SEQUENTIAL) == 0
    assert kept.wrong(torch.tensor([2, 2, 0]), 0, of_rows, SEQUENTIAL) == 2
    assert kept.wrong(torch.tensor([3, 0, 4]), 0, [Filters()] * 3, SEQUENTIAL) == 2
    assert kept.wrong(torch.tensor([-1, 0]), 1, [Filters()] * 2, SEQUENTIAL) == 1
    # Of the pool's third row, not its first.
    assert kept.wrong(torch.tensor([1]), 2, [Filters(top_k=1)], SEQUENTIAL) == 0


def test_an_order_that_a_contender_does_not_follow_is_noticed() -> None:
    # Half of the row is 0.5 of 0.9 of the mass: alone it ends the nucleus, after top-k 2 it does not.
    logits = torch.tensor([[0.45, 0.44, 0.11]]).log()
    filters = [Filters(top_k=2, top_p=0.5)]
    assert KeptSets(logits).wrong(torch.tensor([1]), 0, filters, SEQUENTIAL) == 1
    assert KeptSets(logits).wrong(torch.tensor([1]), 0, filters, JOINT) == 0


def test_a_reference_that_is_not_of_the_whole_softmax_is_wrong() -> None:
    logits = torch.randn(5, 30, generator=torch.Generator().manual_seed(2))
    token = torch.arange(5)
    right = logits.log_softmax(-1)[token, token]
    assert wrong_references(logits, token, right) == 0
    assert wrong_references(logits, token, right + torch.tensor([0, 0.01, 0, torch.nan, 0])) == 2


@pytest.mark.parametrize("outputs", ["token", "logprobs", "reference"])
def test_one_wrong_bit_of_ours_is_counted(outputs: str) -> None:
    cell = Cell(300, 6, "bfloat16", "mixed", outputs=outputs)
    logits = make_logits("peaked", 6, 300, "bfloat16", CPU)
    contender = Fire(cell, CPU)
    result = contender.call(logits)
    assert wrong_of_ours(contender, result, logits) == 0
    found = [result] if isinstance(result, Tensor) else list(result)
    for place, output in enumerate(found):
        broken = [one.clone() for one in found]
        broken[place][4] = output[4] + (1e-4 if output.is_floating_point() else 1)
        changed = broken[0] if outputs == "token" else tuple(broken)
        unknown = bool(output[4].isnan()) if output.is_floating_point() else False
        assert wrong_of_ours(contender, changed, logits) == (0 if unknown else 1)


# ---- a run ----


def rehearse(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """A rehearsed run's exit status and results file."""
    out = tmp_path / "gpu.json"
    code = kernels.main(["--rehearse", "--out", str(out), *arguments])
    return code, json.loads(out.read_text())


def test_a_rehearsed_run_makes_every_call_checks_it_and_writes_a_file_that_readers_take(
    tmp_path: Path,
) -> None:
    code, run = rehearse(
        tmp_path, "--contenders", "fire", "copy", "hf", "torch.compile", "torch.topk", "torch.sort"
    )
    check(run)
    assert code == 0
    assert len(run["cells"]) == len(cells_of(REHEARSED, kernels.REHEARSED_CACHE))
    assert len(run["calls"]) == len(call_cells(list(SETTINGS)))
    drawn = [result for cell in run["cells"] for result in cell["results"].values()]
    assert all(result["median"] is None and result["wrong"] == 0 for result in drawn)
    assert all(cell["results"]["fire"]["checked"] >= cell["rows"] for cell in run["cells"])
    assert run["contenders"]["fire"] == {**run["contenders"]["fire"], "role": "ours", "limit": "copy"}
    mixed = next(cell for cell in run["cells"] if cell["setting"] == "mixed")
    assert set(mixed["results"]) == {"fire", "copy"}


def test_a_peer_that_is_missing_is_left_out_and_named_and_ours_may_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(contenders.ADAPTERS, "hf", "no_such_module:X")
    axes = ["--settings", "no filter", "--rows", "1"]
    code, run = rehearse(tmp_path, *axes, "--contenders", "fire", "hf")
    assert code == 0
    assert "no_such_module" in run["left_out"]["hf"]
    monkeypatch.setitem(contenders.ADAPTERS, "fire", "no_such_module:X")
    assert rehearse(tmp_path, *axes, "--contenders", "fire", "copy")[0] == 1


def test_wrong_tokens_end_a_run_with_1_and_are_shouted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(HuggingFace, "call", lambda self, logits: logits.argmin(-1))
    axes = ["--settings", "k=50 p=0.9", "--rows", "8", "--contenders", "fire", "hf"]
    code, run = rehearse(tmp_path, *axes)
    assert code == 1
    assert run["cells"][0]["results"]["hf"]["wrong"] == 16
    assert "16 WRONG" in capsys.readouterr().out


def test_a_peer_that_fails_costs_its_own_cells_and_ours_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: object, logits: Tensor) -> Tensor:
        raise RuntimeError("CUDA error: no kernel image\nand more lines")

    monkeypatch.setattr(HuggingFace, "call", fail)
    axes = ["--settings", "no filter", "p=0.9", "--contenders", "fire", "hf"]
    code, run = rehearse(tmp_path, *axes)
    assert code == 0
    assert all(set(cell["results"]) == {"fire"} for cell in run["cells"])
    assert run["left_out"]["hf"].startswith("failed 3 times, first in V=32 ")
    assert "hf failed: V=32 bfloat16" in capsys.readouterr().out
    monkeypatch.setattr(Fire, "call", fail)
    with pytest.raises(RuntimeError, match="no kernel image"):
        rehearse(tmp_path, *axes)


def test_a_run_that_is_out_of_time_says_how_many_cells_it_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rehearse(tmp_path, "--limit-s", "1e-9", "--contenders", "fire")
    assert f"{len(cells_of(REHEARSED, kernels.REHEARSED_CACHE)) + 18} not reached" in capsys.readouterr().out


def test_what_a_contender_cannot_do_is_told(tmp_path: Path) -> None:
    axes = ["--settings", "mixed", "--rows", "8", "--contenders", "fire", "hf"]
    run = Session(CPU, 1 << 16, clocks_of(CPU), ["fire", "hf"])
    cell = Cell(64, 8, "float32", "mixed")
    run.use([cell])
    assert set(run.measure(cell)["results"]) == {"fire"}
    assert "one setting for the whole batch" in str(run.refusals["hf"])
    assert rehearse(tmp_path, *axes)[0] == 0


def test_what_compiles_does_so_ahead_once_for_each_setting_and_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[str]] = []

    def run(words: list[str], **options: Any) -> None:
        made.append(words[2:])
        if len(made) == 1:
            raise subprocess.TimeoutExpired(words, options["timeout"])

    monkeypatch.setattr(kernels.subprocess, "run", run)
    session = Session(CPU, 1 << 16, clocks_of(CPU), ["fire", "torch.compile"])
    cells = [Cell(64, rows, "float32", name) for name in ("p=0.9", "no filter", "mixed") for rows in (1, 8)]
    kernels.compile_ahead(session, cells, tmp_path)
    assert sorted(words[words.index("--settings") + 1] for words in made) == ["no filter", "p=0.9"]
    for words in made:
        chosen = kernels.parser().parse_args(words)
        assert (chosen.contenders, chosen.dtypes, chosen.calls) == (["torch.compile"], ["float32"], 1)
        assert chosen.operators == tmp_path


def test_a_machine_with_the_operators_and_without_the_package_suffices(tmp_path: Path) -> None:
    folder = Path(fire.__file__).parent
    arguments = [
        "--rehearse",
        "--settings",
        "mixed",
        "--contenders",
        "fire",
        "copy",
        "--operators",
        str(folder),
    ]
    program = (
        "import runpy, sys; sys.modules['fire_sampling'] = None; sys.argv = sys.argv[1:];"
        f"sys.path.insert(0, {str(BENCH)!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    words = [sys.executable, "-c", program, str(BENCH / "kernels.py"), *arguments]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "2 cells, 0 not reached, 0 wrong tokens" in ended.stdout


def test_the_largest_streamed_batches_stand_under_the_devices_roofs() -> None:
    def timed(rows: int, fire: float | None, **axes: Any) -> dict[str, Any]:
        result = {"median": fire, "p10": fire, "p90": fire, "calls": 1, "checked": 0, "wrong": 0}
        cell = Cell(128_256, rows, "bfloat16", "no filter").as_dict() | axes
        return {**cell, "results": {"fire": result, "copy": {**result, "median": 60.0}}}

    cells = [timed(512, 60.0), timed(1024, 100.0), timed(1024, 50.0, place="in cache"), timed(64, 9.0)]
    run = {"cells": [*cells, timed(1024, 50.0, kind="flat"), timed(2048, None)]}
    (loop,) = loops.loops(run)
    assert (loop["name"], loop["variant"], loop["bytes"]) == ("no filter, 1024 rows", "bfloat16", 2.0)
    assert loop["ns"] == pytest.approx(100e3 / 1024 / 128_256)
    assert 0 < loop["instructions"] * 32 < 20
    (roof,) = loops.roofs(run, multiprocessors=132, ghz=1.98)
    assert roof["instructions_per_ns"] == pytest.approx(132 * 4 * 1.98, abs=0.1)
    assert roof["bytes_per_ns"] == pytest.approx(2048 * 128_256 * 2 / 60e3, abs=0.1)
    assert loops.roofs({"cells": []}, 132, 1.98) == []
    assert machine.highest_ghz({"highest SM clock": "1980 MHz"}) == 1.98
    assert machine.highest_ghz({"highest SM clock": "[N/A]"}) is None


def test_operators_that_are_nowhere_are_named_with_the_folders_looked_in(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"torch_cuda\.so are not in"):
        operators.load(tmp_path, with_cuda=True)


def test_a_time_is_shown_beside_its_limit_goal_and_peers() -> None:
    def result(median: float, wrong: int = 0) -> dict[str, Any]:
        return {"median": median, "p10": median, "p90": median, "calls": 9, "checked": 9, "wrong": wrong}

    cell = {**Cell(128_256, 64, "bfloat16", "k=50 p=0.9").as_dict(), "goal_us": 10, "predicted_us": [8, 12]}
    cell["results"] = {"fire": result(12.5), "copy": result(5.0), "hf": result(250.0, wrong=2)}
    roles = {"fire": {"role": "ours"}, "copy": {"role": "limit"}, "hf": {"role": "peer"}}
    text = kernels_table({"contenders": roles, "cells": [cell]})
    line = "| k=50 p=0.9 | 64 | 12.5 | 12.5 – 12.5 | 40 % | 10.0 | 8.00 – 12.0 | 1.25 × the goal |"
    assert f"{line} 250 (20.0 ×) 2 WRONG |" in text
    assert kernels_table({}) == "## Kernels\n\nnot measured"
