"""One read of the rows: the least that any sampler does."""

from __future__ import annotations

import numpy as np
import torch
from harness.cases import Case
from harness.kept_set import Drawn
from harness.native import Native

from .contender import Contender


class Read(Contender):
    name = "read"
    title = "one read"
    role = "limit"
    outputs = frozenset({"token", "logprobs", "reference"})
    notes = (
        "A streaming maximum of every row, one thread (harness/native.cpp: g++ -O3 -ffast-math with the "
        "instruction set of the sampler beside it, eight independent vectors of maxima); of a bfloat16 row, "
        "of its bits as int16."
    )

    def __init__(self, case: Case, batches: torch.Tensor, native: Native) -> None:
        super().__init__(case, batches, native)
        self._read = native.read[batches.element_size()]
        self._integer = torch.int32 if batches.element_size() == 4 else torch.int16
        self._maxima = torch.empty(
            case.rows, dtype=torch.float32 if batches.element_size() == 4 else torch.int16
        )
        self._out = self._maxima.data_ptr()
        self.prepare(0, 0)

    def prepare(self, batch: int, draw: int) -> None:
        self._logits = self.batches[batch].data_ptr()

    def call(self) -> None:
        self._read(self._logits, self.case.rows, self.case.vocabulary, self._out)

    def drawn(self, result: None) -> Drawn:
        """Not tokens: the bits of the maxima."""
        return Drawn(self._maxima.view(self._integer).numpy().astype(np.int64))

    def wrong(self, drawn: Drawn, batch: int) -> int:
        logits = self.batches[batch]
        bits = (
            (logits if logits.dtype == torch.float32 else logits.view(torch.int16))
            .amax(-1)
            .view(self._integer)
        )
        return int((bits.numpy() != drawn.tokens).sum())
