"""fire-sampling itself."""

from __future__ import annotations

import functools
from typing import Any

import torch
from harness.cases import STEPS, Case
from harness.kept_set import Drawn
from harness.records import records, steps
from torch import Tensor

from .contender import Call, Contender


class Fire(Contender):
    title = "fire-sampling"
    role = "ours"
    notes = (
        "torch.ops.fire.sample(logits, step, records), logits in their own type; for log-probabilities "
        "sample_with_logprobs, with reference=True for those of the whole softmax. The records are packed "
        "beforehand, the steps lie on the device."
    )

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        self._records = records(case).to(device)
        self._steps = [steps(case, draw).to(device) for draw in range(STEPS)]

    def ready(self, logits: Tensor, draw: int) -> Call:
        return functools.partial(self.call, logits, draw)

    def call(self, logits: Tensor, draw: int = 0) -> Any:
        step = self._steps[draw % STEPS]
        if self.case.outputs == "token":
            return torch.ops.fire.sample(logits, step, self._records)
        reference = self.case.outputs == "reference"
        return torch.ops.fire.sample_with_logprobs(logits, step, self._records, reference=reference)

    def drawn(self, result: Any) -> Drawn:
        if self.case.outputs == "token":
            return Drawn(result)
        token, logprob, reference = result[:3]
        return Drawn(token, logprob, reference if self.case.outputs == "reference" else None)
