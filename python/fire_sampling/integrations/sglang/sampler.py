"""SGLang's sampler with its draw replaced, and its batch of sampling settings with records in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from sglang.srt.layers import sampler as stock
from sglang.srt.plugins.hook_registry import HookRegistry, HookType
from sglang.srt.runtime_context import get_device, get_exec, get_spec
from sglang.srt.sampling import sampling_batch_info as batches

from fire_sampling.functional import log_prob, process_logits, sample, sample_with_support
from fire_sampling.integrations.sglang.requests import HOT_KEYS, Recorder

_BATCH_CLASS = "sglang.srt.sampling.sampling_batch_info.SamplingBatchInfo"
_recorder: Recorder | None = None


def make_sampler() -> FireSampler:
    """Makes the sampler, and all batches from now on carry records.

    Raises:
        ValueError: FIRE_SGLANG_DEFAULT holds something wrong; the server is configured for speculative
            decoding or an on-policy target, which sample by paths of their own.
    """
    global _recorder
    own_paths = {
        "speculative_algorithm": get_spec().speculative_algorithm,
        "rl_on_policy_target": get_exec().deterministic.rl_on_policy_target,
    }
    for name, value in own_paths.items():
        if value is not None:
            raise ValueError(f"--sampling-backend fire: {name} is {value!r}, expected none")
    _recorder = Recorder(HOT_KEYS.default(), get_device().random_seed)
    if batches.SamplingBatchInfo is not FireBatchInfo:
        HookRegistry.register(_BATCH_CLASS, FireBatchInfo, HookType.REPLACE)
        HookRegistry.apply_hooks()
    return FireSampler()


@dataclasses.dataclass
class FireBatchInfo(batches.SamplingBatchInfo):  # type: ignore[misc]
    """A batch of R requests.

    Attributes:
        fire_records: int32 [R, 16].
        fire_kept: of each, how many tokens a step may keep at most; None where nothing bounds them.
        fire_prompt: int64 [R]: the tokens of each prompt. A request that was retracted and is prefilled
            again, its output included, keeps it.
    """

    fire_records: torch.Tensor | None = None
    fire_kept: list[int | None] | None = None
    fire_prompt: torch.Tensor | None = None

    def adjusted_from_schedule_batch(self, batch: Any, vocab_size: int) -> None:
        super().adjusted_from_schedule_batch(batch, vocab_size)
        assert _recorder is not None
        self.fire_records, self.fire_kept = _recorder.records(batch.reqs, self.device)
        lengths = [len(request.origin_input_ids) for request in batch.reqs]
        self.fire_prompt = torch.tensor(lengths, dtype=torch.int64, device=self.device)

    def adjusted_filter_batch(self, keep_indices: list[int], keep_indices_device: torch.Tensor) -> None:
        super().adjusted_filter_batch(keep_indices, keep_indices_device)
        assert self.fire_records is not None
        assert self.fire_kept is not None
        assert self.fire_prompt is not None
        self.fire_records = self.fire_records[keep_indices_device]
        self.fire_kept = [self.fire_kept[index] for index in keep_indices]
        self.fire_prompt = self.fire_prompt[keep_indices_device]

    def adjusted_merge_batch(self, other: Any) -> None:
        super().adjusted_merge_batch(other)
        assert self.fire_records is not None
        assert self.fire_kept is not None
        assert self.fire_prompt is not None
        self.fire_records = torch.cat([self.fire_records, other.fire_records])
        self.fire_kept = self.fire_kept + other.fire_kept
        self.fire_prompt = torch.cat([self.fire_prompt, other.fire_prompt])


class FireSampler(stock.Sampler):  # type: ignore[misc]
    """Draws each row by its record and step; log-probabilities are those of the distribution it drew from."""

    def forward(
        self,
        logits_output: Any,
        sampling_info: Any,
        return_logprob: bool,
        top_logprobs_nums: list[int],
        token_ids_logprobs: list[list[int] | None],
        positions: torch.Tensor,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Int32 [R]: the tokens, and what was asked for of log-probabilities in `logits_output`.

        `positions` [R] is that of each row's last token: the one drawn stands behind it.
        """
        logits = self._preprocess_logits(logits_output.next_token_logits, sampling_info)
        records = sampling_info.fire_records
        step = positions.to(torch.int64) + 1 - sampling_info.fire_prompt
        rows = sampling_info.sampling_mask_batch_indices
        if rows is None:
            capture, drawn = None, sample(logits, step, records).to(torch.int32)
        else:
            capture, drawn = self._draw_with_supports(logits, step, sampling_info, rows)
        if return_logprob:
            self._write_logprobs(
                logits_output, logits, step, records, drawn, top_logprobs_nums, token_ids_logprobs
            )
        self._sync_token_ids_across_tp(drawn, sampling_info)
        if capture is not None:
            logits_output.sampling_mask_output = self._build_sampling_mask_output(
                drawn, capture, sampling_info.sampling_support_logprobs_capture_indices
            )
        return drawn

    def _draw_with_supports(
        self, logits: torch.Tensor, step: torch.Tensor, sampling_info: Any, rows: torch.Tensor
    ) -> tuple[Any, torch.Tensor]:
        """The supports of `rows` [M], and the tokens of all, int32 [R].

        SGLang counts the tokens of positive weight behind each other, the most probable first, and aborts a
        request that has more than its limit: so there is a place beyond it, where so many may be kept.
        """
        asked = zip(sampling_info.fire_kept, sampling_info.return_sampling_masks, strict=True)
        most = [kept or logits.shape[1] for kept, wants_mask in asked if wants_mask]
        width = min(self.sampling_mask_max_tokens + 1, logits.shape[1], max(most))
        records = sampling_info.fire_records
        drawn = sample_with_support(logits, step, records, width=width, reference=False)
        logprob, place = drawn.support_logprob[rows].sort(dim=1, descending=True, stable=True)
        capture = stock._SamplingMaskCapture(
            weights=logprob.exp(),
            token_ids=drawn.support[rows].gather(1, place),
            selected_weight=None,
            batch_rows=rows,
        )
        return capture, drawn.token.to(torch.int32)

    def _write_logprobs(
        self,
        logits_output: Any,
        logits: torch.Tensor,
        step: torch.Tensor,
        records: torch.Tensor,
        drawn: torch.Tensor,
        top_logprobs_nums: list[int],
        token_ids_logprobs: list[list[int] | None],
    ) -> None:
        if stock.SGLANG_RETURN_ORIGINAL_LOGPROB:
            distribution = logits.float().log_softmax(dim=-1)
        elif any(top_logprobs_nums) or any(token_ids_logprobs):
            distribution = process_logits(logits, step, records).log_softmax(dim=-1)
        else:
            logits_output.next_token_logprobs = log_prob(logits, drawn.to(torch.int64), step, records)
            return
        result = self.output_logprob_processor.compute_logprobs(
            distribution, top_logprobs_nums, token_ids_logprobs, drawn
        )
        result.write_output_to(logits_output)
