"""The fused sampler of vLLM's V1 model runner.

V1 keeps a batch's requests in its first rows and moves them as others end. So the records are laid out anew,
in the order of the rows, whenever vLLM makes new `SamplingMetadata`; in all other steps nothing is copied.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor
from vllm.v1.outputs import LogprobsTensors, SamplerOutput
from vllm.v1.sample.logits_processor import (
    LogitBiasLogitsProcessor,
    LogitsProcessors,
    MinPLogitsProcessor,
    MinTokensLogitsProcessor,
)
from vllm.v1.sample.metadata import SamplingMetadata
from vllm.v1.sample.sampler import Sampler

from fire_sampling.config import RECORD_WORDS
from fire_sampling.integrations.vllm.device_table import upload
from fire_sampling.integrations.vllm.fused import UnfitError, explain_once, require_attributes, require_form
from fire_sampling.integrations.vllm.fused.draw import (
    LOGPROB_MODES,
    PROCESSED_MODES,
    FusedRecorder,
    Rows,
    draw,
    draw_with_logprobs,
    draw_with_processed_logits,
    is_fire_processor,
    unfit_logits,
)

_VLLMS_OWN = (LogitBiasLogitsProcessor, MinPLogitsProcessor, MinTokensLogitsProcessor)


def install(model_runner: Any) -> bool:
    """`fused.install` of a V1 runner; returns whether the FIRE processor is among the engine's."""
    require_form(
        Sampler,
        *("forward", "logits", "sampling_metadata", "predict_bonus_token", "logprobs_mode_override"),
    )
    require_form(Sampler, "sample", "logits", "sampling_metadata", "logprobs_mode_override")
    require_form(Sampler, *("apply_logits_processors", "logits", "sampling_metadata", "predict_bonus_token"))
    require_attributes(
        model_runner, "requests", "seq_lens", "discard_request_mask", "max_num_reqs", "vllm_config"
    )
    require_attributes(
        model_runner.input_batch,
        *("req_ids", "req_id_to_index", "num_prompt_tokens", "generators", "logitsprocs"),
    )
    for processor in model_runner.input_batch.logitsprocs.argmax_invariant:
        if type(processor) is not MinPLogitsProcessor:
            raise UnfitError(
                f"the logits processor {type(processor).__name__} runs behind the temperature, where the "
                "fused sampler has nothing to hand it"
            )
    if all(
        is_fire_processor(each) or type(each) in _VLLMS_OWN
        for each in model_runner.input_batch.logitsprocs.all
    ):
        # vLLM otherwise waits for the tokens of the last step, for processors that read them.
        model_runner.input_batch.logitsprocs_need_output_token_ids = False
    sampler = model_runner.sampler
    sampler.fire_batch = FusedV1Rows(model_runner)
    sampler.__class__ = FusedSampler
    heats: bool = sampler.fire_batch.recorder.heats
    return heats


