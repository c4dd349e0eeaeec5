"""The fused sampler of vLLM's V2 model runner.

V2 gives each request a slot for life, and each row of logits the slot of its request. The records lie by
slot; those of new requests are staged as they come and written at once, where vLLM writes its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from vllm.v1.outputs import LogprobsTensors
from vllm.v1.worker.gpu.input_batch import InputBatch
from vllm.v1.worker.gpu.sample.bad_words import BadWordsState
from vllm.v1.worker.gpu.sample.logit_bias import LogitBiasState
from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.output import SamplerOutput
from vllm.v1.worker.gpu.sample.penalties import PenaltiesState
from vllm.v1.worker.gpu.sample.sampler import Sampler

from fire_sampling.config import RECORD_WORDS
from fire_sampling.functional import SampleWithSupport
from fire_sampling.integrations.vllm.device_table import Table
from fire_sampling.integrations.vllm.fused import explain_once, require_attributes, require_form
from fire_sampling.integrations.vllm.fused.draw import (
    LOGPROB_MODES,
    PROCESSED_MODES,
    FusedRecorder,
    Rows,
    draw,
    draw_with_logprobs,
    draw_with_processed_logits,
    draw_with_support,
    is_fire_processor,
    processed_logits,
    reported_logprob,
    unfit_logits,
)
from fire_sampling.integrations.vllm.fused.masks import Widths, mask_tensors, require_masks
from fire_sampling.integrations.vllm.heat.v2 import HeatV2Slots

_BATCH_LAYOUT = ("expanded_idx_mapping", "idx_mapping", "idx_mapping_np")
_ROW_LAYOUT = ("expanded_local_pos", "seq_lens_upper_bound_np")


def install(model_runner: Any) -> bool:
    """`fused.install` of a V2 runner; returns whether the FIRE processor is among the engine's."""
    sampler = model_runner.sampler
    require_form(Sampler, "__call__", "logits", "input_batch")
    require_form(Sampler, "add_request", "req_idx", "sampling_params")
    require_form(Sampler, "apply_staged_writes")
    require_form(Sampler, "get_logprobs_dims", "idx_mapping_np", "include_token_ids")
    require_form(
        Sampler, "sample", "logits", *_BATCH_LAYOUT, "pos", "input_ids", *_ROW_LAYOUT, "return_logprobs"
    )
    require_form(
        LogitsContext,
        "__init__",
        *_BATCH_LAYOUT,
        "expanded_local_pos",
        "input_ids",
        "pos",
        "seq_lens_upper_bound_np",
    )
    require_attributes(
        sampler,
        *("sampling_states", "logits_processors", "thinking_budget_state", "logprobs_mode", "req_states"),
        *("trace_replay_state", "return_sampling_mask"),
    )
    if sampler.return_sampling_mask:
        require_masks(sampler)
    sampler.fire_slots = FusedV2Slots(model_runner)
    sampler.__class__ = FusedSampler
    heats: bool = sampler.fire_slots.recorder.heats
    return heats


