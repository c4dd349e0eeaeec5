"""What no sampler can beat, and parts of a sampler that many users know the speed of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..selection import Cell
from .contender import Contender, RefusalError


class Copy(Contender):
    title = "a copy of as many bytes"
    notes = (
        "A device-to-device copy_ of half of the logits: what it reads and writes together is as many "
        "bytes as a sampler must read."
    )
    role = "limit"
    samples = False

    def __init__(self, cell: Cell, device: torch.device) -> None:
        super().__init__(cell, device)
        self._bytes = cell.bytes // 2
        self._target = torch.empty(self._bytes, dtype=torch.uint8, device=device)

    def call(self, logits: Tensor) -> Any:
        return self._target.copy_(logits.view(-1).view(torch.uint8)[: self._bytes])


class TopK(Contender):
    title = "torch.topk"
    notes = "torch.topk(logits, k) alone: no temperature, softmax or draw, and no copy in float32."
    role = "orientation"
    samples = False

    def __init__(self, cell: Cell, device: torch.device) -> None:
        super().__init__(cell, device)
        if not 0 < self.same_filters().top_k < cell.vocabulary:
            raise RefusalError("the setting has no top-k")

    def call(self, logits: Tensor) -> Any:
        return torch.topk(logits, self.of_rows[0].top_k, dim=-1)


class Sort(Contender):
    title = "torch.sort"
    notes = "torch.sort(logits, descending=True) alone: what a nucleus by sorting begins with."
    role = "orientation"
    samples = False

    def __init__(self, cell: Cell, device: torch.device) -> None:
        super().__init__(cell, device)
        if self.same_filters().top_p >= 1:
            raise RefusalError("the setting has no top-p")

    def call(self, logits: Tensor) -> Any:
        return torch.sort(logits, dim=-1, descending=True)
