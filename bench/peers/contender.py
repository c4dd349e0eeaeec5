"""What a contender is: an adapter that samples one batch of rows a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from harness.cases import Case
from harness.kept_set import Drawn, KeptSets, Order
from harness.native import Native


class Contender(ABC):
    """One way to sample. `prepare` is not timed, `call` is, and `drawn` reads off what `call` returned."""

    name: ClassVar[str]
    title: ClassVar[str]
    # What is left out of the timed call or added to it, and the order of the filters, for the report.
    notes: ClassVar[str]
    role: ClassVar[str] = "peer"
    # What it can return: the token alone, and which log-probabilities of it.
    outputs: ClassVar[frozenset[str]] = frozenset({"token"})
    order: ClassVar[Order] = Order()
    # `prepare` brings the input into the caches: out of cache, they are swept between it and the call.
    prepare_fills_caches: bool = False

    def __init__(self, case: Case, batches: torch.Tensor, native: Native) -> None:
        """`batches`: float32 or bfloat16 [batches, rows, vocabulary], in the memory a call reads."""
        self.case = case
        self.of_rows = [case.sampled_with.of_row(row) for row in range(case.rows)]
        self.batches = batches.unbind(0)
        self.native = native
        self._kept_sets = KeptSets(self.of_rows, self.order, self.reference_temperature(case))

    @classmethod
    def does(cls, case: Case) -> bool:
        """Whether it returns what the case asks for."""
        return case.outputs in cls.outputs

    @staticmethod
    def reference_temperature(case: Case) -> float:
        """That of the whole softmax in which `Drawn.reference` is a log-probability."""
        return 1.0

    @abstractmethod
    def prepare(self, batch: int, draw: int) -> None:
        """Makes ready the `draw`-th call, on this batch."""

    @abstractmethod
    def call(self) -> Any:
        """Samples one token a row of the batch made ready."""

    def drawn(self, result: Any) -> Drawn:
        """From what `call` returned: by default the tokens alone."""
        return Drawn(np.asarray(result, dtype=np.int64).reshape(-1))

    def wrong(self, drawn: Drawn, batch: int) -> int:
        """How many of a call's rows no sampler draws that does what this contender documents."""
        rows = self.batches[batch].float().numpy()
        return self._kept_sets.wrong(rows, batch * self.case.rows, drawn)
