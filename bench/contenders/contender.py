"""What a contender is: an adapter that samples one batch of rows a call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from harness.cases import Case
from harness.kept_set import Drawn, Order
from harness.settings import Filters
from torch import Tensor

if TYPE_CHECKING:
    from harness.native import Native

Call = Callable[[], Any]


class RefusalError(Exception):
    """Why a contender has no place in a case."""


class Contender:
    """One way to sample. What does not depend on logits is set up in `__init__`, what a call needs of its
    input in `ready`; what that returns is timed, and `drawn` reads off what it returned."""

    title: ClassVar[str]
    # What a call does, what it leaves out or adds, which tensors a caller would have made before, and the
    # order of the filters, for the report.
    notes: ClassVar[str]
    role: ClassVar[str] = "peer"
    # What it can return: the token alone, and which log-probabilities of it.
    outputs: ClassVar[frozenset[str]] = frozenset({"token", "logprobs", "reference"})
    order: ClassVar[Order] = Order()
    samples: ClassVar[bool] = True  # False: what a call returns is no token
    compiles: ClassVar[bool] = False  # its first calls take seconds, and leave what they compiled on the disk
    # `ready` brings the input into the caches: out of cache, they are swept between it and the call.
    ready_fills_caches: bool = False
    refuses: ClassVar[type[Exception]] = RefusalError  # what `__init__` raises
    native: ClassVar[Native]  # of a process that measures on a CPU

    def __init__(self, case: Case, device: torch.device) -> None:
        """Raises RefusalError where it cannot do what the case asks for."""
        if case.outputs not in self.outputs:
            raise RefusalError(f"it returns no {case.outputs}")
        self.case = case
        self.device = device
        self.of_rows = [case.sampled_with.of_row(row) for row in range(case.rows)]

    def ready(self, logits: Tensor, draw: int) -> Call:
        """The `draw`-th call: samples one token a row of model logits [rows, vocabulary]."""
        return functools.partial(self.call, logits)

    def call(self, logits: Tensor) -> Any:
        """What the usual `ready` times: one that has a `ready` of its own needs none."""
        raise NotImplementedError

    def drawn(self, result: Any) -> Drawn:
        """From what a call returned: by default tokens, and the log-probabilities that the case asks for."""
        if not isinstance(result, tuple):
            return Drawn(result.reshape(-1))
        token, value = result
        return Drawn(
            token.reshape(-1), **{"logprob" if self.case.outputs == "logprobs" else "reference": value}
        )

    def same_filters(self) -> Filters:
        """The one setting of all rows; RefusalError where rows differ."""
        if self.case.sampled_with.mixed:
            raise RefusalError("takes one setting for the whole batch")
        return self.of_rows[0]

    def top_k(self) -> list[int]:
        """Of each row; the vocabulary where the filter is off, as peers have it."""
        vocabulary = self.case.vocabulary
        return [min(one.top_k, vocabulary) if one.top_k > 0 else vocabulary for one in self.of_rows]


def log_softmax_of(logits: Tensor, token: Tensor) -> Tensor:
    """What serving engines add for a log-probability: log_softmax of the raw logits, and a gather."""
    return logits.log_softmax(-1, dtype=torch.float32).gather(1, token.long().view(-1, 1)).squeeze(1)
