"""What a contender is: an adapter that samples one batch of rows a call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from harness.settings import Filters
from torch import Tensor

from ..kept import SEQUENTIAL
from ..selection import Cell


class Contender(ABC):
    """One way to sample. What does not depend on logits is set up in `__init__`; `call` alone is timed."""

    title: ClassVar[str]
    # What a call does, what it leaves out or adds, and which tensors a caller would have made before.
    notes: ClassVar[str]
    role: ClassVar[str] = "peer"
    samples: ClassVar[bool] = True  # False: what `tokens` would return is no token
    compiles: ClassVar[bool] = False  # its first calls take seconds, and leave what they compiled on the disk
    order: ClassVar[str] = SEQUENTIAL  # of kept.ORDERS, as its documentation has it

    def __init__(self, cell: Cell, device: torch.device) -> None:
        """Raises RefusalError where it cannot do what the cell asks for."""
        self.cell = cell
        self.device = device
        self.of_rows = [cell.sampled_with.of_row(row) for row in range(cell.rows)]

    @abstractmethod
    def call(self, logits: Tensor) -> Any:
        """Samples one token a row: model logits [rows, vocabulary] in, tokens on the device out."""

    def tokens(self, result: Any) -> Tensor:
        """[rows], of what a call returned."""
        found: Tensor = result[0] if isinstance(result, tuple) else result
        return found.reshape(-1)

    def reference(self, result: Any) -> Tensor | None:
        """The tokens' log-probabilities in the whole softmax, where the cell asks for them."""
        return result[1] if isinstance(result, tuple) and self.cell.outputs == "reference" else None

    def same_filters(self) -> Filters:
        """The one setting of all rows; RefusalError where rows differ."""
        if self.cell.sampled_with.mixed:
            raise RefusalError("takes one setting for the whole batch")
        return self.of_rows[0]

    def top_k(self) -> list[int]:
        """Of each row; the vocabulary where the filter is off, as peers have it."""
        vocabulary = self.cell.vocabulary
        return [min(one.top_k, vocabulary) if one.top_k > 0 else vocabulary for one in self.of_rows]


class RefusalError(Exception):
    """Why a contender has no place in a cell."""


def log_softmax_of(logits: Tensor, token: Tensor) -> Tensor:
    """What serving engines add for a log-probability: log_softmax of the raw logits, and a gather."""
    return logits.log_softmax(-1, dtype=torch.float32).gather(1, token.long().view(-1, 1)).squeeze(1)