class FusedSampler(Sampler):  # type: ignore[misc]
    """vLLM's V2 sampler, its tokens drawn by fire_sampling. Made by `install` alone."""

    draws_by_fire = True
    fire_slots: FusedV2Slots
    return_sampling_mask: bool
    # While the operator returns all that is to be reported, vLLM's own code must not compute it again.
    fire_reports = False
    fire_drawn: LogprobsTensors | None = None
    # Nor the sampling masks of what the operator drew with its supports.
    fire_masks = False
    fire_masked: SampleWithSupport | None = None

    def add_request(self, req_idx: int, sampling_params: Any) -> None:
        super().add_request(req_idx, sampling_params)
        self.fire_slots.add(req_idx, sampling_params)

    def apply_staged_writes(self) -> None:
        super().apply_staged_writes()
        self.fire_slots.flush()

    def get_logprobs_dims(
        self, idx_mapping_np: npt.NDArray[Any], include_token_ids: bool = True
    ) -> tuple[int, int] | None:
        if self.fire_reports:
            return None
        dims: tuple[int, int] | None = super().get_logprobs_dims(idx_mapping_np, include_token_ids)
        return dims

    def __call__(self, logits: Tensor, input_batch: InputBatch) -> SamplerOutput:
        returns_mask = self.return_sampling_mask
        self.fire_reports = self._operator_reports(logits, input_batch.idx_mapping_np)
        self.fire_masks = returns_mask and self.fire_slots.fit(logits, input_batch.idx_mapping_np)
        self.return_sampling_mask = returns_mask and not self.fire_masks
        try:
            output = super().__call__(logits, input_batch)
            if self.fire_reports:
                output.logprobs_tensors = self.fire_drawn
            if self.fire_masked is not None:
                output.sampling_mask_tensors = mask_tensors(
                    self.fire_masked, output.num_sampled, logits.shape[1]
                )
            return output
        finally:
            self.return_sampling_mask = returns_mask
            self.fire_reports = self.fire_masks = False
            self.fire_drawn = self.fire_masked = None

    def sample(
        self,
        logits: Tensor,
        expanded_idx_mapping: Tensor,
        idx_mapping: Tensor,
        idx_mapping_np: npt.NDArray[Any],
        pos: Tensor,
        input_ids: Tensor,
        expanded_local_pos: Tensor,
        seq_lens_upper_bound_np: npt.NDArray[Any],
        return_logprobs: bool = False,
    ) -> tuple[Tensor, Tensor]:
        slots = self.fire_slots
        if not slots.fit(logits, idx_mapping_np):
            return super().sample(  # type: ignore[no-any-return]
                logits,
                expanded_idx_mapping,
                idx_mapping,
                idx_mapping_np,
                pos,
                input_ids,
                expanded_local_pos,
                seq_lens_upper_bound_np,
                return_logprobs,
            )
        if slots.edits(idx_mapping_np):
            logits = torch.empty_like(logits, dtype=torch.float32).copy_(logits)
            context = LogitsContext(
                expanded_idx_mapping=expanded_idx_mapping,
                idx_mapping=idx_mapping,
                idx_mapping_np=idx_mapping_np,
                expanded_local_pos=expanded_local_pos,
                input_ids=input_ids,
                pos=pos,
                seq_lens_upper_bound_np=seq_lens_upper_bound_np,
            )
            for processor in slots.processors:
                logits = processor.apply(logits, context)
            self.thinking_budget_state.apply(logits, context)
        rows = slots.rows(expanded_idx_mapping, idx_mapping_np, pos)
        wants_processed = return_logprobs and self.logprobs_mode in PROCESSED_MODES
        if self.fire_masks:
            return self._draw_with_masks(logits, rows, slots.widths.of(idx_mapping_np), wants_processed)
        if self.fire_reports:
            token, logprob, rank = draw_with_logprobs(logits, rows, self.logprobs_mode)
            self.fire_drawn = LogprobsTensors(token.unsqueeze(1), logprob.unsqueeze(1), rank)
            return token, logits
        if wants_processed:
            return draw_with_processed_logits(logits, rows)
        return draw(logits, rows), logits

    def _draw_with_masks(
        self, logits: Tensor, rows: Rows, width: int, wants_processed: bool
    ) -> tuple[Tensor, Tensor]:
        drawn = draw_with_support(logits, rows, width, ranks=self.fire_reports)
        self.fire_masked = drawn
        if self.fire_reports:
            logprob = reported_logprob(drawn, self.logprobs_mode).unsqueeze(1)
            self.fire_drawn = LogprobsTensors(drawn.token.unsqueeze(1), logprob, drawn.rank.to(torch.int64))
        elif wants_processed:
            logits = processed_logits(logits, rows, drawn.status)
        return drawn.token, logits

    def _operator_reports(self, logits: Tensor, idx_mapping_np: npt.NDArray[Any]) -> bool:
        """Whether the operator returns all that is to be reported; else vLLM's own code gathers it."""
        if self.logprobs_mode not in LOGPROB_MODES or super().get_logprobs_dims(idx_mapping_np) != (0, 0):
            return False
        # A replayed trace puts other tokens in the place of those drawn.
        if self.trace_replay_state is not None or not self.fire_slots.fit(logits, idx_mapping_np):
            return False
        # Raw ones are of the logits before any edit, which the operator does not see.
        return self.logprobs_mode == "processed_logprobs" or not self.fire_slots.edits(idx_mapping_np)


