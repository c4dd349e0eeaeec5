"""Hugging Face transformers: the warpers and the draw of `generate(do_sample=True)`."""

from __future__ import annotations

from typing import cast

import torch
from harness.cases import Case
from harness.native import Native
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from .contender import Contender


class HuggingFace(Contender):
    name = "hf"
    title = "HF transformers"
    notes = (
        "What GenerationMixin._sample does with outputs.logits: the float32 copy of the last position, the "
        "warpers that generate appends for these settings (temperature, top-k, top-p, min-p), softmax, "
        "multinomial. "
        "Left out: the concatenation of the token and the stopping criteria."
    )

    def __init__(self, case: Case, batches: torch.Tensor, native: Native) -> None:
        super().__init__(case, batches, native)
        filters = self.filters
        self._warpers = LogitsProcessorList()
        if filters.temperature != 1:
            self._warpers.append(TemperatureLogitsWarper(filters.temperature))
        if filters.top_k > 0:
            self._warpers.append(TopKLogitsWarper(min(filters.top_k, case.vocabulary)))
        if filters.top_p < 1:
            self._warpers.append(TopPLogitsWarper(filters.top_p))
        if filters.min_p > 0:
            self._warpers.append(MinPLogitsWarper(filters.min_p))
        self._input_ids = cast(torch.LongTensor, torch.zeros((case.rows, 8), dtype=torch.long))
        self.prepare(0, 0)

    def prepare(self, batch: int, draw: int) -> None:
        self._logits = self.batches[batch].unsqueeze(1)  # as a model returns them: [rows, length, vocabulary]

    @torch.no_grad()
    def call(self) -> torch.Tensor:
        logits = self._logits[:, -1].to(copy=True, dtype=torch.float32, device=self._input_ids.device)
        scores = self._warpers(self._input_ids, cast(torch.FloatTensor, logits))
        probabilities = torch.nn.functional.softmax(scores, dim=-1)
        return torch.multinomial(probabilities, num_samples=1).squeeze(1)
