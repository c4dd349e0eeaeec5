"""The fakes of the private operators of rows in shards: what a kernel returns, without its values.

They refuse what no size decides, in the words of csrc/torch/shard_arguments.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fire_sampling import _native
from fire_sampling._fake_checks import (
    RECORDS,
    STEPS,
    check_logits,
    check_range,
    check_tensor,
    refuse,
    require_fake,
)
from fire_sampling._fakes import new_outputs

_WORDS = _native.SHARD_STATE_WORDS
_FEWEST_SLOTS = _native.shard_slots(0, 1)


def _check_shard(op: str, logits: Tensor, first_id: int, *, write: bool = False) -> str:
    one_a_row = check_logits(op, logits, write=write)
    if isinstance(first_id, int) and isinstance(logits.shape[1], int):
        check_range(op, "first_id", first_id, 0, _native.MAX_VOCABULARY - logits.shape[1])
    return one_a_row


def _check_words(
    op: str, argument: str, tensor: Tensor, other: Tensor, beside: str, dims: int, shape: str
) -> None:
    check_tensor(op, argument, tensor, other, (torch.int64,), (dims,), shape, beside=beside)


def _check_state(op: str, state: Tensor, logits: Tensor | None = None) -> None:
    rows = "R" if logits is None else logits.shape[0]
    shape = f"[{rows}, {_WORDS}] as made by shard_begin"
    if logits is None:
        _check_words(op, "state", state, state, "state", 2, shape)
    else:
        _check_words(op, "state", state, logits, "logits", 2, shape)


def _check_entries(op: str, entries: Tensor, other: Tensor, beside: str) -> None:
    shape = f"[{other.shape[0]}, count + 1] with 1 <= count <= {_native.MAX_SHARD_ENTRIES}"
    _check_words(op, "entries", entries, other, beside, 2, shape)


def _check_rows(op: str, rows: Tensor | None, state: Tensor) -> None:
    if rows is not None:
        _check_words(op, "rows", rows, state, "state", 1, "[n], the rows that take part")


def _fake_entries(logits: Tensor, count: int, first_id: int) -> Tensor:
    _check_shard("shard_entries", logits, first_id)
    check_range("shard_entries", "count", count, 1, _native.MAX_SHARD_ENTRIES)
    require_fake("shard_entries", "logits", logits)
    return logits.new_empty((logits.shape[0], count + 1), dtype=torch.int64)


def _fake_begin(
    entries: Tensor,
    step: Tensor,
    cfg: Tensor,
    slot: Tensor | None = None,
    *,
    vocabulary: int,
    ranks: int,
    wants: int,
    key_bits: int,
    token: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    op = "shard_begin"
    _check_entries(op, entries, entries, "entries")
    one_a_row = f"[{entries.shape[0]}], one a row of logits"
    for argument, tensor, dtypes, dims, shape in (
        ("step", step, STEPS, (0, 1), f"{one_a_row}, or [], one for all"),
        ("cfg", cfg, (torch.int32,), (2,), RECORDS),
        ("slot", slot, (torch.int32,), (1,), one_a_row),
    ):
        if tensor is not None:
            check_tensor(op, argument, tensor, entries, dtypes, dims, shape, beside="entries")
    check_range(op, "vocabulary", vocabulary, 1, _native.MAX_VOCABULARY)
    check_range(op, "ranks", ranks, 1, _native.MAX_SHARD_RANKS)
    check_range(op, "wants", wants, 0, sum(_native.SHARD_WANTS.values()))
    if key_bits not in _native.SHARD_KEY_BITS.values():
        kinds = [f"{bits} for {dtype}" for dtype, bits in _native.SHARD_KEY_BITS.items()]
        refuse(op, "key_bits", f"is {key_bits}, expected {kinds[0]}, {kinds[1]} or {kinds[2]}")
    if token is not None:
        check_tensor(op, "token", token, entries, (torch.int64,), (1,), one_a_row, beside="entries")
    elif wants & _native.SHARD_WANTS["log_prob"]:
        refuse(op, "token", "is None, expected one a row, as wants asks for its log-probability")
    require_fake(op, "entries", entries)
    rows, columns = entries.shape
    return entries.new_empty((rows, _WORDS)), entries.new_empty((rows, columns - 1))


def _fake_answer(
    logits: Tensor, state: Tensor, rows: Tensor | None, first_id: int, rank: int, slots: int
) -> Tensor:
    op = "shard_answer"
    _check_shard(op, logits, first_id)
    _check_state(op, state, logits)
    _check_rows(op, rows, state)
    check_range(op, "rank", rank, 0, _native.MAX_SHARD_RANKS - 1)
    check_range(op, "slots", slots, _FEWEST_SLOTS, _FEWEST_SLOTS + _native.MAX_SHARD_RANKS)
    require_fake(op, "logits", logits)
    count = logits.shape[0] if rows is None else rows.shape[0]
    return logits.new_empty((count, slots, 2), dtype=torch.int64)


def _fake_take(state: Tensor, entries: Tensor, weights: Tensor, answers: Tensor, rows: Tensor | None) -> None:
    op = "shard_take"
    _check_state(op, state)
    _check_entries(op, entries, state, "state")
    shape = f"[{entries.shape[0]}, {entries.shape[1] - 1}] as made by shard_begin"
    _check_words(op, "weights", weights, entries, "entries", 2, shape)
    _check_rows(op, rows, state)
    count = state.shape[0] if rows is None else rows.shape[0]
    _check_words(op, "answers", answers, state, "state", 3, f"[{count}, slots, 2], a row's answer each")
    require_fake(op, "state", state)


def _fake_finish(state: Tensor, reference: bool) -> tuple[Tensor, ...]:
    _check_state("shard_finish", state)
    require_fake("shard_finish", "state", state)
    return new_outputs(state)


def _fake_process(logits: Tensor, state: Tensor, first_id: int) -> Tensor:
    _check_shard("shard_process", logits, first_id)
    _check_state("shard_process", state, logits)
    require_fake("shard_process", "logits", logits)
    return logits.new_empty(logits.shape, dtype=torch.float32)


def _fake_log_prob_backward(grad: Tensor, logits: Tensor, state: Tensor, first_id: int) -> Tensor:
    op = "shard_log_prob_backward"
    one_a_row = _check_shard(op, logits, first_id)
    _check_state(op, state, logits)
    check_tensor(op, "grad", grad, logits, (torch.float32,), (1,), one_a_row)
    require_fake(op, "logits", logits)
    return logits.new_empty(logits.shape)


def _fake_heat_(logits: Tensor, state: Tensor, first_id: int) -> None:
    _check_shard("shard_heat_", logits, first_id, write=True)
    _check_state("shard_heat_", state, logits)
    require_fake("shard_heat_", "logits", logits)


SHARD_FAKES: dict[str, Callable[..., Any]] = {
    "shard_entries": _fake_entries,
    "shard_begin": _fake_begin,
    "shard_answer": _fake_answer,
    "shard_take": _fake_take,
    "shard_finish": _fake_finish,
    "shard_process": _fake_process,
    "shard_log_prob_backward": _fake_log_prob_backward,
    "shard_heat_": _fake_heat_,
}