class FusedV2Slots:
    """The runner's slots, and what the operators need to draw for the requests in them."""

    def __init__(self, runner: Any) -> None:
        sampler = runner.sampler
        self._sampler = sampler
        self.recorder = FusedRecorder(runner.vllm_config, sampler.logits_processors)
        self._records = Table(runner.max_num_reqs, RECORD_WORDS, runner.device)
        self._edited = np.zeros(runner.max_num_reqs, dtype=np.bool_)
        self._said: set[str] = set()
        self.widths = Widths(runner.max_num_reqs, runner.model_config.get_vocab_size())
        # Those that would heat rows are left out: the operator draws them hot.
        self._heaters = [p.slots for p in sampler.logits_processors if is_fire_processor(p)]
        self._own_heater: HeatV2Slots | None = None
        if self.recorder.heats and not self._heaters:
            # No processor is there to follow the windows of `fire_after`.
            states = LogitsProcRequestState.from_request_state(sampler.req_states)
            self._own_heater = HeatV2Slots(runner.vllm_config, states)
            self._heaters.append(self._own_heater)
        self.processors = [p for p in sampler.logits_processors if not is_fire_processor(p)]

    def add(self, slot: int, params: Any) -> None:
        """Takes up a request that vLLM's own states have just taken up."""
        # vLLM has given a request without a seed one that every rank shares.
        seed = int(self._sampler.sampling_states.seeds.np[slot])
        config = self.recorder.config(params, seed)
        self._records.write(slot, self.recorder.pack(config))
        self.widths.add(slot, config)
        if self._own_heater is not None:
            self._own_heater.add(slot, params)
        budget = self._sampler.thinking_budget_state
        self._edited[slot] = (budget.enabled and budget.use_thinking_budget[slot]) or any(
            _edits(processor, slot) for processor in self.processors
        )

    def flush(self) -> None:
        """Sends to the device what `add` wrote."""
        self._records.flush()
        if self._own_heater is not None:
            self._own_heater.flush()

    def fit(self, logits: Tensor, slots: npt.NDArray[Any]) -> bool:
        """False, with its reason logged, where the batch is for vLLM's own sampler."""
        reason = unfit_logits(logits, len(slots))
        if reason is not None:
            explain_once(reason, self._said)
        return reason is None

    def rows(self, slots: Tensor, slots_np: npt.NDArray[Any], pos: Tensor) -> Rows:
        """The current step's arguments. A row whose prompt is not done yet has a negative step."""
        prompt_len = self._sampler.req_states.prompt_len.gpu[slots]
        step = pos + 1 - prompt_len
        windows = [heater for heater in self._heaters if heater.any_after(slots_np)]
        if not windows:
            return Rows(step, self._records.there, slots.to(torch.int32))
        records = self._records.there[slots]
        for heater in windows:
            heater.open_windows(records, slots, pos, prompt_len)
        return Rows(step, records, None)

    def edits(self, slots: npt.NDArray[Any]) -> bool:
        """Whether vLLM changes any logits of the batch before temperature and filters."""
        return bool(self._edited[slots].any())


def _edits(processor: Any, slot: int) -> bool:
    """Whether a logits processor has anything to do for the request in a slot."""
    if type(processor) is LogitBiasState:
        return bool(processor.use_logit_bias[slot])
    if type(processor) is PenaltiesState:
        return bool(processor.use_penalty[slot])
    if type(processor) is BadWordsState:
        return bool(processor.num_bad_words.np[slot] > 0)
    return True
