"""The FIRE logits processor, watched: what came to it in every row, and what it left there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from engine import RUNNER

from fire_sampling.integrations.vllm import FireLogitsProcessor

SPYING_PROCESSOR = f"{__name__}:SpyingProcessor"


@dataclass(frozen=True)
class Row:
    """One row of one call: float32 [V] before and after, the request's parameters and the tokens it has."""

    params: Any
    generated: int
    before: torch.Tensor
    after: torch.Tensor
    # Whether vLLM drops what the row yields, because the prompt is still being read.
    dropped: bool

    @property
    def tag(self) -> str:
        return str((self.params.extra_args or {}).get("tag"))

    @property
    def changed(self) -> bool:
        return not torch.equal(self.before, self.after)


class SpyingProcessor(FireLogitsProcessor):  # type: ignore[misc]
    # Set by `watch`; before that, and for dummy batches, nothing is recorded.
    runner: ClassVar[Any] = None
    rows: ClassVar[list[Row]] = []

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._params_of_slot: dict[int, Any] = {}

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        self._params_of_slot[req_idx] = sampling_params
        super().add_request(req_idx, sampling_params)
        return True

    def apply(self, logits: torch.Tensor, context: Any = None) -> torch.Tensor:
        before = logits.clone()
        heated = super().apply(logits, context)
        assert heated is logits
        if SpyingProcessor.runner is not None:
            describe = self._row_of_v1 if context is None else self._row_of_v2
            for row in range(logits.shape[0]):
                params, generated, dropped = describe(row, context)
                self.rows.append(Row(params, generated, before[row], logits[row].clone(), dropped))
        return heated

    def _row_of_v1(self, row: int, _: Any) -> tuple[Any, int, bool]:
        request = self.runner.requests[self.runner.input_batch.req_ids[row]]
        dropped = bool(self.runner.discard_request_mask.np[row])
        return request.sampling_params, len(request.output_token_ids), dropped

    def _row_of_v2(self, row: int, context: Any) -> tuple[Any, int, bool]:
        slot = int(context.idx_mapping_np[row])
        states = self.runner.req_states
        # The position of the row's input token, as the scheduler's own numbers have it.
        length = int(context.seq_lens_upper_bound_np[row])
        dropped = length < int(states.prefill_len.np[slot])
        return self._params_of_slot[slot], length - int(states.prompt_len.np[slot]), dropped


def watch(runner: Any) -> list[Row]:
    """Starts recording the rows of `runner`; returns the list they are appended to."""
    assert RUNNER in (1, 2)
    SpyingProcessor.runner = runner
    SpyingProcessor.rows = []
    return SpyingProcessor.rows
