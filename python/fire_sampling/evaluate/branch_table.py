"""The branch table: what every first-token design would give, from one run.

A prompt is read once. From each of its K most probable first tokens M answers are drawn with nothing hot,
and beside them n plain samples. How often the answers of a first token are right is a property of that token;
a design, a hot top-k and a hot temperature, only says how often each token comes first.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import fire_sampling as fire
from fire_sampling.evaluate.packages import EvaluationError
from fire_sampling.evaluate.prompts import Prompt
from fire_sampling.evaluate.samples_file import Entry
from fire_sampling.evaluate.summary import interval_text, rounded
from fire_sampling.metrics import mean_interval, paired_bootstrap, pass_at_k

TEMPERATURES = (1.0, 2.0, 5.0, 30.0)
MOST_SAMPLES = 1000  # choices of more leave float64


def check(options: argparse.Namespace, hot: fire.SamplingConfig) -> None:
    """Refuses what the table cannot predict.

    Raises:
        EvaluationError: Another backend, too many samples, or hot steps besides the first token.
    """
    if options.backend != "transformers":
        raise EvaluationError(
            f"--branch-table: got --backend {options.backend}, expected transformers: it chooses first tokens"
        )
    if options.samples > MOST_SAMPLES:
        raise EvaluationError(
            f"--branch-table: got --samples {options.samples}, expected at most {MOST_SAMPLES}"
        )
    if hot.hot_window != range(1):
        raise EvaluationError(
            f"--branch-table: got hot steps {list(hot.hot_window)[:3]}, expected the first token alone: [0]"
        )


def one_prompt(
    backend: Any, prompt: Prompt, number: int, plain: fire.SamplingConfig, options: argparse.Namespace
) -> Entry:
    """The row of the table for the prompt of this number, and its plain samples."""
    import torch

    read, _ = backend.read(prompt)
    top = read.logits.float().topk(min(options.first_tokens, len(read.logits)))
    firsts = [token for token in top.indices.tolist() for _ in range(options.continuations)]
    plain = plain.replace(order="hf", ties="keep_top_k")
    count = len(firsts) + options.samples
    records = fire.pack(plain, rows=count, first_row=number * count).to(read.logits.device)
    drawn = fire.sample(read.logits.expand(options.samples, -1), 0, records[len(firsts) :]).tolist()
    completions = backend.complete(prompt, [[token] for token in [*firsts, *drawn]], records)
    correct = [int(one.ended and prompt.judge(one.text).correct) for one in completions]
    table = torch.tensor(correct[: len(firsts)]).view(-1, options.continuations)
    return {
        "name": prompt.name,
        "prompt": prompt.messages,
        "expected": prompt.expected,
        "first": [backend.tokenizer.decode([token]) for token in top.indices.tolist()],
        "logits": top.values.tolist(),
        "correct": table.sum(1).tolist(),
        "plain": correct[len(firsts) :],
        "texts": [one.text for one in completions],
        "versions": backend.versions,
    }


def designs(options: argparse.Namespace, hot: fire.SamplingConfig) -> list[fire.SamplingConfig]:
    """The designs of the result: powers of two as hot top-k, some hot temperatures, and the one asked for."""
    ks = sorted({*(k for k in (2, 4, 8, 16) if k <= options.first_tokens), options.first_tokens})
    pairs = [(k, temperature) for k in ks for temperature in TEMPERATURES]
    own = hot.resolve()
    if 0 < own.hot_top_k <= options.first_tokens:
        pairs.append((own.hot_top_k, own.hot_temperature))
    return [hot.replace(hot_top_k=k, hot_temperature=temperature) for k, temperature in dict.fromkeys(pairs)]


def first_token_distribution(logits: Sequence[float], design: fire.SamplingConfig) -> npt.NDArray[np.float64]:
    """The probability [K] with which a design draws each of the K most probable tokens.

    Exact while its top-k is at most K: what it keeps, and with what weight, then depends on these alone.
    """
    import torch

    row = torch.tensor([list(logits)], dtype=torch.float32)
    kept = fire.process_logits(row, 0, design.replace(order="hf", ties="keep_top_k", seed=0))
    return np.asarray(kept[0].double().softmax(-1).numpy())


def predicted(
    chances: npt.NDArray[np.float64], correct: Sequence[int], continuations: int, samples: int
) -> list[float]:
    """pass@1 to pass@n of n independent samples whose first token comes with these chances [K].

    All of n samples are wrong with the chance Σ n!/(Π n_t!) Π q_t^n_t w_t^n_t, over all counts n_t of first
    tokens that add up to n, where w_t is how often an answer after t is wrong. From c right ones of M,
    C(M − c, m) / C(M, m) estimates w_t^m without bias; so the prediction of pass@n has none for n ≤ M. Of a
    token that comes more than M times in a group, w_t is taken as M − c of M. The sum is the n-th
    coefficient of a product of K polynomials.
    """
    product = np.zeros(samples + 1)
    product[0] = 1
    for chance, right in zip(chances, correct, strict=True):
        if chance > 0:
            wrong = continuations - right
            powers = [
                math.comb(wrong, m) / math.comb(continuations, m)
                if m <= continuations
                else (wrong / continuations) ** m
                for m in range(samples + 1)
            ]
            terms = chance ** np.arange(samples + 1) * powers
            product = np.array([_binomial_sum(product, terms, n) for n in range(samples + 1)])
    return [float(1 - value) for value in product[1:]]


def _binomial_sum(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], n: int) -> float:
    """Σ C(n, m) a_m b_(n−m): the n-th coefficient of a product of exponential generating functions, times n!.

    The factorials themselves leave float64 at n = 171.
    """
    return float((_choices(n) * a[: n + 1] * b[n::-1]).sum())


@functools.cache
def _choices(n: int) -> npt.NDArray[np.float64]:
    """C(n, 0) to C(n, n)."""
    return np.array([math.comb(n, m) for m in range(n + 1)], dtype=np.float64)


def summarise(
    settings: dict[str, Any], options: argparse.Namespace, hot: fire.SamplingConfig, entries: Sequence[Entry]
) -> dict[str, Any]:
    """The result: pass@k of plain samples as drawn, and of every design as predicted, with its difference."""
    ks, most = settings["pass_at"], max(settings["pass_at"])
    plain = {k: [pass_at_k(len(entry["plain"]), sum(entry["plain"]), k) for entry in entries] for k in ks}
    found = []
    for design in designs(options, hot):
        predictions = []
        for entry in entries:
            chances = first_token_distribution(entry["logits"], design)
            predictions.append(predicted(chances, entry["correct"], options.continuations, most))
        line: dict[str, Any] = {"hot_top_k": design.hot_top_k, "hot_temperature": design.hot_temperature}
        for k in ks:
            values = [prediction[k - 1] for prediction in predictions]
            line[f"pass@{k}"] = rounded(mean_interval(values))
            line[f"pass@{k}, design - plain"] = rounded(paired_bootstrap(plain[k], values))
        found.append(line)
    return {
        "settings": settings,
        "versions": entries[-1]["versions"],
        "prompts": len(entries),
        "plain": {f"pass@{k}": rounded(mean_interval(values)) for k, values in plain.items()},
        "designs": found,
    }


def table(result: dict[str, Any]) -> str:
    """The result for a terminal."""
    ks = result["settings"]["pass_at"]
    lines = [
        "plain, as drawn: " + ", ".join(f"pass@{k} {result['plain'][f'pass@{k}']['mean']:.3f}" for k in ks)
    ]
    lines.append("predicted, design − plain [95 %]")
    for line in result["designs"]:
        cells = [f"pass@{k} {interval_text(line[f'pass@{k}, design - plain'])}" for k in ks]
        name = f"hot top-k {line['hot_top_k']:>2}, hot T {line['hot_temperature']:>4g}"
        lines.append(f"{name}:  " + "  ".join(cells))
    return "\n".join(lines)
