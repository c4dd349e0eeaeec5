"""Hugging Face transformers: the warpers and the draw of `generate(do_sample=True)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from harness.cases import Case
from harness.kept_set import Drawn
from harness.settings import Filters
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from .contender import Contender, log_softmax_of


def warpers(filters: Filters, vocabulary: int) -> LogitsProcessorList:
    """Those that `generate` appends for these settings, in its order."""
    chosen = LogitsProcessorList()
    if filters.temperature not in (0, 1):
        chosen.append(TemperatureLogitsWarper(filters.temperature))
    if filters.top_k > 0:
        chosen.append(TopKLogitsWarper(min(filters.top_k, vocabulary)))
    if filters.top_p < 1:
        chosen.append(TopPLogitsWarper(filters.top_p))
    if filters.min_p > 0:
        chosen.append(MinPLogitsWarper(filters.min_p))
    return chosen


@dataclass(frozen=True)
class _Group:
    """Rows that share their settings: a call of `generate` has one for all of them."""

    rows: Tensor | None  # None: the whole batch
    warpers: LogitsProcessorList
    greedy: bool


class HuggingFace(Contender):
    title = "HF transformers"
    notes = (
        "What GenerationMixin._sample does with outputs.logits: the float32 copy of the last position, the "
        "warpers that generate appends for these settings (temperature, top-k, top-p, min-p), softmax, "
        "multinomial; greedy: argmax. Its settings are those of a whole batch: of a mixed one, rows with "
        "equal settings are sampled together. Log-probabilities: log_softmax of the warped scores, and of "
        "the logits. Left out: the concatenation of the token and the stopping criteria."
    )

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        members: dict[Filters, list[int]] = {}
        for row, filters in enumerate(self.of_rows):
            members.setdefault(filters, []).append(row)
        self._groups = [
            _Group(
                torch.tensor(rows, device=device) if len(members) > 1 else None,
                warpers(filters, case.vocabulary),
                filters.greedy,
            )
            for filters, rows in members.items()
        ]
        self._input_ids = cast(torch.LongTensor, torch.zeros((case.rows, 8), dtype=torch.long, device=device))

    @torch.no_grad()
    def call(self, logits: Tensor) -> Any:
        last = logits.unsqueeze(1)[:, -1]  # of [rows, length, vocabulary], as a model returns them
        last = last.to(copy=True, dtype=torch.float32, device=self._input_ids.device)
        if len(self._groups) == 1:
            return self._sample(self._groups[0], last)
        outputs = [
            torch.empty(self.case.rows, dtype=torch.long if place == 0 else torch.float32, device=self.device)
            for place in range(("token", "logprobs", "reference").index(self.case.outputs) + 1)
        ]
        for group in self._groups:
            for output, value in zip(outputs, self._sample(group, last[group.rows]), strict=True):
                output[group.rows] = value
        return outputs

    def drawn(self, result: Any) -> Drawn:
        return Drawn(*result)

    def _sample(self, group: _Group, logits: Tensor) -> list[Tensor]:
        scores = group.warpers(self._input_ids, cast(torch.FloatTensor, logits))
        if group.greedy:
            token = torch.argmax(scores, dim=-1)
        else:
            probabilities = torch.nn.functional.softmax(scores, dim=-1)
            token = torch.multinomial(probabilities, num_samples=1).squeeze(1)
        values = {"token": (), "logprobs": (scores,), "reference": (scores, logits)}[self.case.outputs]
        return [token, *(log_softmax_of(value, token) for value in values)]
