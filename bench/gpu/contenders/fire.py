"""fire-sampling itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..records import records, steps
from ..selection import Cell
from .contender import Contender


class Fire(Contender):
    title = "fire-sampling"
    notes = (
        "torch.ops.fire.sample(logits, step, records), or sample_with_logprobs: logits in their own type, "
        "one launch. The records are packed beforehand, the steps lie on the device."
    )
    role = "ours"

    def __init__(self, cell: Cell, device: torch.device) -> None:
        super().__init__(cell, device)
        self.records = records(cell).to(device)
        self.steps = steps(cell).to(device)

    def call(self, logits: Tensor) -> Any:
        if self.cell.outputs == "token":
            return torch.ops.fire.sample(logits, self.steps, self.records)
        wants_reference = self.cell.outputs == "reference"
        return torch.ops.fire.sample_with_logprobs(
            logits, self.steps, self.records, reference=wants_reference
        )

    def reference(self, result: Any) -> Tensor | None:
        return result[2] if self.cell.outputs == "reference" else None

    def expected(self, logits: Tensor) -> tuple[Tensor, ...]:
        """What the CPU backend returns: token, and logprob and ref_logprob where the cell asks for them."""
        inputs = (logits.cpu(), self.steps.cpu(), self.records.cpu())
        if self.cell.outputs == "token":
            return (torch.ops.fire.sample(*inputs),)
        return tuple(torch.ops.fire.sample_with_logprobs(*inputs, reference=self.cell.outputs == "reference"))
