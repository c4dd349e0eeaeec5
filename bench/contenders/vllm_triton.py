"""vLLM's own sampler (of its second model runner): Triton kernels filter, Gumbel noise draws."""

from __future__ import annotations

from typing import Any

import torch
from harness.cases import Case
from harness.kept_set import Order
from harness.records import steps
from torch import Tensor

from . import packed
from .contender import Contender, RefusalError, log_softmax_of


class VllmTriton(Contender):
    title = "vLLM, Triton"
    notes = (
        "vllm/v1/worker/gpu/sample: the float32 copy of the logits where something filters or heats, "
        "temperature, min-p, top-k and top-p (apply_top_k_top_p_triton), Gumbel argmax; each step only "
        "where a row asks for it, as vLLM skips it. Order: min-p, top-k, top-p. Greedy rows have "
        "temperature 0. Settings lie on the device beforehand. Reference log-probabilities: log_softmax of "
        "the raw logits, which vLLM's own kernel does faster for several tokens a row."
    )
    compiles = True
    order = Order(min_p_first=True)

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        if case.outputs == "logprobs":
            raise RefusalError("by default it returns log-probabilities of the raw logits")
        self._ops = packed.vllm_ops()
        rows, of_rows = case.rows, self.of_rows

        def column(values: list[Any], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device)

        top_k = self.top_k()
        self._request = torch.arange(rows, dtype=torch.int32, device=device)
        self._temperature = column([one.temperature for one in of_rows], torch.float32)
        self._min_p = column([one.min_p for one in of_rows], torch.float32)
        self._top_k = column(top_k, torch.int32) if min(top_k) < case.vocabulary else None
        self._top_p = (
            column([one.top_p for one in of_rows], torch.float32)
            if any(one.top_p < 1 for one in of_rows)
            else None
        )
        self._heats = any(one.temperature not in (0, 1) for one in of_rows)
        self._cuts = any(one.min_p > 0 for one in of_rows)
        self._seed = torch.arange(rows, dtype=torch.int64, device=device)
        self._position = steps(case).to(device)

    def call(self, logits: Tensor) -> Any:
        processed = logits
        filters = self._top_k is not None or self._top_p is not None
        if self._heats or self._cuts or filters:
            processed = torch.empty_like(logits, dtype=torch.float32).copy_(logits)
        if self._heats:
            self._ops.apply_temperature(processed, self._request, self._temperature)
        if self._cuts:
            self._ops.apply_min_p(processed, self._request, self._min_p)
        if filters:
            processed = self._ops.apply_top_k_top_p(processed, self._top_k, self._top_p)
        token = self._ops.gumbel_sample(
            processed,
            self._request,
            self._temperature,
            self._seed,
            self._position,
            apply_temperature=False,
            is_drafting=False,
        )
        if self.case.outputs == "token":
            return token
        return token, log_softmax_of(logits, token)
