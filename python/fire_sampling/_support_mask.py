"""A support as the bits of a mask, a bit for each token of the vocabulary: what engines carry beside ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fire_sampling import _native
from fire_sampling._messages import came, integer, shown, why_no_torch

if TYPE_CHECKING:
    from torch import Tensor

_BITS = 8
_IDS = "ids in ascending order, below the vocabulary, and -1 behind them"


def support_mask(support: Tensor, vocabulary: int) -> Tensor:
    """Packs supports into bits: token i is bit i % 8 of byte i // 8, the order of vLLM's masks.

    Nothing of the size of the vocabulary is made but the result.

    Args:
        support: int32 [..., width], as `sample_with_support` returns it: ids in ascending order, then -1. -1
            alone stands for every id.
        vocabulary: the number of token ids, 1 to 2^21.

    Returns:
        uint8 [..., ceil(vocabulary / 8)], on the device of `support`; the bits behind the vocabulary are 0. A
        support that is not of that form is refused on the CPU; on a device it has no bit at all.

    Raises:
        ImportError: torch is missing; `fire_sampling.numpy.support_mask` needs none.
        TypeError: `support` is no tensor, `vocabulary` no integer.
        ValueError: `support` is not int32, has no last dimension or no place in it, or is of another form;
            `vocabulary` is out of range.
    """
    name = "fire_sampling.support_mask"
    try:
        import torch
    except Exception as error:
        raise ImportError(
            f"{name}: {why_no_torch(error)}; fire_sampling.numpy.support_mask needs none"
        ) from error
    if not isinstance(support, torch.Tensor):
        raise TypeError(f"{name}: support {came(support)}, expected a torch.Tensor")
    vocabulary = _check(name, str(support.dtype), tuple(support.shape), vocabulary)
    rows = support.reshape(-1, support.shape[-1])
    before = torch.cat([rows.new_zeros(rows.shape[0], 1), rows[:, :-1]], dim=1)
    ascends = (rows > before) & (before >= 0)
    ascends[:, 0] = rows[:, 0] >= 0
    well_formed = ((rows == -1) | (ascends & (rows < vocabulary))).all(dim=1, keepdim=True)
    if rows.device.type == "cpu" and not torch.compiler.is_compiling() and not bool(well_formed.all()):
        row = int(well_formed[:, 0].int().argmin())
        raise ValueError(_refusal(name, row, rows[row].tolist()))
    there = well_formed & (rows >= 0)
    bit = torch.where(there, torch.bitwise_left_shift(torch.ones_like(rows), rows % _BITS), 0)
    byte = torch.where(there, torch.div(rows, _BITS, rounding_mode="floor"), 0)
    full = torch.full((-(-vocabulary // _BITS),), 255, dtype=torch.uint8, device=rows.device)
    full[-1] = _last_byte(vocabulary)
    mask = torch.where(well_formed & (rows[:, :1] == -1), full, torch.zeros_like(full))
    # The ids of a row differ, so the sum of their bits is their union.
    mask.scatter_add_(1, byte.to(torch.int64), bit.to(torch.uint8))
    return mask.reshape(*support.shape[:-1], full.shape[0])


def mask_of_array(name: str, support: npt.NDArray[np.int32], vocabulary: int) -> npt.NDArray[np.uint8]:
    """`support_mask` of an array, called `name` in messages."""
    if not isinstance(support, np.ndarray):
        raise TypeError(f"{name}: support {came(support)}, expected a NumPy array")
    vocabulary = _check(name, str(support.dtype), support.shape, vocabulary)
    rows = support.reshape(-1, support.shape[-1])
    ascends = np.empty(rows.shape, np.bool_)
    ascends[:, 0] = rows[:, 0] >= 0
    ascends[:, 1:] = (rows[:, 1:] > rows[:, :-1]) & (rows[:, :-1] >= 0)
    well_formed = ((rows == -1) | (ascends & (rows < vocabulary))).all(axis=1)
    if not well_formed.all():
        row = int(well_formed.argmin())
        raise ValueError(_refusal(name, row, rows[row].tolist()))
    full = np.full(-(-vocabulary // _BITS), 255, np.uint8)
    full[-1] = _last_byte(vocabulary)
    mask = np.where(rows[:, :1] == -1, full, np.zeros_like(full))
    row_of, place = np.nonzero(rows >= 0)
    token = rows[row_of, place]
    np.bitwise_or.at(mask, (row_of, token // _BITS), np.left_shift(1, token % _BITS).astype(np.uint8))
    return mask.reshape(*support.shape[:-1], full.shape[0])


def _check(name: str, dtype: str, shape: tuple[int, ...], vocabulary: Any) -> int:
    """The vocabulary as an int; raises where it, or what kind of array the support is, does not fit."""
    if dtype not in ("int32", "torch.int32"):
        raise ValueError(f"{name}: support is {dtype}, expected int32")
    if not shape or shape[-1] < 1:
        raise ValueError(f"{name}: support has shape {list(shape)}, expected [..., width], width 1 or more")
    largest = _native.MAX_VOCABULARY
    return integer(name, "vocabulary", vocabulary, 1, largest, f"an integer from 1 to {largest}")


def _refusal(name: str, row: int, ids: list[int]) -> str:
    return f"{name}: support holds {shown(ids)} in row {row}, expected {_IDS}"


def _last_byte(vocabulary: int) -> int:
    """Of a mask that holds every token."""
    return 255 >> (-vocabulary % _BITS)
