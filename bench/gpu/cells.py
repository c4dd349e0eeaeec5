"""What is timed: settings, dtypes, numbers of rows, and the rows themselves."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from harness.settings import Filters
from torch import Tensor

from .records import pack

VOCABULARY = 128_256
ROWS = (1, 8, 32, 64, 128, 512, 1024)
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Setting:
    """One way to sample; the defaults switch a filter off."""

    name: str
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    flat: bool = False  # rows without a peak: nearly all of them are in the nucleus
    outputs: str = "token"  # or "logprobs" from the same pass, or "reference": those of the whole row too


# The most telling first, should time run out.
SETTINGS = (
    Setting("k50 p.9", top_k=50, top_p=0.9),
    Setting("none"),
    Setting("top-p .9", top_p=0.9),
    Setting("top-p .9 flat", top_p=0.9, flat=True),
    Setting("k50 p.9 + logprobs", top_k=50, top_p=0.9, outputs="logprobs"),
    Setting("k50 p.9 + reference", top_k=50, top_p=0.9, outputs="reference"),
    Setting("k1000", top_k=1000),
    Setting("min-p .05", min_p=0.05),
)


@dataclass(frozen=True)
class Cell:
    setting: Setting
    dtype: str
    rows: int
    vocabulary: int

    @property
    def row_bytes(self) -> int:
        return self.vocabulary * DTYPES[self.dtype].itemsize

    @property
    def bytes(self) -> int:
        """What must be read: every logit once."""
        return self.rows * self.row_bytes


def cells(rows: tuple[int, ...] = ROWS, vocabulary: int = VOCABULARY) -> list[Cell]:
    """All of them, those that share their rows next to each other."""
    return [
        Cell(setting, dtype, count, vocabulary) for dtype, setting, count in product(DTYPES, SETTINGS, rows)
    ]


def records(setting: Setting, count: int) -> Tensor:
    """int32 [count, 16]: T = 1, never hot, a seed each."""
    return pack([Filters(top_k=setting.top_k, top_p=setting.top_p, min_p=setting.min_p)] * count)


def logits(rows: int, vocabulary: int, dtype: torch.dtype, flat: bool, device: torch.device) -> Tensor:
    """Random rows: a model's, whose probabilities fall with rank as Zipf has it, or normal ones."""
    generator = torch.Generator(device=device).manual_seed(1)
    out = torch.empty(rows, vocabulary, dtype=dtype, device=device)
    for part in out.split(64):
        if flat:
            part.copy_(torch.randn(part.shape, generator=generator, device=device))
        else:
            rank = torch.rand(part.shape, generator=generator, device=device) * vocabulary
            # In double precision, so that any machine's logarithm rounds to the same row.
            part.copy_(18 - 2.2 * torch.log1p(rank.double()))
    return out
