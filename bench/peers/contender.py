"""What a contender is: an adapter that samples one batch of rows a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from harness.cases import Case, Filters
from harness.kept_set import KeptSets
from harness.native import Native

Tokens = npt.NDArray[np.int64]


class Contender(ABC):
    """One way to sample. `prepare` is not timed, `call` is, and `tokens` reads off what `call` returned."""

    name: ClassVar[str]
    title: ClassVar[str]
    # What is left out of the timed call or added to it, and the order of the filters, for the report.
    notes: ClassVar[str]
    # `prepare` brings the input into the caches: out of cache, they are swept between it and the call.
    prepare_fills_caches: ClassVar[bool] = False
    # Where the mass that top-p counts, and the ratio that min-p takes, are those of temperature 1.
    filters_before_temperature: ClassVar[bool] = False

    def __init__(self, case: Case, batches: torch.Tensor, native: Native) -> None:
        """`batches`: float32 or bfloat16 [batches, rows, vocabulary], in the memory a call reads."""
        self.case = case
        self.filters: Filters = case.filters
        self.batches = batches.unbind(0)
        self.native = native
        self._kept_sets = KeptSets(case.filters)

    @abstractmethod
    def prepare(self, batch: int, draw: int) -> None:
        """Makes ready the `draw`-th call, on this batch."""

    @abstractmethod
    def call(self) -> Any:
        """Samples one token a row of the batch made ready."""

    def tokens(self, result: Any) -> Tokens:
        return np.asarray(result, dtype=np.int64).reshape(-1)

    def wrong(self, tokens: Tokens, batch: int) -> int:
        """How many of a call's tokens lie outside the kept set that this contender documents."""
        rows = self.batches[batch].float().numpy()
        return self._kept_sets.wrong(rows, batch * self.case.rows, tokens, self.filters_before_temperature)
