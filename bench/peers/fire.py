"""fire-sampling itself."""

from __future__ import annotations

import torch
from harness.cases import STEPS, Case
from harness.native import Native

import fire_sampling

from .contender import Contender

SEED = 3


def configuration(case: Case) -> fire_sampling.SamplingConfig:
    """The case's filters as a record: of the hot phase, at every step, where the setting is a hot one."""
    filters = case.filters
    if case.hot:
        return fire_sampling.SamplingConfig(
            temperature=1.0,
            top_k=0,
            hot_temperature=filters.temperature,
            hot_top_k=filters.top_k,
            hot_top_p=filters.top_p,
            hot_min_p=filters.min_p,
            hot_steps=2**31 - 1,
            seed=SEED,
        )
    return fire_sampling.SamplingConfig(
        temperature=filters.temperature,
        top_k=filters.top_k,
        top_p=filters.top_p,
        min_p=filters.min_p,
        hot_steps=0,
        seed=SEED,
    )


class Fire(Contender):
    name = "fire"
    title = "fire-sampling"
    notes = "torch.ops.fire.sample(logits, step, records); the records are packed beforehand."

    def __init__(self, case: Case, batches: torch.Tensor, native: Native) -> None:
        super().__init__(case, batches, native)
        self._records = fire_sampling.pack(configuration(case), rows=case.rows)
        self._steps = [torch.full((case.rows,), step) for step in range(STEPS)]
        self._sample = torch.ops.fire.sample
        self.prepare(0, 0)

    def prepare(self, batch: int, draw: int) -> None:
        self._logits = self.batches[batch]
        self._step = self._steps[draw % STEPS]

    def call(self) -> torch.Tensor:
        token: torch.Tensor = self._sample(self._logits, self._step, self._records)
        return token
