"""Arithmetic on log-probabilities, between tensors of any floating type and the float32 of what comes out."""

from __future__ import annotations

import torch
from torch import Tensor

_LARGEST = torch.finfo(torch.float32).max


def difference(minuend: Tensor, subtrahend: Tensor, where: Tensor) -> Tensor:
    """Float64: their difference, and 0 outside `where`, whatever is there. Without a gradient."""
    return torch.where(where, minuend.detach().double() - subtrahend.detach().double(), 0.0)


def float32_range(values: Tensor) -> Tensor:
    """Float64: the values, those beyond the range of float32 at its ends. Without a gradient."""
    return values.detach().double().clamp(-_LARGEST, _LARGEST)


def to_float32(values: Tensor) -> Tensor:
    """Float32: the values, those beyond its range at its ends. Without a gradient."""
    return float32_range(values).float()


def largest_slope(variable: Tensor) -> float:
    """The largest derivative of a float32 by `variable` that its gradient, of its own type, can hold."""
    return min(torch.finfo(variable.dtype).max, _LARGEST)
