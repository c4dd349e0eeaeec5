"""Packed records: what the operators read instead of a `SamplingConfig`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fire_sampling import _native
from fire_sampling._messages import came, integer, shown, why_no_torch
from fire_sampling.config import RECORD_WORDS, SPREADING, SamplingConfig

if TYPE_CHECKING:
    import torch

DrawSeeds = Callable[[int], npt.NDArray[np.uint64]]

_MOST = 2**63 - 1


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
        rows: The number of records for one config, which has none by default: a record that many sequences
            share would have them draw alike. Not for a sequence of configs.
        first_row: The index of the first of them. Not for a sequence of configs.
        device: Where the records shall lie; the CPU by default.

    Returns:
        int32 [rows, 16].

    Raises:
        ImportError: torch is missing or broken; `fire_sampling.numpy.pack` needs none.
        TypeError: `config` is neither a config nor a sequence of configs; `rows` or `first_row` is no
            integer; `rows` is missing beside one config.
        ValueError: `rows` or `first_row` is negative, or comes with a sequence of configs.
        RuntimeError: torch cannot put the records on `device`.
    """
    name = "fire_sampling.pack"
    return _to_torch(name, lambda draw_seeds: pack_records(name, config, rows, first_row, draw_seeds), device)


def pack_group(
    config: SamplingConfig,
    prompts: int,
    size: int,
    first_prompt: int = 0,
    blocks: int = 1,
    *,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Packs the records of the completions of some prompts, `size` of each drawn together as a group.

    The members of a group share a seed, and `config.design` spreads what their hot steps draw; without a
    design they are drawn independently, "iid". A prompt has `blocks` groups, independent of each other. Block
    b of prompt p gets the seed that `pack` would give row (p + first_prompt) · blocks + b.

    Args:
        config: How to sample, its `group_size` and `member` left out. A seed that is None is drawn as `pack`
            draws it.
        prompts: The number of prompts.
        size: The number of completions in a group, from 1 to 65,536.
        first_prompt: The index of the first prompt.
        blocks: The number of groups of a prompt.
        device: Where the records shall lie; the CPU by default.

    Returns:
        int32 [prompts · blocks · size, 16]: prompt by prompt, of each its blocks, of each its members.

    Raises:
        ImportError: torch is missing or broken; `fire_sampling.numpy.pack_group` needs none.
        TypeError: `config` is no config; a number is no integer.
        ValueError: A number is out of its range; `config` has a `group_size` or a `member`; its design
            spreads hot steps, and it has none.
        RuntimeError: torch cannot put the records on `device`.
    """
    name = "fire_sampling.pack_group"
    return _to_torch(
        name,
        lambda draw_seeds: pack_group_records(name, config, prompts, size, first_prompt, blocks, draw_seeds),
        device,
    )


def pack_records(
    name: str,
    config: SamplingConfig | Sequence[SamplingConfig],
    rows: int | None,
    first_row: int,
    draw_seeds: DrawSeeds,
) -> npt.NDArray[np.uint32]:
    """`pack` as uint32 [rows, 16], called `name` in messages; `draw_seeds(n)` returns uint64 [n], and is
    called only if a seed is missing.
    """
    if isinstance(config, SamplingConfig):
        if rows is None:
            raise TypeError(
                f"{name}: rows is missing, expected the number of sequences that draw by this config (rows=1 "
                "for one), each of which gets a record with a seed of its own"
            )
        rows = _count(name, "rows", rows)
        first_row = _count(name, "first_row", first_row)
        return _native.spread_records(_unspread([config], draw_seeds)[0], rows, first_row)
    require_configs(name, config, "a SamplingConfig or a sequence of them")
    if rows is not None or first_row != 0:
        raise ValueError(
            f"{name}: rows is {rows} and first_row {first_row}, expected neither with a sequence of configs: "
            "each becomes one record, its seed as it is"
        )
    return _unspread(config, draw_seeds)


def pack_group_records(
    name: str,
    config: SamplingConfig,
    prompts: int,
    size: int,
    first_prompt: int,
    blocks: int,
    draw_seeds: DrawSeeds,
) -> npt.NDArray[np.uint32]:
    """`pack_group` as uint32 [prompts · blocks · size, 16], called `name` in messages."""
    if not isinstance(config, SamplingConfig):
        raise TypeError(f"{name}: config {came(config)}, expected a SamplingConfig")
    largest = _native.MAX_GROUP_SIZE
    size = integer(name, "size", size, 1, largest, f"an integer from 1 to {largest}")
    blocks = integer(name, "blocks", blocks, 1, _MOST, "an integer from 1 to 2^63 - 1")
    most = _MOST // size // blocks
    prompts = integer(name, "prompts", prompts, 0, most, "an integer from 0 to 2^63 - 1 records")
    most = _MOST // blocks - prompts
    expected = "an integer from 0, the last block below 2^63"
    first_prompt = integer(name, "first_prompt", first_prompt, 0, most, expected)
    full = config.resolve()
    if full.group_size > 1:
        raise ValueError(f"{name}: config has group_size {full.group_size}, expected none: size says it")
    if full.design in SPREADING and not full.hot_steps:
        raise ValueError(
            f"{name}: config has design {full.design!r} and no hot step, expected hot_steps of 1 or more, or "
            "design 'iid': the others act at hot steps alone"
        )
    record = _unspread([config], draw_seeds)[0]
    return _native.group_records(record, prompts * blocks, first_prompt * blocks, size)


def seed_of(name: str) -> int:
    """64 bits that a name alone decides, such as a request's id: the same on every rank, in every order."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def require_configs(name: str, config: Any, expected: str) -> None:
    """Raises a TypeError that tells what was expected unless `config` is a sequence of configs."""
    if not isinstance(config, Sequence) or isinstance(config, str):
        raise TypeError(f"{name}: config {came(config)}, expected {expected}")
    if not all(isinstance(item, SamplingConfig) for item in config):
        items = ", ".join(sorted({type(item).__name__ for item in config}))
        raise TypeError(f"{name}: config is a {type(config).__name__} of {items}, expected {expected}")


def _unspread(configs: Sequence[SamplingConfig], draw_seeds: DrawSeeds) -> npt.NDArray[np.uint32]:
    packed = bytearray().join([config._record_without_seed for config in configs])
    records = np.frombuffer(packed, dtype=_native.RECORD)
    seedless = sum(config.seed is None for config in configs)
    drawn = iter(draw_seeds(seedless).tolist() if seedless else ())
    seeds = [next(drawn) if config.seed is None else config.seed % 2**64 for config in configs]
    words = np.array(seeds, dtype=np.uint64)
    records["seed_low"] = words & np.uint64(0xFFFFFFFF)
    records["seed_high"] = words >> np.uint64(32)
    return records.view(np.uint32).reshape(len(configs), RECORD_WORDS)


def draw_seeds(count: int) -> npt.NDArray[np.uint64]:
    """Seeds from torch's default CPU generator: what a missing one becomes."""
    import torch

    bits = torch.empty(count, dtype=torch.int64, device="cpu").random_(-(2**63), None)
    return np.asarray(bits.numpy()).view(np.uint64)


def _count(name: str, argument: str, value: int) -> int:
    return integer(name, argument, value, 0, _MOST, "an integer from 0 to 2^63 - 1")


def _to_torch(
    name: str, packed: Callable[[DrawSeeds], npt.NDArray[np.uint32]], device: torch.device | str | None
) -> torch.Tensor:
    """What `packed` makes, called with a source of seeds, as int32 on `device`."""
    try:
        import torch
    except Exception as error:
        raise ImportError(
            f"{name}: {why_no_torch(error)}; {name.replace('.', '.numpy.')} needs none"
        ) from error

    records = torch.from_numpy(packed(draw_seeds).view(np.int32))
    if device is None:
        return records
    try:
        return records.to(device)
    except (AssertionError, RuntimeError) as error:  # an AssertionError where torch has no CUDA
        reason = str(error).split("\n", 1)[0]
        raise RuntimeError(
            f"{name}: device is {shown(str(device))}, expected one that this torch can use: {reason}"
        ) from error
