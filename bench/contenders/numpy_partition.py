"""Sampling as one writes it in NumPy: argpartition for top-k, a sort only of what is left."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import torch
from harness.cases import Case
from harness.kept_set import Drawn
from harness.settings import Filters

from .contender import Call, Contender

FloatRow = npt.NDArray[np.float32]


class NumpyPartition(Contender):
    title = "NumPy argpartition"
    notes = (
        "Top-k by argpartition, then temperature, softmax, top-p by a sort of what is left, min-p, one "
        "uniform number; greedy: argmax. Rows one after another; NumPy has no bfloat16: they are widened "
        "within the call. Log-probability: of what is left, by the same sums."
    )

    outputs = frozenset({"token", "logprobs"})

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        self._with_logprobs = case.outputs == "logprobs"
        self._generator = np.random.default_rng(3)
        self._widen = case.dtype == "bfloat16"

    def ready(self, logits: torch.Tensor, draw: int) -> Call:
        rows = (logits.view(torch.uint16) if self._widen else logits).numpy()
        return functools.partial(self._sample_rows, rows)

    def _sample_rows(self, rows: npt.NDArray[np.float32 | np.uint16]) -> list[tuple[int, float]]:
        return [self._sample(row, of) for row, of in zip(rows, self.of_rows, strict=True)]

    def drawn(self, result: list[tuple[int, float]]) -> Drawn:
        tokens, logprobs = zip(*result, strict=True)
        return Drawn(torch.tensor(tokens), torch.tensor(logprobs) if self._with_logprobs else None)

    def _sample(self, row: npt.NDArray[np.float32 | np.uint16], filters: Filters) -> tuple[int, float]:
        """The token, and the logarithm of its probability where that is asked for."""
        logits: FloatRow = (
            (row.astype(np.uint32) << 16).view(np.float32) if self._widen else row.view(np.float32)
        )
        if filters.greedy:
            return int(logits.argmax()), 0.0
        ids = None
        if 0 < filters.top_k < logits.size:
            ids = np.argpartition(logits, logits.size - filters.top_k)[-filters.top_k :]
            logits = logits[ids]
        scaled = logits if filters.temperature == 1 else logits / np.float32(filters.temperature)
        weights = np.exp(scaled - scaled.max())
        if filters.top_p < 1:
            order = np.argsort(-weights)
            mass = np.cumsum(weights[order])
            nucleus = order[: int(np.searchsorted(mass, filters.top_p * mass[-1])) + 1]
            ids = nucleus if ids is None else ids[nucleus]
            weights = weights[nucleus]
        if filters.min_p > 0:
            weights[weights < filters.min_p * weights.max()] = 0
        mass = np.cumsum(weights)
        drawn = int(np.searchsorted(mass, self._generator.random() * mass[-1], side="right"))
        drawn = min(drawn, mass.size - 1)  # a product rounded up to the whole mass
        logprob = float(np.log(weights[drawn] / mass[-1])) if self._with_logprobs else 0.0
        return drawn if ids is None else int(ids[drawn]), logprob
