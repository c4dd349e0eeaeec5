"""The chain that one writes in plain PyTorch, through torch.compile."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import torch
from harness.cases import Case
from harness.settings import Filters
from torch import Tensor

from .contender import Contender, RefusalError, log_softmax_of


def chain(logits: Tensor, filters: Filters, outputs: str) -> Any:
    """Temperature, top-k, top-p, min-p, softmax and the draw; log-probabilities as `outputs` says."""
    if filters.greedy:
        return logits.argmax(-1)
    scores = logits.float() / filters.temperature
    if 0 < filters.top_k < scores.shape[-1]:
        scores = scores.masked_fill(scores < scores.topk(filters.top_k).values[:, -1:], -math.inf)
    if filters.top_p < 1:
        ordered, places = scores.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(-1)
        dropped = probabilities.cumsum(-1) - probabilities >= filters.top_p
        scores = scores.masked_fill(dropped.scatter(1, places, dropped), -math.inf)
    if filters.min_p > 0:
        scores = scores.masked_fill(
            scores < scores.amax(-1, keepdim=True) + math.log(filters.min_p), -math.inf
        )
    # The exponential race draws as torch.multinomial does, and it compiles.
    weights = scores.softmax(-1)
    token = (weights / torch.empty_like(weights).exponential_()).argmax(-1)
    if outputs == "token":
        return token
    return token, log_softmax_of(scores if outputs == "logprobs" else logits, token)


@functools.cache
def compiled(filters: Filters, outputs: str) -> Any:
    """One for all shapes; torch compiles for one row and for several apart."""
    return torch.compile(functools.partial(chain, filters=filters, outputs=outputs), dynamic=True)


class Compiled(Contender):
    title = "torch.compile"
    notes = (
        "The plain chain, compiled (dynamic=True): float32, temperature, top-k by topk, top-p by sort, "
        "min-p, softmax, an exponential race; greedy: argmax. Compiled beforehand. Eagerly on a CPU, in a "
        "rehearsal."
    )

    compiles = True
    settings: ClassVar[frozenset[str] | None] = frozenset({"k=50 p=0.9", "p=0.9", "no filter"})  # None: all

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        if self.settings is not None and case.setting not in self.settings:
            raise RefusalError("each setting takes seconds to compile; --full and --settings bring it")
        filters = self.same_filters()
        if filters.greedy and case.outputs != "token":
            raise RefusalError("a greedy token has no log-probability here")
        on_gpu = device.type == "cuda"
        self._chain = (
            compiled(filters, case.outputs)
            if on_gpu
            else functools.partial(chain, filters=filters, outputs=case.outputs)
        )

    def call(self, logits: Tensor) -> Any:
        return self._chain(logits)
