"""Hugging Face transformers: the warpers and the draw of `generate(do_sample=True)`."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from ..selection import Cell
from .contender import Contender, RefusalError, log_softmax_of


class HuggingFace(Contender):
    title = "HF transformers"
    notes = (
        "What GenerationMixin._sample does with outputs.logits: the float32 copy of the last position, the "
        "warpers that generate appends for these settings (temperature, top-k, top-p, min-p), softmax, "
        "multinomial; greedy: argmax. Log-probabilities: log_softmax of the warped scores, of the "
        "reference of the raw logits. Left out: the concatenation of the token and the stopping criteria."
    )

    def __init__(self, cell: Cell, device: torch.device) -> None:
        super().__init__(cell, device)
        filters = self.same_filters()
        if filters.greedy and cell.outputs != "token":
            raise RefusalError("a greedy token has no log-probability here")
        self._greedy = filters.greedy
        self._warpers = LogitsProcessorList()
        if filters.temperature not in (0, 1):
            self._warpers.append(TemperatureLogitsWarper(filters.temperature))
        if filters.top_k > 0:
            self._warpers.append(TopKLogitsWarper(min(filters.top_k, cell.vocabulary)))
        if filters.top_p < 1:
            self._warpers.append(TopPLogitsWarper(filters.top_p))
        if filters.min_p > 0:
            self._warpers.append(MinPLogitsWarper(filters.min_p))
        self._input_ids = cast(torch.LongTensor, torch.zeros((cell.rows, 8), dtype=torch.long, device=device))

    @torch.no_grad()
    def call(self, logits: Tensor) -> Any:
        last = logits.unsqueeze(1)[:, -1].to(copy=True, dtype=torch.float32, device=self._input_ids.device)
        scores = self._warpers(self._input_ids, cast(torch.FloatTensor, last))
        if self._greedy:
            return torch.argmax(scores, dim=-1)
        probabilities = torch.nn.functional.softmax(scores, dim=-1)
        token = torch.multinomial(probabilities, num_samples=1).squeeze(1)
        if self.cell.outputs == "token":
            return token
        drawn = scores if self.cell.outputs == "logprobs" else last
        return token, log_softmax_of(drawn, token)
