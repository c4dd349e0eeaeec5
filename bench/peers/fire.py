"""fire-sampling itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from harness.cases import STEPS, Case
from harness.kept_set import Drawn
from harness.native import Native
from harness.settings import Filters

import fire_sampling

from .contender import Contender

SEED = 3


def configuration(filters: Filters, seed: int = SEED) -> fire_sampling.SamplingConfig:
    """The filters as a configuration: of the hot phase, at every step, where they are hot ones."""
    if filters.hot:
        return fire_sampling.SamplingConfig(
            temperature=1.0,
            top_k=0,
            hot_temperature=filters.temperature,
            hot_top_k=filters.top_k,
            hot_top_p=filters.top_p,
            hot_min_p=filters.min_p,
            hot_steps=2**31 - 1,
            seed=seed,
        )
    return fire_sampling.SamplingConfig(
        temperature=filters.temperature,
        top_k=filters.top_k,
        top_p=filters.top_p,
        min_p=filters.min_p,
        hot_steps=0,
        seed=seed,
    )


def configurations(case: Case) -> fire_sampling.SamplingConfig | Sequence[fire_sampling.SamplingConfig]:
    """One for the batch, or in a mixed one a configuration and a seed for each row."""
    setting = case.sampled_with
    if not setting.mixed:
        return configuration(setting.of_rows[0])
    return [configuration(setting.of_row(row), SEED + row) for row in range(case.rows)]


def steps(case: Case, draw: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """int64 [rows]: all at the same step, or in a mixed batch each at its own."""
    rows = np.arange(case.rows) if case.sampled_with.mixed else np.zeros(case.rows, np.int64)
    return rows + draw % STEPS


def reference_temperature(filters: Filters) -> float:
    """That of `ref_logprob`: the regular temperature, of which a greedy one counts as 1."""
    return 1.0 if filters.hot or filters.greedy else filters.temperature


class Fire(Contender):
    name = "fire"
    title = "fire-sampling"
    role = "ours"
    notes = (
        "torch.ops.fire.sample(logits, step, records), the records packed beforehand; for log-probabilities "
        "sample_with_logprobs, with reference=True for those of the whole softmax."
    )
    outputs = frozenset({"token", "logprobs", "reference"})

    def __init__(self, case: Case, batches: torch.Tensor, native: Native) -> None:
        super().__init__(case, batches, native)
        config = configurations(case)
        if isinstance(config, fire_sampling.SamplingConfig):
            self._records = fire_sampling.pack(config, rows=case.rows)
        else:
            self._records = fire_sampling.pack(config)
        self._steps = [torch.from_numpy(steps(case, draw)) for draw in range(STEPS)]
        self._with_logprobs, self._reference = case.outputs != "token", case.outputs == "reference"
        self._sample = torch.ops.fire.sample
        self._sample_with_logprobs = torch.ops.fire.sample_with_logprobs
        self.prepare(0, 0)

    def prepare(self, batch: int, draw: int) -> None:
        self._logits = self.batches[batch]
        self._step = self._steps[draw % STEPS]

    def call(self) -> Any:
        if not self._with_logprobs:
            return self._sample(self._logits, self._step, self._records)
        return self._sample_with_logprobs(self._logits, self._step, self._records, reference=self._reference)

    def drawn(self, result: Any) -> Drawn:
        if not self._with_logprobs:
            return Drawn(result.numpy())
        token, logprob, reference = result[:3]
        return Drawn(
            token.numpy(),
            logprob.double().numpy(),
            reference.double().numpy() if self._reference else None,
        )

    def wrong(self, drawn: Drawn, batch: int) -> int:
        """Nothing yet: session.py compares bit for bit with another process."""
        return 0
