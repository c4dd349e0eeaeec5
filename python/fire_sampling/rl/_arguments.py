"""The checks of arguments. Each message names the function, the argument, what came and what was expected."""

from __future__ import annotations

import numbers
from typing import NoReturn

import torch
from torch import Tensor

from fire_sampling._messages import came, integer, support_temperature
from fire_sampling.config import SamplingConfig


def check_mask(function: str, mask: object, like: tuple[str, Tensor] | None = None) -> None:
    """Raises unless it is bool [B, T], of the shape and on the device of `like`, where that is given."""
    expected = "expected torch.bool [B, T], true on the tokens that are trained on"
    if not isinstance(mask, Tensor):
        raise TypeError(f"{_called(function)}: mask {came(mask)}, {expected}")
    if mask.dtype != torch.bool or mask.dim() != 2:
        _refuse(function, "mask", f"is {mask.dtype} {list(mask.shape)}", expected)
    if like is not None:
        _check_like(function, "mask", mask, like)


def check_config(function: str, config: object) -> None:
    if not isinstance(config, SamplingConfig):
        raise TypeError(
            f"{_called(function)}: config {came(config)}, expected a fire_sampling.SamplingConfig"
        )


def check_floats(function: str, like: tuple[str, Tensor] | None, **tensors: object) -> None:
    """Raises unless each is a floating tensor [B, T], of the shape and on the device of `like`.

    Args:
        like: the argument that they have to fit, with its name; None where there is none.
    """
    for argument, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            expected = "expected a torch.Tensor of floats [B, T]"
            raise TypeError(f"{_called(function)}: {argument} {came(tensor)}, {expected}")
        if not tensor.is_floating_point() or tensor.dim() != 2:
            _refuse(function, argument, f"is {tensor.dtype} {list(tensor.shape)}", "expected floats [B, T]")
        if like is not None:
            _check_like(function, argument, tensor, like)


def check_support(
    function: str, like: tuple[str, Tensor], dtype: torch.dtype | None = None, **tensors: object
) -> None:
    """Raises unless each is of floats, or of `dtype`, [B, T, width]: one width, the [B, T] of `like`."""
    kind = "floats" if dtype is None else str(dtype)
    first = next(iter(tensors))
    for argument, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            expected = f"expected a torch.Tensor of {kind} [B, T, width]"
            raise TypeError(f"{_called(function)}: {argument} {came(tensor)}, {expected}")
        right = tensor.is_floating_point() if dtype is None else tensor.dtype == dtype
        if not right or tensor.dim() != 3:
            what = f"is {tensor.dtype} {list(tensor.shape)}"
            _refuse(function, argument, what, f"expected {kind} [B, T, width]")
        if tensor.shape[2] == 0:
            expected = f"expected {kind} [B, T, width], width 1 or more"
            _refuse(function, argument, f"has shape {list(tensor.shape)}", expected)
        rows, width = list(like[1].shape[:2]), tensors[first].shape[2]  # type: ignore[attr-defined]
        if list(tensor.shape) != [*rows, width]:
            expected = f"expected {[*rows, width]}: the rows of {like[0]}, as wide as {first}"
            _refuse(function, argument, f"has shape {list(tensor.shape)}", expected)
        _check_device(function, argument, tensor, like)


def check_logits(function: str, logits: object) -> None:
    expected = "torch.float32, torch.bfloat16 or torch.float16 [B, T, V]"
    if not isinstance(logits, Tensor):
        raise TypeError(f"{_called(function)}: logits {came(logits)}, expected a torch.Tensor of {expected}")
    if logits.dtype not in (torch.float32, torch.bfloat16, torch.float16) or logits.dim() != 3:
        _refuse(function, "logits", f"is {logits.dtype} {list(logits.shape)}", f"expected {expected}")
    if logits.shape[2] == 0:
        _refuse(function, "logits", f"has shape {list(logits.shape)}", f"expected {expected}, V 1 or more")


