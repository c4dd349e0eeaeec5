"""FIRE on vLLM's V2 runner: requests by their slot, steps counted on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fire_sampling.config import RECORD_WORDS, word_of
from fire_sampling.integrations.vllm.admission import LONGEST_WINDOW_AFTER
from fire_sampling.integrations.vllm.device_table import Table
from fire_sampling.integrations.vllm.records import Recorder

_HOT_BEGIN, _HOT_STEPS = word_of("hot_begin"), word_of("hot_steps")
_MASK_BITS = 32


class HeatV2Slots:
    """A record for every slot, on the device, and beside it what the host must know to save launches.

    A slot is recycled without a word: `add` overwrites all that it held.
    """

    def __init__(self, vllm_config: Any, states: Any) -> None:
        """`states` is vLLM's `LogitsProcRequestState`. Its tensors may be new ones after any step."""
        self._recorder = Recorder(vllm_config)
        self._states = states
        slots = states.max_num_reqs
        self._records = Table(slots, RECORD_WORDS, states.device)
        self._begin = np.zeros(slots, np.int64)
        self._end = np.zeros(slots, np.int64)
        # One bit for each token id that opens a window; made when the first request has such tokens.
        self._after: Table | None = None
        self._has_after = np.zeros(slots, np.bool_)
        # The rows of one request under speculative decoding stand for steps below its last one.
        speculative_config = vllm_config.speculative_config
        self._drafts = 0 if speculative_config is None else int(speculative_config.num_speculative_tokens)

    def add(self, slot: int, params: Any) -> bool:
        """Takes over a slot for a request; returns whether any of its steps may be hot."""
        request = self._recorder.heated(params)
        if request is None:
            # Rows of this slot lie in batches with hot ones: its old record must not heat them.
            self._records.write(slot, np.zeros(RECORD_WORDS, np.int32))
            self._end[slot] = 0
            self._has_after[slot] = False
            return False
        self._records.write(slot, self._recorder.record(request.config))
        window = request.config.hot_window
        self._begin[slot], self._end[slot] = window.start, window.stop
        self._has_after[slot] = bool(request.after)
        if request.after and self._after is None:
            words = -(-self._states.vocab_size // _MASK_BITS)
            self._after = Table(self._states.max_num_reqs, words, self._states.device)
        if self._after is not None:  # without tokens too: those of the slot's last request are still there
            self._after.write(slot, _bit_mask(request.after, self._after.words))
        return bool(window)

    def flush(self) -> None:
        """Sends to the device what `add` wrote."""
        self._records.flush()
        if self._after is not None:
            self._after.flush()

    def heat(self, logits: torch.Tensor, context: Any) -> None:
        """Heats the hot rows of `logits`, float32 [rows, V], in place; `context` is vLLM's `LogitsContext`.

        A row's step is the number of tokens that its request has put out: the row's position, from the end
        of the prompt on. While the prompt is being read it is negative, and no window holds it.
        """
        after = self.any_after(context.idx_mapping_np)
        if not after and not self._may_be_hot(context):
            return
        slot = context.expanded_idx_mapping.to(torch.int32)
        prompt = self._states.prompt_len.gpu[slot]
        step = context.pos + 1 - prompt
        if not after:
            torch.ops.fire.heat_logits_(logits, step, self._records.there, slot)
            return
        records = self._records.there[slot]
        self.open_windows(records, slot, context.pos, prompt)
        torch.ops.fire.heat_logits_(logits, step, records)

    def _may_be_hot(self, context: Any) -> bool:
        """Whether a row may stand in its request's window, from what the host knows without asking."""
        slots = context.idx_mapping_np
        last = context.seq_lens_upper_bound_np.astype(np.int64) - self._states.prompt_len.np[slots]
        # An upper bound of a request that drafts is off by the drafts refused last, and its rows span the
        # new ones.
        first = last - 2 * self._drafts
        return bool(((first < self._end[slots]) & (last >= self._begin[slots])).any())

    def any_after(self, slots: npt.NDArray[Any]) -> bool:
        """Whether a request in one of the slots has `fire_after`."""
        return bool(self._has_after[slots].any())

    def open_windows(
        self, records: torch.Tensor, slot: torch.Tensor, pos: torch.Tensor, prompt: torch.Tensor
    ) -> None:
        """Moves `hot_begin` of `records` [rows, 16] behind the latest token that opens a window.

        It is found among the tokens that the request has put out, not remembered: so it stands after a
        preemption too. Only a window that is still open matters, so none is sought further back than its
        length.
        """
        assert self._after is not None
        ago = torch.arange(LONGEST_WINDOW_AFTER, device=pos.device)
        position = pos[:, None] - ago
        token = self._states.all_token_ids.gpu[slot[:, None], position.clamp(min=0)]
        mask = self._after.there[slot[:, None], token // _MASK_BITS]
        opens = ((mask >> (token % _MASK_BITS)) & 1).bool()
        opens &= (position >= prompt[:, None]) & (ago < records[:, _HOT_STEPS, None])
        # The smallest index of the largest: the latest token that opens one.
        latest = opens.int().argmax(dim=1)
        begin = (pos - latest + 1 - prompt).to(torch.int32)
        records[:, _HOT_BEGIN] = torch.where(opens.any(dim=1), begin, records[:, _HOT_BEGIN])


def _bit_mask(tokens: tuple[int, ...], words: int) -> npt.NDArray[np.int32]:
    """Bit `token % 32` of word `token // 32`, for every token."""
    bits = np.zeros(words * _MASK_BITS, np.bool_)
    bits[list(tokens)] = True
    return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32)
