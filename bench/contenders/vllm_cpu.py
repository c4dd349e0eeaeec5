"""vLLM's own sampler on the CPU: `vllm.v1.sample.sampler.Sampler`, as its model runner calls it."""

from __future__ import annotations

import functools
import os
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import torch
from harness.cases import Case
from harness.kept_set import Drawn, Order
from vllm.platforms import current_platform
from vllm.v1.sample.logits_processor import LogitsProcessors, MinPLogitsProcessor
from vllm.v1.sample.logits_processor.interface import BatchUpdate
from vllm.v1.sample.metadata import SamplingMetadata
from vllm.v1.sample.sampler import Sampler

from .contender import Call, Contender

if not current_platform.is_cpu():
    raise ImportError("vLLM found another platform than the CPU")
current_platform.import_kernels()


class VllmCpu(Contender):
    title = "vLLM (CPU)"
    notes = (
        "vllm.v1.sample.sampler.Sampler with the metadata that its runner builds once for a batch: float32 "
        "copy, temperature, min-p, top-k, top-p, its compiled Gumbel draw, each row with its own settings; "
        "greedy: its compiled argmax. min-p comes first, and top-p counts the mass that it leaves. "
        "Log-probabilities: of the filtered distribution (logprobs_mode processed_logprobs) or of the whole "
        "softmax (raw_logprobs), with the rank, not both in a call. float32 logits, which it overwrites, "
        "are copied beforehand, untimed. Left out: penalties, generators of a request's own."
    )
    outputs = frozenset({"token", "logprobs"})
    order = Order(min_p_first=True)

    def __init__(self, case: Case, device: torch.device) -> None:
        super().__init__(case, device)
        self._with_logprobs = case.outputs == "logprobs"
        self._sampler = Sampler("processed_logprobs" if self._with_logprobs else "raw_logprobs")
        self._metadata = self._make_metadata()
        self._owned = torch.empty(case.rows, case.vocabulary) if case.dtype == "float32" else None
        self.ready_fills_caches = self._owned is not None

    def ready(self, logits: torch.Tensor, draw: int) -> Call:
        return functools.partial(self.call, logits if self._owned is None else self._owned.copy_(logits))

    @torch.inference_mode()
    def call(self, logits: torch.Tensor) -> Any:
        return self._sampler(logits, self._metadata)

    def drawn(self, result: Any) -> Drawn:
        tokens = result.sampled_token_ids.squeeze(1)
        if not self._with_logprobs:
            return Drawn(tokens)
        return Drawn(tokens, result.logprobs_tensors.logprobs[:, 0])

    def _make_metadata(self) -> SamplingMetadata:
        """As InputBatch does: what no row uses is None, a filter that is off has a value that keeps all."""
        rows = self.of_rows
        greedy = [one.greedy for one in rows]
        top_k = [one.top_k or self.case.vocabulary for one in rows]
        top_p = [one.top_p for one in rows]
        return SamplingMetadata(
            temperature=None if all(greedy) else torch.tensor([one.temperature for one in rows]),
            all_greedy=all(greedy),
            all_random=not any(greedy),
            top_p=torch.tensor(top_p) if min(top_p) < 1 else None,
            top_k=(torch.tensor(top_k, dtype=torch.int32) if min(top_k) < self.case.vocabulary else None),
            generators={},
            max_num_logprobs=0 if self._with_logprobs else None,
            no_penalties=True,
            prompt_token_ids=None,
            frequency_penalties=torch.zeros(len(rows)),
            presence_penalties=torch.zeros(len(rows)),
            repetition_penalties=torch.ones(len(rows)),
            output_token_ids=[],
            allowed_token_ids_mask=None,
            bad_words_token_ids={},
            logitsprocs=LogitsProcessors([self._min_p()]),
        )

    def _min_p(self) -> MinPLogitsProcessor:
        config = SimpleNamespace(scheduler_config=SimpleNamespace(max_num_seqs=self.case.rows))
        processor = MinPLogitsProcessor(config, torch.device("cpu"), False)
        added = [(row, one, None, []) for row, one in enumerate(self.of_rows)]
        processor.update_state(BatchUpdate(self.case.rows, [], added, []))
        return processor