def check_temperature(function: str, temperature: object) -> float:
    return support_temperature(_called(function), temperature, "a finite number, at least 2^-64")


def check_advantage(function: str, advantage: object, like: tuple[str, Tensor]) -> None:
    """Raises unless it is of real numbers, [B, T] or [B], and on the device of `like`."""
    rows = list(like[1].shape[:1])
    expected = f"expected numbers {list(like[1].shape)}, one a token, or {rows}, one a sequence"
    if not isinstance(advantage, Tensor):
        raise TypeError(f"{_called(function)}: advantage {came(advantage)}, {expected}")
    shape = list(advantage.shape)
    if advantage.dtype == torch.bool or advantage.is_complex() or shape not in (rows, list(like[1].shape)):
        _refuse(function, "advantage", f"is {advantage.dtype} {shape}", expected)
    _check_device(function, "advantage", advantage, like)


def check_reward(function: str, reward: object, size: object, blocks: object) -> None:
    """Raises unless it is of real numbers [B], B a multiple of the completions of a prompt: blocks · size."""
    called = _called(function)
    size = integer(called, "size", size, 1, 2**31, "the number of completions in a block, at least 1")
    blocks = integer(called, "blocks", blocks, 2, 2**31, "the number of blocks of a prompt, at least 2")
    expected = f"expected numbers [B], B a multiple of {blocks} blocks of {size}"
    if not isinstance(reward, Tensor):
        raise TypeError(f"{called}: reward {came(reward)}, {expected}")
    no_number = reward.dtype == torch.bool or reward.is_complex()
    if no_number or reward.dim() != 1 or len(reward) % (blocks * size):
        _refuse(function, "reward", f"is {reward.dtype} {list(reward.shape)}", expected)


def check_cap(function: str, cap: object) -> None:
    expected = "expected a positive number, math.inf for no cap"
    if not _is_number(cap):
        raise TypeError(f"{_called(function)}: cap {came(cap)}, {expected}")
    if not cap > 0:  # type: ignore[operator]
        _refuse(function, "cap", came(cap), expected)


def check_clip(function: str, clip_low: object, clip_high: object) -> None:
    for argument, value, below, expected in (
        ("clip_low", clip_low, 1.0, "expected a number in [0, 1)"),
        ("clip_high", clip_high, None, "expected a number from 0 on"),
    ):
        if not _is_number(value):
            raise TypeError(f"{_called(function)}: {argument} {came(value)}, {expected}")
        if not value >= 0 or (below is not None and value >= below):  # type: ignore[operator]
            _refuse(function, argument, came(value), expected)


def check_bool(function: str, argument: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{_called(function)}: {argument} {came(value)}, expected True or False")


def check_gradient(
    function: str, policy: Tensor, old: Tensor, names: tuple[str, str] = ("policy", "old")
) -> None:
    """Raises if the two have certainly changed places."""
    if old.requires_grad and not policy.requires_grad:
        training, constant = names
        _refuse(
            function,
            training,
            f"does not require grad and {constant} does",
            f"expected the log-probabilities in training as {training}, and constants as {constant}: are "
            "they swapped?",
        )


def _check_like(function: str, argument: str, tensor: Tensor, like: tuple[str, Tensor]) -> None:
    if tensor.shape != like[1].shape:
        expected = f"expected {list(like[1].shape)}, the shape of {like[0]}"
        _refuse(function, argument, f"has shape {list(tensor.shape)}", expected)
    _check_device(function, argument, tensor, like)


def _check_device(function: str, argument: str, tensor: Tensor, like: tuple[str, Tensor]) -> None:
    if tensor.device != like[1].device:
        expected = f"expected {like[1].device}, the device of {like[0]}"
        _refuse(function, argument, f"is on {tensor.device}", expected)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _refuse(function: str, argument: str, what: str, expected: str) -> NoReturn:
    raise ValueError(f"{_called(function)}: {argument} {what}, {expected}")


def _called(function: str) -> str:
    return f"fire_sampling.rl.{function}"
