"""The logits that are sampled: made on the device, and enough of them to stay out of its cache."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .selection import Cell

ROTATION = 4  # times the cache that a pool fills
_LIKELY = 64  # of a peaked row
_CHUNK = 1 << 23  # logits that are made at once
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def make_logits(kind: str, rows: int, vocabulary: int, dtype: str, device: torch.device) -> Tensor:
    """[rows, vocabulary] of the kinds that harness/rows.py describes, from other random numbers."""
    generator = torch.Generator(device=device).manual_seed(vocabulary)
    out = torch.empty(rows, vocabulary, dtype=DTYPES[dtype], device=device)
    for part in out.split(max(1, _CHUNK // vocabulary)):
        part.copy_(_make_part(kind, part.shape[0], vocabulary, generator, device))
    return out


def _make_part(
    kind: str, rows: int, vocabulary: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    noise = torch.randn(rows, vocabulary, generator=generator, device=device)
    if kind == "flat":
        return noise
    if kind in ("gaussian", "ties"):
        noise *= 3
        return noise if kind == "gaussian" else noise.round_()
    if kind not in ("peaked", "masked"):
        raise ValueError(f"kind of logits is {kind!r}, expected one of harness/rows.py")
    noise *= 2
    order = torch.rand(rows, vocabulary, generator=generator, device=device)
    likely = min(_LIKELY, vocabulary)
    values = 18 - 1.5 * torch.log(torch.arange(1, likely + 1, dtype=torch.float32, device=device))
    places = order.topk(likely, dim=-1).indices
    noise.scatter_(1, places, values.expand(rows, likely))
    if kind == "masked":
        noise.masked_fill_(torch.rand(noise.shape, generator=generator, device=device) < 0.9, -math.inf)
        noise[:, 0] = 0.0  # one survivor at least
    return noise


class Pool:
    """Rows of one kind, for cells that share it. `batches` cuts them into those that a cell's calls read."""

    def __init__(self, cells: Sequence[Cell], cache_bytes: int, device: torch.device) -> None:
        one = cells[0]
        self._most_rows = max(cell.rows for cell in cells)
        self._fills_cache = any(cell.out_of_cache for cell in cells)
        wanted = self._most_rows
        if self._fills_cache:
            wanted = max(2 * wanted, -(-ROTATION * cache_bytes // one.row_bytes))
        rows = -(-wanted // self._most_rows) * self._most_rows
        self.logits = make_logits(one.kind, rows, one.vocabulary, one.dtype, device)

    def serves(self, cells: Sequence[Cell]) -> bool:
        """Whether all of these, and any, can be measured on it."""
        return len(cells) > 0 and all(
            cell.rows <= self._most_rows and (self._fills_cache or not cell.out_of_cache) for cell in cells
        )

    def batches(self, cell: Cell) -> list[Tensor]:
        """Out of cache all there are, in cache the first."""
        count = self.logits.shape[0] // cell.rows if cell.out_of_cache else 1
        return list(self.logits[: count * cell.rows].split(cell.rows))
