"""A cell's records and steps, laid out as in docs/semantics.md: operators may come without the package."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import torch
from harness.settings import Filters
from torch import Tensor

from .selection import Cell

ALWAYS = 2**31 - 1  # hot steps: every step that is asked for
_LAST_STEP = 1000


def records(cell: Cell) -> Tensor:
    """int32 [rows, 16]: each row's filters, in the phase that they belong to, and a seed of its own."""
    return pack([cell.sampled_with.of_row(row) for row in range(cell.rows)])


def pack(of_rows: Sequence[Filters]) -> Tensor:
    """int32 [rows, 16]; row r has seed r."""
    packed = b"".join(_record(filters, seed) for seed, filters in enumerate(of_rows))
    return torch.frombuffer(bytearray(packed), dtype=torch.int32).view(len(of_rows), 16)


def steps(cell: Cell) -> Tensor:
    """int64 [rows]: 0 everywhere, or, where rows differ, as of sequences that began at different times."""
    if not cell.sampled_with.mixed:
        return torch.zeros(cell.rows, dtype=torch.int64)
    return torch.arange(cell.rows, dtype=torch.int64) * 37 % _LAST_STEP


def _record(filters: Filters, seed: int) -> bytes:
    phase = struct.pack("<fiff", filters.temperature, filters.top_k, filters.top_p, filters.min_p)
    # hot_begin, hot_steps, flags, stream, seed, ref_temperature, reserved; flag 4: the reference is given.
    rest = struct.pack("<iiIIIIfI", 0, ALWAYS if filters.hot else 0, 1 << 4, 0, seed, 0, 1.0, 0)
    return phase + phase + rest
