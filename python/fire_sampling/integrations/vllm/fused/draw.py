"""What both fused samplers share: the records of requests, and log-probabilities as vLLM reports them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fire_sampling.config import SamplingConfig, Ties
from fire_sampling.functional import SampleWithLogprobs, SampleWithSupport
from fire_sampling.integrations.vllm.records import Record, Recorder
from fire_sampling.integrations.vllm.requests import sampling_config
from fire_sampling.status import Status
from fire_sampling_vllm.switch import draws_alone

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)

# Modes of vLLM in which the operator itself returns the log-probability of a sampled token.
LOGPROB_MODES = ("raw_logprobs", "processed_logprobs")
PROCESSED_MODES = ("processed_logprobs", "processed_logits")


class FusedRecorder:
    """Makes the record of every request, hot or not.

    Args:
        vllm_config: the engine's.
        processors: its logits processors. Unless the FIRE one is among them no request is heated, for then
            nobody could heat it in a batch that goes to vLLM's own sampler; but where vLLM takes none, the
            front end lets in hot requests for this sampler alone.

    Attributes:
        heats: whether any request may be heated.
    """

    def __init__(self, vllm_config: Any, processors: Iterable[Any]) -> None:
        from vllm.triton_utils import HAS_TRITON

        # vLLM's filters in Triton keep exactly k tokens, those in PyTorch whatever equals the last one, too.
        self._ties: Ties = "exact" if HAS_TRITON else "keep_top_k"
        self.heats = draws_alone(vllm_config) or any(map(is_fire_processor, processors))
        self._recorder = Recorder(vllm_config)

    def record(self, params: Any) -> Record:
        """int32 [16], of a request of these `SamplingParams`."""
        return self.pack(self.config(params))

    def config(self, params: Any, seed: int | None = None) -> SamplingConfig:
        """How to sample a request of these `SamplingParams`; `seed` is for one that has none."""
        request = self._recorder.heated(params) if self.heats else None
        config = sampling_config(params, None) if request is None else request.config
        # vLLM's raw log-probabilities are those of the softmax at temperature 1.
        config = config.replace(ties=self._ties, ref_temperature=1.0)
        return config.replace(seed=seed) if config.seed is None else config

    def pack(self, config: SamplingConfig) -> Record:
        """int32 [16]; without a seed in `config`, one that every rank derives."""
        return self._recorder.record(config)


def is_fire_processor(processor: Any) -> bool:
    """Whether it is the logits processor that heats requests where vLLM's own sampler draws."""
    return bool(getattr(processor, "is_fire", False))


def unfit_logits(logits: Tensor, rows: int) -> str | None:
    """Why the operators cannot draw a token for each of `rows` requests from logits; None where they can."""
    if logits.dtype not in _DTYPES or (logits.shape[1] > 1 and logits.stride(1) != 1):
        return f"logits are {logits.dtype} with strides {logits.stride()}, which no operator takes"
    if logits.shape[0] != rows:
        return f"logits have {logits.shape[0]} rows for {rows} requests"
    return None


class Rows(NamedTuple):
    """Arguments of the operators for the rows of a batch."""

    step: Tensor  # int64 or int32 [R]
    records: Tensor  # int32 [S, 16]
    slot: Tensor | None  # int32 [R]


def draw(logits: Tensor, rows: Rows) -> Tensor:
    """int64 [R]: a token for each row of logits [R, V]."""
    token: Tensor = torch.ops.fire.sample(logits, *rows)
    return token


def draw_with_logprobs(logits: Tensor, rows: Rows, mode: str) -> tuple[Tensor, Tensor, Tensor]:
    """Token int64 [R], its log-probability float32 [R] in one of `LOGPROB_MODES`, its rank int64 [R]."""
    drawn = SampleWithLogprobs(*torch.ops.fire.sample_with_logprobs(logits, *rows))
    return drawn.token, reported_logprob(drawn, mode), drawn.rank.to(torch.int64)


def reported_logprob(drawn: SampleWithLogprobs | SampleWithSupport, mode: str) -> Tensor:
    """float32 [R]: the log-probability of each token in one of `LOGPROB_MODES`."""
    if mode == "processed_logprobs":
        # Nothing filters a greedy row in vLLM: it reports the whole softmax, at temperature 1.
        return torch.where(_greedy(drawn.status), drawn.ref_logprob, drawn.logprob)
    return drawn.ref_logprob


def draw_with_support(logits: Tensor, rows: Rows, width: int, ranks: bool) -> SampleWithSupport:
    """A token for each row, and its support in `width` places; without `ranks` no rank, which reads the row
    again.
    """
    return SampleWithSupport(*torch.ops.fire.sample_with_support(logits, *rows, width=width, reference=ranks))


def draw_with_processed_logits(logits: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """Token int64 [R], and float32 [R, V] logits as vLLM's own temperature and filters would leave them."""
    drawn = SampleWithLogprobs(*torch.ops.fire.sample_with_logprobs(logits, *rows, reference=False))
    return drawn.token, processed_logits(logits, rows, drawn.status)


def processed_logits(logits: Tensor, rows: Rows, status: Tensor) -> Tensor:
    """float32 [R, V]: as vLLM's own temperature and filters would leave them; `status` [R] is of the draw."""
    processed = torch.ops.fire.process_logits(logits, *rows)
    return torch.where(_greedy(status).unsqueeze(1), logits.to(torch.float32), processed)


def _greedy(status: Tensor) -> Tensor:
    return (status & int(Status.GREEDY)) != 0
