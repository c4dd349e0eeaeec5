"""FlashInfer: its sampling functions, each where its documentation has it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from harness.cases import Case
from harness.kept_set import Order
from torch import Tensor

from . import packed
from .contender import Contender, RefusalError, log_softmax_of

# Where top_k_top_p_sampling_from_logits selects before it softens: then it reads 16-bit logits.
_FAST_MOST_K = 256
_FAST_LEAST_VOCABULARY = 65536


class FlashInfer(Contender):
    title = "FlashInfer"
    notes = (
        "top-k with or without top-p: top_k_top_p_sampling_from_logits, top_k_first; top-p alone: softmax, "
        "top_p_sampling_from_probs; min-p alone: softmax, min_p_sampling_from_probs; no filter: "
        "sampling_from_logits; all three, and rows that differ: softmax, top_k_renorm_probs, "
        "top_p_renorm_probs, min_p_sampling_from_probs, greedy rows as top-k 1. Logits become float32 in "
        "the call, except in the top-k path that takes them as they are (k ≤ 256, V ≥ 65,536); temperature "
        "is softmax's own, or a division before the call that has none. Seeds lie on the device, so that "
        "graphs can hold it. Reference log-probabilities: log_softmax of the raw logits."
    )

    runs_on: ClassVar[str] = "cuda"

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        if device.type != self.runs_on:
            raise RefusalError(f"it runs on {self.runs_on} tensors alone")
        if case.outputs == "logprobs":
            raise RefusalError("it returns no filtered probabilities")
        self._sampling = packed.flashinfer_sampling()
        one = self.of_rows[0]
        if not case.sampled_with.mixed and one.greedy:
            raise RefusalError("greedy is an argmax, which it has none of")
        self._random = {
            "seed": torch.zeros(1, dtype=torch.int64, device=device),
            "offset": torch.zeros(1, dtype=torch.int64, device=device),
        }
        if case.sampled_with.mixed:
            self._set_each_row(case, device)
        self.call_on = self._choose()

    def _set_each_row(self, case: Case, device: torch.device) -> None:
        top_k = [1 if one.greedy else k for one, k in zip(self.of_rows, self.top_k(), strict=True)]
        temperature = [1.0 if one.greedy else one.temperature for one in self.of_rows]
        self._top_k: Tensor | int = torch.tensor(top_k, dtype=torch.int32, device=device)
        self._top_p: Tensor | float = torch.tensor([one.top_p for one in self.of_rows], device=device)
        self._min_p: Tensor | float = torch.tensor([one.min_p for one in self.of_rows], device=device)
        self._temperature: Tensor | float = torch.tensor(temperature, device=device)

    def _choose(self) -> Any:
        """The documented function for the case's filters."""
        if self.case.sampled_with.mixed:
            return self._renormalise
        one = self.of_rows[0]
        self._top_k = self.top_k()[0]
        self._top_p, self._min_p, self._temperature = one.top_p, one.min_p, one.temperature
        filters_k, filters_p, filters_min = one.top_k > 0, one.top_p < 1, one.min_p > 0
        if filters_min and (filters_k or filters_p):
            return self._renormalise
        if filters_min:
            return self._min_p_alone
        if filters_k:
            return self._top_k_first
        return self._top_p_alone if filters_p else self._no_filter

    def call(self, logits: Tensor) -> Any:
        token = self.call_on(logits)
        return token if self.case.outputs == "token" else (token, log_softmax_of(logits, token))

    def _heated(self, logits: Tensor) -> Tensor:
        return logits.float() if self._temperature == 1 else logits.float().div_(self._temperature)

    def _softmax(self, logits: Tensor) -> Tensor:
        return self._sampling.softmax(logits, self._temperature)

    def _top_k_first(self, logits: Tensor) -> Tensor:
        takes_any_type = self._top_k <= _FAST_MOST_K and logits.shape[1] >= _FAST_LEAST_VOCABULARY
        if not (takes_any_type and self._temperature == 1):
            logits = self._heated(logits)
        return self._sampling.top_k_top_p_sampling_from_logits(
            logits, self._top_k, self._top_p, **self._random
        )

    def _top_p_alone(self, logits: Tensor) -> Tensor:
        return self._sampling.top_p_sampling_from_probs(self._softmax(logits), self._top_p, **self._random)

    def _min_p_alone(self, logits: Tensor) -> Tensor:
        return self._sampling.min_p_sampling_from_probs(self._softmax(logits), self._min_p, **self._random)

    def _no_filter(self, logits: Tensor) -> Tensor:
        return self._sampling.sampling_from_logits(self._heated(logits), **self._random)

    def _renormalise(self, logits: Tensor) -> Tensor:
        kept = self._sampling.top_k_renorm_probs(self._softmax(logits), self._top_k)
        kept = self._sampling.top_p_renorm_probs(kept, self._top_p)
        return self._sampling.min_p_sampling_from_probs(kept, self._min_p, **self._random)


class FlashInferJoint(FlashInfer):
    title = "FlashInfer, joint"
    notes = (
        "top_k_top_p_sampling_from_logits(filter_apply_order='joint') on float32 logits: top-p counts the "
        "mass of the whole row."
    )
    order = Order(joint=True)

    def _choose(self) -> Any:
        if self.case.sampled_with.mixed:
            raise RefusalError("shown for one setting a batch")
        one = self.of_rows[0]
        if one.top_k <= 0 or one.top_p >= 1 or one.min_p > 0:
            raise RefusalError("the order matters to top-k with top-p alone")
        self._top_k, self._top_p, self._temperature = self.top_k()[0], one.top_p, one.temperature
        return self._joint

    def _joint(self, logits: Tensor) -> Tensor:
        return self._sampling.top_k_top_p_sampling_from_logits(
            self._heated(logits), self._top_k, self._top_p, filter_apply_order="joint", **self._random
        )


class FlashInferProbs(FlashInfer):
    title = "FlashInfer, softmax first"
    notes = "softmax, then sampling_from_probs: what there is where a caller needs the probabilities too."

    def _choose(self) -> Any:
        one = self.same_filters()
        if one.top_k > 0 or one.top_p < 1 or one.min_p > 0:
            raise RefusalError("it has no filter")
        self._temperature = one.temperature
        return self._from_probs

    def _from_probs(self, logits: Tensor) -> Tensor:
        return self._sampling.sampling_from_probs(self._softmax(logits), **self._random)
