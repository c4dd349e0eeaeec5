"""Continuous batching: the draw as the logits processors of a `ContinuousBatchingManager`.

The manager keeps the arguments of its processors in rows of one static int32 tensor, with a column for each
sequence that gets a token. Here they are the sequence's record and its step: a captured CUDA graph reads them
anew at each replay, and every sequence of a batch may have settings, a seed and a step of its own.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import LogitsProcessorList
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.logits_process import LogitNormalization

import fire_sampling.numpy
from fire_sampling.config import GROUP_FIELDS, RECORD_WORDS, SEED_WORDS, SamplingConfig
from fire_sampling.functional import process_logits, sample
from fire_sampling.integrations.transformers.draw import hot_window, warn_if_never_hot
from fire_sampling.integrations.transformers.groups import member_of, require_members
from fire_sampling.integrations.transformers.warpers import merge, take_apart
from fire_sampling.packing import pack, seed_of

_ROWS = RECORD_WORDS + 1  # a record, and the step


class FireProcessorList(ContinuousBatchingLogitsProcessorList):
    """Runs the processors before the draw, then draws a token for each sequence and forces it.

    Args:
        before: processors of transformers that run first; those it does not support here are dropped with its
            warning, or kept, as the manager's config says.
        config: how to sample, with a seed. `add_request(…, field=value)` changes fields of it for a request.
        return_sequences: the manager's `num_return_sequences`.
        return_distribution: hand on the processed logits for transformers to draw from, instead of a token.
    """

    def __init__(
        self,
        before: LogitsProcessorList,
        config: SamplingConfig,
        return_sequences: int,
        return_distribution: bool,
        drop_unsupported: bool,
    ) -> None:
        super().__init__(before, drop_unsupported_processors=drop_unsupported)
        self.do_processing = True
        self._first_row = self.tensors_required
        self.tensors_required += _ROWS
        self._config = config
        self._return_sequences = return_sequences
        self._return_distribution = return_distribution
        self._records: dict[str, tuple[Any, npt.NDArray[np.int32]]] = {}  # of the last batch, by request

    def check_kwargs(self, kwargs: dict[str, Any]) -> None:
        """Raises a TypeError or ValueError, which fails the request, for fields or values that do not fit."""
        ours = set(SamplingConfig.__dataclass_fields__)
        super().check_kwargs({name: value for name, value in kwargs.items() if name not in ours})
        fields = {name: value for name, value in kwargs.items() if name in ours}
        config = self._config.replace(**fields)
        # Without the group's, which may lack what the manager's config says of it.
        asked = SamplingConfig(**{name: value for name, value in fields.items() if name not in GROUP_FIELDS})
        warn_if_never_hot("add_request: temperature=0", config, asked)
        if config.has_design:
            require_members(config, "seed" in kwargs, self._return_sequences, self._return_distribution)
        if "seed" in kwargs and self._return_sequences > 1 and not config.has_design:
            raise ValueError(
                f"seed: got {kwargs['seed']} with num_return_sequences={self._return_sequences}, expected "
                "none: it would make the sequences of the request alike"
            )

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        """Records of padding: all zero, which is greedy."""
        super().fill_defaults(int32_tensor)
        int32_tensor[self._first_row :].zero_()

    def prepare_tensor_args(self, requests_in_batch: list[Any], arg_storage: torch.Tensor) -> torch.Tensor:
        """Writes record and step of each request that gets a token into its column of int32 [rows, R]."""
        super().prepare_tensor_args(requests_in_batch, arg_storage)
        states = [request.state for request in requests_in_batch if request.has_new_token]
        self._records = {state.request_id: (state, self._record(state)) for state in states}
        columns = np.empty((_ROWS, len(states)), np.int32)
        for column, state in enumerate(states):
            columns[:-1, column] = self._records[state.request_id][1]
            columns[-1, column] = _step(state)
        rows = arg_storage[self._first_row : self._first_row + _ROWS]
        rows[:, : len(states)] = torch.from_numpy(columns).to(arg_storage.device)
        return arg_storage

    def __call__(
        self, input_ids: torch.LongTensor, scores: torch.Tensor, logits_processor_args: torch.Tensor
    ) -> torch.Tensor:
        """Float32 [R, V]: 0 on the token drawn for each row and −inf elsewhere, or the processed logits."""
        scores = super().__call__(input_ids, scores, logits_processor_args)
        columns = logits_processor_args[self._first_row : self._first_row + _ROWS, : scores.shape[0]]
        records, step = columns[:-1].T.contiguous(), columns[-1]
        if self._return_distribution:
            return process_logits(scores, step, records)
        token = sample(scores, step, records)
        return torch.full_like(scores, -torch.inf).scatter_(1, token[:, None], 0.0)

    def _record(self, state: Any) -> npt.NDArray[np.int32]:
        known, record = self._records.get(state.request_id, (None, None))
        if known is state and record is not None:
            return record
        config = self._config.replace(**state.logit_processor_kwargs)
        seeded_by = state.request_id
        if config.has_design and self._return_sequences > 1:
            seeded_by, member = member_of(state.request_id)
            config = config.replace(group_size=self._return_sequences, member=member)
        if "seed" in state.logit_processor_kwargs:
            records = fire_sampling.numpy.pack([config])
        else:
            # Of the id alone: neither the order of arrival nor the batch decides what a request draws with.
            records = fire_sampling.numpy.pack(config, 1, first_row=seed_of(seeded_by) >> 1)
        words: npt.NDArray[np.int32] = records[0].view(np.int32)
        return words


def draw_with_fire(manager: Any, config: SamplingConfig, reserve_seed: Callable[[], int]) -> None:
    """Makes a manager that has not run yet draw all tokens with `fire_sampling`.

    Args:
        manager: a `ContinuousBatchingManager`. Its generation config says the regular phase.
        config: as `fire_config` of `fire_generate`. The seeds of the requests are derived from one of the
            sequences' seeds that it spreads, and from the request's id.
        reserve_seed: the index of that sequence.

    Raises:
        ValueError: a regular field of `config` contradicts the generation config; an option is on that
            filters between min-p and the draw.
    """
    generation_config = manager.generation_config
    processors = take_apart(manager.model._get_logits_processor(generation_config), generation_config)
    tail = [type(warper).__name__ for warper in processors.tail if not isinstance(warper, LogitNormalization)]
    if tail:
        raise ValueError(
            f"generate_batch: {', '.join(tail)} cannot run between FIRE's filters and its draw in continuous "
            "batching. Leave typical_p, epsilon_cutoff, eta_cutoff and watermarking_config out"
        )
    asked, config = config, merge(config, processors.regular)
    hot_window(config)
    warn_if_never_hot("init_continuous_batching: do_sample=False", config, asked)
    words = pack(config, rows=1, first_row=reserve_seed())[0, SEED_WORDS]
    seed = int.from_bytes(words.numpy().tobytes(), "little")
    batching = manager.continuous_batching_config
    manager.logit_processor = FireProcessorList(
        processors.kept,
        config.replace(seed=seed),
        manager.num_return_sequences,
        return_distribution=batching.return_logprobs,
        drop_unsupported=batching.drop_unsupported_processors,
    )
    # A forced token is found by argmax. The log-probabilities that transformers reports are those of what it
    # draws from, so there it has to draw itself.
    manager.generation_config = copy.copy(generation_config)
    manager.generation_config.do_sample = batching.return_logprobs


def _step(state: Any) -> int:
    """The tokens that the request has generated, when its last one may still be on the device.

    The position behind all tokens that the model will have seen, less the prompt. A request that lost its
    cache comes back with its tokens in `initial_tokens`, of which `_true_initial_tokens` are the prompt.
    """
    prompt: int = state._true_initial_tokens or len(state.initial_tokens)
    position: int = state.position_offset
    return position - prompt
