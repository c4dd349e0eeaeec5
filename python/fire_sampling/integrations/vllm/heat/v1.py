"""FIRE on vLLM's V1 runner: requests by their row of the batch, steps counted on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fire_sampling.config import RECORD_WORDS
from fire_sampling.integrations.vllm.device_table import upload
from fire_sampling.integrations.vllm.records import Record, Recorder


@dataclass(frozen=True)
class _Row:
    record: Record
    hot: range
    # vLLM's own list, which grows with the request. Under asynchronous scheduling it holds placeholders for
    # tokens still on the device: its length is right, its values need not be.
    output: list[int]


class HeatV1Rows:
    """The requests of the batch that have a hot window, by row."""

    def __init__(self, vllm_config: Any) -> None:
        self._recorder = Recorder(vllm_config)
        self._rows: dict[int, _Row] = {}

    def update(self, batch_update: Any) -> None:
        """Follows the batch: vLLM's `BatchUpdate`, removals, then additions, then moves; None: no change."""
        if batch_update is None:
            return
        for row in batch_update.removed:
            self._rows.pop(row, None)
        for row, params, _, output in batch_update.added:
            self._rows.pop(row, None)
            request = self._recorder.heated(params)
            if request is not None:
                record = self._recorder.record(request.config)
                self._rows[row] = _Row(record, request.config.hot_window, output)
        for source, target, direction in batch_update.moved:
            moved, replaced = self._rows.pop(source, None), self._rows.pop(target, None)
            if moved is not None:
                self._rows[target] = moved
            if replaced is not None and direction.name == "SWAP":
                self._rows[source] = replaced

    def heat(self, logits: torch.Tensor) -> None:
        """Heats the hot rows of `logits`, float32 [rows of the batch, V], in place.

        A request whose prompt is still being read has a row as well: no step of it counts, since the step is
        the number of tokens that it has put out, and vLLM drops what such a row yields.
        """
        hot = [(row, state) for row, state in self._rows.items() if len(state.output) in state.hot]
        if not hot:
            return
        rows = logits.shape[0]
        # Records of zeros are never hot. Records and steps travel in one copy.
        words = np.zeros(rows * (RECORD_WORDS + 1), np.int32)
        records, steps = (
            words[: rows * RECORD_WORDS].reshape(rows, RECORD_WORDS),
            words[rows * RECORD_WORDS :],
        )
        for row, state in hot:
            records[row] = state.record
            steps[row] = len(state.output)
        there = upload(words, logits.device)
        torch.ops.fire.heat_logits_(
            logits, there[rows * RECORD_WORDS :], there[: rows * RECORD_WORDS].view(rows, RECORD_WORDS)
        )
