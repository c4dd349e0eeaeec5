"""A case's records and steps, laid out as in docs/semantics.md: operators may come without the package."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import torch
from torch import Tensor

from .cases import STEPS, Case
from .settings import Filters

ALWAYS = 2**31 - 1  # hot steps: every step that is asked for


def records(case: Case) -> Tensor:
    """int32 [rows, 16]: each row's filters, in the phase that they belong to, and a seed of its own."""
    return pack([case.sampled_with.of_row(row) for row in range(case.rows)])


def pack(of_rows: Sequence[Filters]) -> Tensor:
    """int32 [rows, 16]; row r has seed r."""
    packed = b"".join(_record(filters, seed) for seed, filters in enumerate(of_rows))
    return torch.frombuffer(bytearray(packed), dtype=torch.int32).view(len(of_rows), 16)


def steps(case: Case, draw: int = 0) -> Tensor:
    """int64 [rows]: all at the same step, or in a mixed batch each at its own."""
    rows = torch.arange(case.rows) if case.sampled_with.mixed else torch.zeros(case.rows, dtype=torch.int64)
    return rows + draw % STEPS


def _record(filters: Filters, seed: int) -> bytes:
    phase = struct.pack("<fiff", filters.temperature, filters.top_k, filters.top_p, filters.min_p)
    # hot_begin, hot_steps, flags, stream, seed, ref_temperature, group; flag 4: the reference is given.
    rest = struct.pack("<iiIIIIfI", 0, ALWAYS if filters.hot else 0, 1 << 4, 0, seed, 0, 1.0, 0)
    return phase + phase + rest


def kept_in_first_row(case: Case, pool: Tensor) -> int:
    """How many tokens our sampler keeps of the first row."""
    inputs = (pool[:1].cpu(), steps(case)[:1], records(case)[:1])
    return int(torch.ops.fire.sample_with_logprobs(*inputs, reference=False)[4])
