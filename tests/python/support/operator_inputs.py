"""Inputs that the tests of the operators share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from backends import DEVICE, IS_CPU, on_device, pack
from torch import Tensor

import fire_sampling as fire
from fire_sampling import _native

OPERATORS = (
    "sample",
    "sample_with_logprobs",
    "sample_with_support",
    "process_logits",
    "sample_group",
    "sample_group_with_logprobs",
    "heat_logits_",
    "log_prob",
    "log_prob_backward",
    "sample_coded",
    "first_code",
)
READING = OPERATORS[:6]  # take the same arguments and write nothing
WITH_LOGITS = OPERATORS[:-1]

GROUP = 3
WIDTH = 6  # cuts the support of some rows
KEYWORDS = {
    "sample_group": {"size": GROUP},
    "sample_group_with_logprobs": {"size": GROUP},
    "sample_with_support": {"width": WIDTH},
}

DTYPES = (torch.float32, torch.bfloat16, torch.float16)

# Every filter and phase that changes which branch of a kernel a row takes.
CONFIGS = (
    fire.SamplingConfig(temperature=0.8, top_k=10, top_p=0.9, seed=1),
    fire.SamplingConfig(temperature=0.0, seed=2),
    fire.SamplingConfig(temperature=1.3, top_p=0.95, hot_begin=2, hot_steps=3, seed=3),
    fire.SamplingConfig(min_p=0.1, order="vllm", ties="keep", hot_steps=0, seed=4),
    fire.SamplingConfig(top_k=5, top_p=0.7, order="joint", ties="keep_top_k", seed=5, ref_temperature=1.0),
    fire.SamplingConfig(hot_steps=0, seed=6),
    fire.SamplingConfig(temperature=0.6, hot_temperature=float("inf"), hot_top_k=4, seed=7),
)


class Inputs(NamedTuple):
    logits: Tensor  # [R, V]
    step: Tensor  # int64 [R]
    cfg: Tensor  # int32 [R, 16]


def make_inputs(
    rows: int = 9, vocabulary: int = 61, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Inputs:
    """Rows of which the last, if there are several, is all -inf; configs, steps and designs cycle through
    them.
    """
    logits = (random_normal(rows, vocabulary, seed=seed) * 3).to(dtype)
    if rows > 1:
        logits[-1] = -torch.inf
    step = torch.arange(rows) % 4
    return Inputs(logits, step, designed(pack([CONFIGS[row % len(CONFIGS)] for row in range(rows)])))


def designed(records: Tensor) -> Tensor:
    """The records with every design in turn, each as a member of a group of its own size."""
    names = _native.RECORD.names
    assert names is not None
    rows = torch.arange(records.shape[0], dtype=torch.int32)
    records = records.clone()
    records[:, names.index("flags")] |= rows % 5 << 5
    records[:, names.index("group")] = rows * 3 % 16 | rows * 5 << 16
    return records


def random_normal(*shape: int, seed: int) -> Tensor:
    """The same values on every device."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(*shape, generator=generator, device="cpu").to(DEVICE)


def arguments_of(name: str, inputs: Inputs) -> tuple[Tensor, ...]:
    """The positional arguments of an operator, without `slot`; logits are a copy where it writes to them."""
    logits, step, cfg = inputs
    if name == "heat_logits_":
        return logits.float().clone(), step, cfg
    token = torch.arange(logits.shape[0]) % max(1, logits.shape[1])
    if name == "log_prob":
        return logits, token, step, cfg
    if name == "log_prob_backward":
        return torch.linspace(-1, 1, logits.shape[0]), logits, token, step, cfg
    if name == "sample_coded":
        code = token * 0x5851F42D4C957F2D + 0x14057B7EF767814F  # any bits at all
        return logits, code, step, cfg
    if name == "first_code":
        return step, cfg
    return logits, step, cfg


def operator(name: str) -> torch._ops.OpOverload:
    return getattr(torch.ops.fire, name).default


def results_of(name: str, arguments: tuple[Tensor, ...], **keywords: object) -> tuple[Tensor, ...]:
    """Calls an operator; one that writes in place gives what it left in its first argument."""
    result = operator(name)(*arguments, **KEYWORDS.get(name, {}) | keywords)
    if result is None:
        return (arguments[0],)
    return result if isinstance(result, tuple) else (result,)


def assert_same_bits(results: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    """Equality in dtype, shape and value; NaN equals NaN."""
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(result, wanted, rtol=0, atol=0, equal_nan=True)


def assert_as_on_the_cpu(results: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    """The CPU's results: every bit, but log-probabilities, one float a row, a member of its group or a place
    of its support, within 1e-6 · max(1, |value|).
    """
    assert len(results) == len(expected)
    for result, wanted in zip(results, on_device(*expected), strict=True):
        is_logprob = result.is_floating_point() and (result.dim() == 1 or result.shape[1] in (GROUP, WIDTH))
        if IS_CPU or not is_logprob:
            assert_same_bits((result,), (wanted,))
            continue
        finite = wanted.isfinite()
        assert_same_bits((result[~finite],), (wanted[~finite],))
        assert ((result - wanted).abs() <= 1e-6 * wanted.abs().clamp(min=1))[finite].all()
