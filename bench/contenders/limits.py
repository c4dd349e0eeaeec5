"""What no sampler can beat, and parts of a sampler that many users know the speed of."""

from __future__ import annotations

import functools
from typing import Any

import torch
from harness.cases import Case
from harness.kept_set import Drawn
from torch import Tensor

from .contender import Call, Contender, RefusalError


class Read(Contender):
    title = "one read"
    role = "limit"
    samples = False
    notes = (
        "A streaming maximum of every row, one thread (harness/native.cpp: g++ -O3 -ffast-math with the "
        "instruction set of the sampler beside it, eight independent vectors of maxima); of a bfloat16 row, "
        "of its bits as int16."
    )

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        self._read = self.native.read[case.row_bytes // case.vocabulary]
        self._maxima = torch.empty(case.rows, dtype=torch.float32 if case.dtype == "float32" else torch.int16)

    def ready(self, logits: Tensor, draw: int) -> Call:
        where = (logits.data_ptr(), self.case.rows, self.case.vocabulary, self._maxima.data_ptr())
        return functools.partial(self._read, *where)

    def drawn(self, result: Any) -> Drawn:
        """Not tokens: the bits of the maxima."""
        return Drawn(_bits(self._maxima).long())

    def wrong(self, drawn: Drawn, logits: Tensor) -> int:
        values = logits if logits.dtype == torch.float32 else logits.view(torch.int16)
        return int((_bits(values.amax(-1)) != drawn.tokens).sum())


def _bits(values: Tensor) -> Tensor:
    return values.view(torch.int32) if values.dtype == torch.float32 else values


class Copy(Contender):
    title = "a copy of as many bytes"
    notes = (
        "A device-to-device copy_ of half of the logits: what it reads and writes together is as many "
        "bytes as a sampler must read."
    )
    role = "limit"
    samples = False

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        self._bytes = case.bytes // 2
        self._target = torch.empty(self._bytes, dtype=torch.uint8, device=device)

    def call(self, logits: Tensor) -> Any:
        return self._target.copy_(logits.view(-1).view(torch.uint8)[: self._bytes])


class TopK(Contender):
    title = "torch.topk"
    notes = "torch.topk(logits, k) alone: no temperature, softmax or draw, and no copy in float32."
    role = "orientation"
    samples = False

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        if not 0 < self.same_filters().top_k < case.vocabulary:
            raise RefusalError("the setting has no top-k")

    def call(self, logits: Tensor) -> Any:
        return torch.topk(logits, self.of_rows[0].top_k, dim=-1)


class Sort(Contender):
    title = "torch.sort"
    notes = "torch.sort(logits, descending=True) alone: what a nucleus by sorting begins with."
    role = "orientation"
    samples = False

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        if self.same_filters().top_p >= 1:
            raise RefusalError("the setting has no top-p")

    def call(self, logits: Tensor) -> Any:
        return torch.sort(logits, dim=-1, descending=True)
