"""CUDA returns what the CPU returns, a million rows and records long: every bit, but log-probabilities within
1e-6.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from operator_inputs import CONFIGS, DTYPES, assert_as_on_the_cpu
from torch import Tensor

import fire_sampling as fire

pytestmark = pytest.mark.every_backend

CPU = torch.device("cpu")


def random_rows(rows: int, vocabulary: int, dtype: torch.dtype, seed: int) -> Tensor:
    """Bells, ties, masks, junk bits and rows of one value, side by side."""
    generator = torch.Generator("cpu").manual_seed(seed)
    logits = (torch.randn(rows, vocabulary, generator=generator, device=CPU) * 3).to(dtype)
    logits[1::8] = logits[1::8].round()
    masked = torch.rand(logits[2::8].shape, generator=generator, device=CPU) < 0.9
    logits[2::8] = logits[2::8].masked_fill(masked, -torch.inf)
    integer = torch.int32 if dtype == torch.float32 else torch.int16
    shape = logits[3::8].shape
    junk = torch.randint(-(2**31), 2**31, shape, generator=generator, dtype=torch.int64, device=CPU)
    logits[3::8] = junk.to(integer).view(dtype)
    logits[4::8] = logits[4::8, :1]
    logits[5::64] = -torch.inf
    return logits


def random_records(count: int, seed: int) -> Tensor:
    """Half of them any bits at all, half configurations with seeds of their own."""
    generator = torch.Generator("cpu").manual_seed(seed)
    bits = torch.randint(
        -(2**31), 2**31, (count, 16), generator=generator, dtype=torch.int64, device=CPU
    ).int()
    configs = fire.pack(list(CONFIGS))
    chosen = configs[torch.arange(count, device=CPU) % len(CONFIGS)]
    chosen[:, 12:14] = bits[:, 12:14]
    sensible = (torch.arange(count, device=CPU) % 2 == 0)[:, None]
    return torch.where(sensible, chosen, bits)


def compare(name: str, logits: Tensor, *arguments: Any, **keywords: Any) -> None:
    operator = getattr(torch.ops.fire, name)
    there = operator(logits.cuda(), *(argument.cuda() for argument in arguments), **keywords)
    here = operator(logits, *arguments, **keywords)
    if isinstance(here, Tensor):
        here, there = (here,), (there,)
    assert_as_on_the_cpu(tuple(there), tuple(here))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rows", "vocabulary"), [(350_000, 257), (20_000, 1000), (2_000, 32_000), (300, 151_936), (5, 2**21)]
)
def test_many_rows_and_records_equal_the_cpu(rows: int, vocabulary: int, dtype: torch.dtype) -> None:
    logits = random_rows(rows, vocabulary, dtype, seed=vocabulary)
    records = random_records(rows, seed=rows)
    step = torch.arange(rows, device=CPU) % 5
    compare("sample", logits, step, records)
    compare("sample_with_logprobs", logits, step, records)
    compare("sample_with_logprobs", logits, step, records, reference=False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "vocabulary"), [(4_000, 257), (200, 32_000), (9, 151_936)])
def test_whole_rows_equal_the_cpu(rows: int, vocabulary: int, dtype: torch.dtype) -> None:
    logits = random_rows(rows, vocabulary, dtype, seed=vocabulary)
    records = random_records(rows, seed=rows)
    step = torch.arange(rows, device=CPU) % 5
    compare("process_logits", logits, step, records)
    token = torch.ops.fire.sample(logits, step, records)
    compare("log_prob", logits, token, step, records)
    heated = {device: logits.float().to(device) for device in ("cpu", "cuda")}
    for device, tensor in heated.items():
        torch.ops.fire.heat_logits_(tensor, step.to(device), records.to(device))
    assert_as_on_the_cpu((heated["cuda"],), (heated["cpu"],))


def test_a_batch_beyond_2_to_the_32_elements_reads_and_writes_the_right_rows() -> None:
    """About 27 GB on the device."""
    rows, vocabulary = 2_200, 2**21
    assert rows * vocabulary > 2**32
    row = random_rows(8, vocabulary, torch.bfloat16, seed=1)
    logits = torch.zeros(rows, vocabulary, dtype=torch.bfloat16, device="cuda")
    records = fire.pack(fire.SamplingConfig(top_p=0.9, seed=4), rows=rows)
    step = torch.ones(rows, dtype=torch.int64, device=CPU)
    # First and last, and beside the rows where an offset passes 2^31 and 2^32 elements.
    watched = [0, 1023, 1024, 1025, 2047, 2048, 2049, rows - 1]
    for index, source in zip(watched, row, strict=True):
        logits[index] = source.cuda()
    results = torch.ops.fire.sample_with_logprobs(logits, step.cuda(), records.cuda())
    expected = torch.ops.fire.sample_with_logprobs(row, step[watched], records[watched])
    assert_as_on_the_cpu(tuple(result[watched] for result in results), expected)
    processed = torch.ops.fire.process_logits(logits, step.cuda(), records.cuda())
    expected = torch.ops.fire.process_logits(row, step[watched], records[watched])
    assert_as_on_the_cpu((processed[watched],), (expected,))


def test_rows_beyond_2_to_the_24_are_all_drawn() -> None:
    rows = 2**24 + 3
    logits = torch.zeros(1, 2, device="cuda").expand(rows, 2)
    records = fire.pack([fire.SamplingConfig(hot_steps=0, seed=4)], device="cuda")
    slot = torch.zeros(1, dtype=torch.int32, device="cuda").expand(rows)
    step = torch.arange(rows, device="cuda")
    token = torch.ops.fire.sample(logits, step, records, slot)
    ones = int(token.sum())
    # Of n fair draws the ones are within 6 standard deviations, 3 √n, of n / 2, but once in 5 · 10^8 runs.
    assert abs(ones - rows / 2) < 3 * rows**0.5
    tail = torch.ops.fire.sample(logits[:9].cpu(), step[-9:].cpu(), records.cpu(), slot[:9].cpu())
    assert torch.equal(token[-9:].cpu(), tail)
