"""What the functions make of their arguments: this rank's columns, checked, compared with the others'."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fire_sampling import _native
from fire_sampling._call import draws
from fire_sampling._messages import integer
from fire_sampling._torch_entry import ENTRY, arguments
from fire_sampling.config import SamplingConfig
from fire_sampling.distributed._header import (
    DTYPES,
    FUNCTIONS,
    NOT_GIVEN,
    Header,
    device_word,
    exchange,
    fingerprint,
)
from fire_sampling.distributed._ranks import Ranks
from fire_sampling.distributed._rounds import Rows, settle
from fire_sampling.packing import draw_seeds

DEFAULT_ENTRIES = 64  # of a row whose kept set has another bound than top-k
MOST_ENTRIES = 1024
MOST_ROUNDS = 32  # more than any row takes
_DESIGN = functools.reduce(operator.or_, _native.DESIGN_FLAGS.values())
_TIES = functools.reduce(operator.or_, _native.TIES_FLAGS.values())
_MAX_VOCABULARY = _native.MAX_VOCABULARY


@dataclasses.dataclass(frozen=True)
class Options:
    """The arguments that the unsharded functions do not have."""

    group: Any
    first_id: int | None
    vocabulary: int | None
    entries: int | None
    checked: bool
    rounds: int | None = None


class Shard(NamedTuple):
    """A call that may begin."""

    name: str
    ranks: Ranks
    rows: Rows
    entries: int  # of a row that each rank brings
    rounds: int | None  # behind them; None for as many as it takes

    def settle(self, wants: int) -> Tensor:
        """The states of the rows, the same on every rank."""
        return settle(self.ranks, self.name, self.rows, wants, self.entries, self.rounds)


def prepare(
    function: str,
    logits: Any,
    step: Any,
    config: Any,
    slot: Any,
    options: Options,
    *,
    token: Any = None,
    reference: bool = False,
    check: Callable[[str, Tensor], None] | None = None,
) -> Shard:
    """The call of a function, once the ranks have agreed on it.

    `check` may raise for a function's own reasons, given its name and the logits. What one rank raises, all
    do.
    """
    name = f"fire_sampling.distributed.{function}"
    ranks = Ranks(name, options.group, logits)
    missing = seedless(config) if draws(function) else 0
    local = _Arguments(function, logits, step, config, slot, token)
    seen: list[Rows] = []

    def header() -> Header:
        given = local.checked(check)
        seen.append(given)
        _check_options(name, options)
        return Header(
            function=FUNCTIONS.index(function),
            device=device_word(logits.device),
            rows=logits.shape[0],
            dtype=DTYPES.index(logits.dtype),
            columns=logits.shape[1],
            first_id=NOT_GIVEN if options.first_id is None else options.first_id,
            vocabulary=NOT_GIVEN if options.vocabulary is None else options.vocabulary,
            entries=NOT_GIVEN if options.entries is None else options.entries,
            reference=int(reference),
            rounds=NOT_GIVEN if options.rounds is None else options.rounds,
            seedless=missing,
            step=fingerprint(given.step),
            records=fingerprint(given.records),
            slot=fingerprint(given.slot),
            token=fingerprint(token),
        )

    if options.checked:
        first_id, vocabulary = _layout(name, exchange(ranks, name, header), ranks)
    else:
        seen.append(local.shaped(check))
        first_id, vocabulary = _unchecked_layout(name, options, missing)
    if missing:
        seeds = np.zeros(missing, np.uint64) if ranks.rank else draw_seeds(missing)
        local = local.with_seeds(ranks.first(torch.from_numpy(seeds.view(np.int64))).tolist())
    given = local.given() if missing else seen[0]
    columns = max(0, vocabulary - first_id)  # those behind them are padding
    if columns < logits.shape[1]:
        logits = logits[:, :columns]
    rows = given._replace(logits=logits, first_id=first_id, vocabulary=vocabulary)
    count = options.entries or _entries(
        rows.records, vocabulary, reference, _most_entries(logits, vocabulary, ranks.size)
    )
    return Shard(name, ranks, rows, min(count, vocabulary), options.rounds)


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """The arguments that the unsharded functions have too."""

    function: str
    logits: Any
    step: Any
    config: Any
    slot: Any
    token: Any

    def given(self) -> Rows:
        """Them as the operators take them, a missing seed as 0; where its columns lie is not known yet."""
        others = {} if self.token is None else {"token": self.token}
        config = _with_seeds(self.config, itertools.repeat(0))
        logits, step, records, slot = arguments(
            f"distributed.{self.function}", self.logits, self.step, config, self.slot, **others
        )
        return Rows(logits, 0, 0, step, records, slot, self.token)

    def shaped(self, check: Callable[[str, Tensor], None] | None) -> Rows:
        """`given`, after the checks of the logits, which take no work.

        Raises:
            ImportError, TypeError, ValueError, RuntimeError: As the unsharded function.
        """
        rows, name = self.given(), f"fire_sampling.distributed.{self.function}"
        logits = rows.logits
        if logits.dim() != 2:
            raise RuntimeError(f"{name}: logits has shape {list(logits.shape)}, expected [R, V_r]")
        if logits.dtype not in DTYPES:
            raise RuntimeError(f"{name}: logits has dtype {logits.dtype}, expected one of {DTYPES}")
        if logits.shape[1] > 1 and logits.stride(1) != 1:
            raise RuntimeError(
                f"{name}: logits has a stride of {logits.stride(1)} along the vocabulary, expected 1"
            )
        if check is not None:
            check(name, logits)
        return rows

    def checked(self, check: Callable[[str, Tensor], None] | None) -> Rows:
        """`given`, after all checks that this rank can make alone.

        Raises:
            ImportError, TypeError, ValueError, RuntimeError: As the unsharded function.
        """
        rows = self.shaped(check)
        logits = rows.logits
        # The operators' own checks of all else, on a row of one token.
        one = logits.detach().new_zeros((logits.shape[0], 1))
        if self.function == "log_prob":
            ENTRY.require_array("distributed.log_prob", "token", self.token)
            torch.ops.fire.log_prob(one, self.token, rows.step, rows.records, rows.slot)
        else:
            torch.ops.fire.sample(one, rows.step, rows.records, rows.slot)
        return rows

    def with_seeds(self, seeds: list[int]) -> _Arguments:
        return dataclasses.replace(self, config=_with_seeds(self.config, iter(seeds)))


def _check_options(name: str, options: Options) -> None:
    for argument, low, high in (
        ("first_id", 0, _MAX_VOCABULARY),
        ("vocabulary", 1, _MAX_VOCABULARY),
        ("entries", 1, _native.MAX_SHARD_ENTRIES),
        ("rounds", 0, MOST_ROUNDS),
    ):
        value = getattr(options, argument)
        if value is not None:
            integer(name, argument, value, low, high, f"an integer from {low} to {high}, or None")


def _layout(name: str, headers: list[Header], ranks: Ranks) -> tuple[int, int]:
    """This rank's first id, and the vocabulary.

    Raises:
        ValueError: Shards are no contiguous ranges, or make no vocabulary.
    """
    columns = 0
    for rank, header in enumerate(headers):
        if header.first_id not in (NOT_GIVEN, columns):
            raise ValueError(
                f"{name}: rank {rank} of {ranks.size}: first_id is {header.first_id}, expected {columns}, as "
                "many columns as the ranks before it have"
            )
        columns += header.columns
    vocabulary = headers[0].vocabulary if headers[0].vocabulary != NOT_GIVEN else columns
    if not 1 <= columns <= _MAX_VOCABULARY:
        raise ValueError(
            f"{name}: logits have {columns} columns on all ranks, expected 1 to {_MAX_VOCABULARY}"
        )
    if vocabulary > columns:
        raise ValueError(
            f"{name}: vocabulary is {vocabulary}, expected 1 to {columns}, the columns of all ranks"
        )
    return sum(header.columns for header in headers[: ranks.rank]), vocabulary


def _unchecked_layout(name: str, options: Options, missing: int) -> tuple[int, int]:
    """The same as the caller says it."""
    _check_options(name, options)
    if options.first_id is None or options.vocabulary is None:
        raise ValueError(
            f"{name}: checked is False beside no first_id or no vocabulary, expected both of them"
        )
    if missing:
        raise ValueError(
            f"{name}: checked is False and config lacks a seed, expected a seed: without the first exchange "
            "each rank would draw one of its own"
        )
    return options.first_id, options.vocabulary


def seedless(config: Any) -> int:
    """How many seeds are missing."""
    configs = config if isinstance(config, Sequence) else [config]
    return sum(isinstance(item, SamplingConfig) and item.seed is None for item in configs)


def _with_seeds(config: Any, seeds: Iterator[int]) -> Any:
    """`config` with the next of `seeds` wherever one is missing; what is no config stays as it is."""
    if isinstance(config, SamplingConfig):
        return config if config.seed is not None else config.replace(seed=next(seeds))
    if isinstance(config, Sequence) and not isinstance(config, str):
        return [_with_seeds(item, seeds) for item in config]
    return config


def _most_entries(logits: Tensor, vocabulary: int, ranks: int) -> int:
    """How many entries of all ranks are no more bytes than the row of logits, which could be gathered
    instead; but a few are brought in any case.
    """
    as_large_as_the_row = vocabulary * logits.element_size() // (ranks * 8) - 1  # the flags are one more
    return min(MOST_ENTRIES, max(DEFAULT_ENTRIES, as_large_as_the_row))


def _entries(records: Tensor, vocabulary: int, reference: bool, most: int) -> int:
    """How many entries of a row each rank brings so that most rows of these records are settled by them. A
    row whose top-k is beyond `most` is searched, and begins as one without.
    """
    record = records.cpu().numpy().view(_native.RECORD)
    if record.size == 0:
        return 1
    ties = (record["flags"] & _TIES) != 0
    enumerated = (record["flags"] & _DESIGN) == _native.DESIGN_FLAGS["enumerated"]
    wanted = 1
    for prefix, ruled in (("", np.full(record.shape, True)), ("hot_", record["hot_steps"] > 0)):
        k = record[f"{prefix}top_k"].astype(np.int64)
        has_top_k = (k > 0) & (k < vocabulary)
        count = np.where(has_top_k, k + ties, DEFAULT_ENTRIES)
        count[count > most] = DEFAULT_ENTRIES
        filters = has_top_k | (record[f"{prefix}top_p"] < 1) | (record[f"{prefix}min_p"] > 0) | enumerated
        # Without a filter the largest logit is enough, but for the rank: mostly that of a listed token.
        count[(record[f"{prefix}temperature"] < 2.0**-64) | ~(filters | reference)] = 1
        wanted = max(wanted, int(count[ruled].max(initial=1)))
    return wanted
