"""Packed records: what the operators read instead of a `SamplingConfig`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fire_sampling import _native
from fire_sampling.config import RECORD_WORDS, SEED_WORDS, SamplingConfig

if TYPE_CHECKING:
    import torch

DrawSeeds = Callable[[int], npt.NDArray[np.uint64]]


def pack(
    config: SamplingConfig | Sequence[SamplingConfig],
    rows: int | None = None,
    first_row: int = 0,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Packs configs into records, filling in every default.

    One config is spread over `rows` sequences: row r gets the seed that Philox derives from the config's seed
    and `first_row + r`, so that sequences differ and a sequence keeps its seed however a batch is split.
    Configs in a sequence become one record each, with their seeds as they are.

    A seed that is None is drawn from torch's default CPU generator, so `torch.manual_seed` reproduces it.

    Args:
        config: One config, or one for each record.
        rows: The number of records for one config, 1 by default. Not for a sequence of configs.
        first_row: The index of the first of them. Not for a sequence of configs.
        device: Where the records shall lie; the CPU by default.

    Returns:
        int32 [rows, 16].

    Raises:
        ImportError: torch is not installed; `fire_sampling.numpy.pack` needs none.
        TypeError: `config` is neither a config nor a sequence of configs.
        ValueError: `rows` or `first_row` is negative, or comes with a sequence of configs.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "fire_sampling.pack: torch is not installed; fire_sampling.numpy.pack needs none"
        ) from error

    def draw_seeds(count: int) -> npt.NDArray[np.uint64]:
        bits = torch.empty(count, dtype=torch.int64, device="cpu").random_(-(2**63), None)
        return np.asarray(bits.numpy()).view(np.uint64)

    records = torch.from_numpy(pack_records(config, rows, first_row, draw_seeds).view(np.int32))
    return records if device is None else records.to(device)


def pack_records(
    config: SamplingConfig | Sequence[SamplingConfig], rows: int | None, first_row: int, draw_seeds: DrawSeeds
) -> npt.NDArray[np.uint32]:
    """`pack` as uint32 [rows, 16]; `draw_seeds(n)` returns uint64 [n], and is called only if a seed is
    missing.
    """
    if isinstance(config, SamplingConfig):
        rows = 1 if rows is None else _count("rows", rows)
        first_row = _count("first_row", first_row)
        return _native.spread_records(_unspread([config], draw_seeds)[0], rows, first_row)
    if not isinstance(config, Sequence) or not all(isinstance(item, SamplingConfig) for item in config):
        raise TypeError(
            f"pack: config is a {_describe(config)}, expected a SamplingConfig or a sequence of them"
        )
    if rows is not None or first_row != 0:
        raise ValueError(
            f"pack: rows is {rows} and first_row {first_row}, expected neither with a sequence of configs: "
            "each becomes one record, its seed as it is"
        )
    return _unspread(config, draw_seeds)


def _unspread(configs: Sequence[SamplingConfig], draw_seeds: DrawSeeds) -> npt.NDArray[np.uint32]:
    packed = bytearray().join([config._record_without_seed for config in configs])
    records = np.frombuffer(packed, dtype=np.uint32).reshape(len(configs), RECORD_WORDS)
    seedless = sum(config.seed is None for config in configs)
    drawn = iter(draw_seeds(seedless).tolist() if seedless else ())
    for record, config in zip(records, configs, strict=True):
        seed = next(drawn) if config.seed is None else config.seed
        record[SEED_WORDS] = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    return records


def _count(name: str, value: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        count = -1
    if not 0 <= count < 2**63:
        raise ValueError(f"pack: {name} is {value!r}, expected an integer of 0 or more")
    return count


def _describe(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{kind} of {', '.join(sorted({type(item).__name__ for item in value}))}"
    return kind