class FusedSampler(Sampler):  # type: ignore[misc]
    """vLLM's V1 sampler, its tokens drawn by fire_sampling. Made by `install` alone."""

    draws_by_fire = True
    fire_batch: FusedV1Rows
    fire_draws = False  # while vLLM's own `forward` runs around the draw

    def forward(
        self,
        logits: Tensor,
        sampling_metadata: SamplingMetadata,
        predict_bonus_token: bool = False,
        logprobs_mode_override: str | None = None,
    ) -> SamplerOutput:
        batch = self.fire_batch
        batch.take_generators_back()
        ours = not predict_bonus_token and logprobs_mode_override is None
        if not ours or not batch.follow(logits, sampling_metadata):
            return super().forward(logits, sampling_metadata, predict_bonus_token, logprobs_mode_override)
        batch.put_generators_aside()
        if not self._operator_reports(sampling_metadata):
            self.fire_draws = True
            try:
                return super().forward(logits, batch.metadata)
            finally:
                self.fire_draws = False
        if batch.edits():
            logits = self.apply_logits_processors(logits.to(torch.float32), batch.metadata, False)
        if sampling_metadata.max_num_logprobs is None:
            token, reported = draw(logits, batch.rows()), None
        else:
            token, logprob, rank = draw_with_logprobs(logits, batch.rows(), self.logprobs_mode)
            reported = LogprobsTensors(token.to(torch.int32).unsqueeze(1), logprob.unsqueeze(1), rank)
        return SamplerOutput(token.to(torch.int32).unsqueeze(1), reported)

    def sample(
        self, logits: Tensor, sampling_metadata: SamplingMetadata, logprobs_mode_override: str | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if not self.fire_draws:
            return super().sample(logits, sampling_metadata, logprobs_mode_override)  # type: ignore[no-any-return]
        rows = self.fire_batch.rows()
        reports = sampling_metadata.max_num_logprobs is not None or sampling_metadata.logprob_token_ids
        if not reports or self.logprobs_mode not in PROCESSED_MODES:
            return draw(logits, rows), None
        token, processed = draw_with_processed_logits(logits, rows)
        wants_logprobs = self.logprobs_mode == "processed_logprobs"
        return token, self.compute_logprobs(processed) if wants_logprobs else processed

    def _operator_reports(self, metadata: SamplingMetadata) -> bool:
        """Whether the operator returns all that is to be reported; else vLLM's own code gathers it."""
        if metadata.logprob_token_ids:
            return False
        if metadata.max_num_logprobs is None:
            return True
        # Raw ones are of the logits before any edit, which the operator does not see.
        edited = self.logprobs_mode == "raw_logprobs" and self.fire_batch.edits()
        return metadata.max_num_logprobs == 0 and self.logprobs_mode in LOGPROB_MODES and not edited


@dataclasses.dataclass(frozen=True)
class Request:
    """What is known of a request that is in the batch, or was before it was preempted."""

    params: Any
    prompt_len: int
    record: bytes


class FusedV1Rows:
    """The rows of the runner's batch, and what the operators need to draw for them."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.recorder = FusedRecorder(runner.vllm_config, runner.input_batch.logitsprocs.all)
        self._requests: dict[str, Request] = {}
        self._records = torch.zeros(
            (runner.max_num_reqs, RECORD_WORDS), dtype=torch.int32, device=runner.device
        )
        self._prompt_len = torch.zeros(runner.max_num_reqs, dtype=torch.int32, device=runner.device)
        self._rows = 0
        self._seen: SamplingMetadata | None = None
        self._aside: dict[str, torch.Generator] = {}
        self._said: set[str] = set()
        # vLLM's metadata, less the processor that would heat rows before they are drawn hot.
        self.metadata: SamplingMetadata | None = None

    def follow(self, logits: Tensor, metadata: SamplingMetadata) -> bool:
        """Brings the records up to date; False where the batch is for vLLM's own sampler."""
        if metadata is not self._runner.input_batch.sampling_metadata:
            return False  # a warm-up, on rows that belong to no request
        reason = unfit_logits(logits, len(self._runner.input_batch.req_ids))
        if reason is not None:
            explain_once(reason, self._said)
            return False
        if metadata is not self._seen:
            self._lay_out()
            others = [p for p in metadata.logitsprocs.all if not is_fire_processor(p)]
            self.metadata = dataclasses.replace(metadata, logitsprocs=LogitsProcessors(others))
            self._seen = metadata
        return True

    def rows(self) -> Rows:
        """The current step's arguments. A row whose prompt is not done yet has a negative step."""
        step = self._runner.seq_lens[: self._rows] - self._prompt_len[: self._rows]
        return Rows(step, self._records[: self._rows], None)

    def edits(self) -> bool:
        """Whether vLLM changes any logits of the batch before temperature and filters."""
        metadata = self.metadata
        assert metadata is not None
        holder = getattr(metadata, "thinking_budget_state_holder", None)
        return (
            not metadata.no_penalties
            or metadata.allowed_token_ids_mask is not None
            or bool(metadata.bad_words_token_ids)
            or (holder is not None and holder.has_tracked_requests())
            or any(map(_edits, metadata.logitsprocs.non_argmax_invariant))
        )

    # The runner winds back the generator of every seeded row whose token it discards, as the prompt is not
    # done. Nothing was drawn from it here, and a generator of the CPU cannot be wound back at all. So those
    # generators are out of the runner's reach until the next step.

    def put_generators_aside(self) -> None:
        batch = self._runner.input_batch
        if not batch.generators:
            return
        for row in np.flatnonzero(self._runner.discard_request_mask.np[: self._rows]).tolist():
            generator = batch.generators.pop(row, None)
            if generator is not None:
                self._aside[batch.req_ids[row]] = generator

    def take_generators_back(self) -> None:
        batch = self._runner.input_batch
        for request, generator in self._aside.items():
            row = batch.req_id_to_index.get(request)
            if row is not None:
                batch.generators.setdefault(row, generator)
        self._aside.clear()

    def _lay_out(self) -> None:
        batch = self._runner.input_batch
        self._rows = len(batch.req_ids)
        prompt_len = np.array(batch.num_prompt_tokens[: self._rows], dtype=np.int32)
        records = [self._record(*row) for row in zip(batch.req_ids, prompt_len.tolist(), strict=True)]
        device = self._runner.device
        packed = np.frombuffer(bytearray().join(records), np.int32).reshape(self._rows, RECORD_WORDS)
        self._records[: self._rows].copy_(upload(packed, device), non_blocking=True)
        self._prompt_len[: self._rows].copy_(upload(prompt_len, device), non_blocking=True)
        if len(self._requests) > 2 * self._runner.max_num_reqs:
            self._requests = {key: r for key, r in self._requests.items() if key in self._runner.requests}

    def _record(self, request_id: str, prompt_len: int) -> bytes:
        params = self._runner.requests[request_id].sampling_params
        known = self._requests.get(request_id)
        # A streaming session keeps its id while its prompt grows: what it generates next are other draws.
        if known is None or known.params is not params or known.prompt_len != prompt_len:
            record = self.recorder.record(params)
            known = Request(params, prompt_len, record.tobytes())
            self._requests[request_id] = known
        return known.record


def _edits(processor: Any) -> bool:
    if type(processor) is MinTokensLogitsProcessor:
        return bool(processor.min_toks)
    if type(processor) is LogitBiasLogitsProcessor:
        return bool(processor.biases)
    return True
