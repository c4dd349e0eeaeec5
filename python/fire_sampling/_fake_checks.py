"""The checks that the fake kernels make: what of csrc/argument_checks.h depends on no size, in its words.

While a graph is traced, an argument's dtype, device and number of dimensions are known. Its sizes and strides
may be symbols, and to ask about one would add a guard: the kernel checks them when the graph runs.
"""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from fire_sampling.config import RECORD_WORDS


def check_arguments(
    op: str,
    logits: Tensor,
    step: Tensor,
    cfg: Tensor,
    slot: Tensor | None,
    *,
    token: Tensor | None = None,
    grad: Tensor | None = None,
    write: bool = False,
) -> None:
    """Checks the arguments of an operator.

    Args:
        op: The operator's name, for the message.
        logits: float32, bfloat16 or float16, of 2 dimensions.
        step: int32 or int64, of 1 dimension or none.
        cfg: int32, of 2 dimensions.
        slot: int32, of 1 dimension; or None.
        token: int64, of 1 dimension, of an operator that takes it.
        grad: float32, of 1 dimension, of an operator that takes it.
        write: Whether the logits are written in place: float32 then.

    Raises:
        RuntimeError: Names the operator, the argument, what came and what was expected.
    """
    if write and logits.dtype != torch.float32:
        _refuse(op, "logits", f"has dtype {_name(logits.dtype)}, expected float32 (it is written in place)")
    if logits.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        _refuse(op, "logits", f"has dtype {_name(logits.dtype)}, expected float32, bfloat16 or float16")
    if logits.dim() != 2:
        _refuse(op, "logits", f"has shape {_shape(logits)}, expected [R, V]")
    rows = logits.shape[0]
    one_a_row = f"[{rows}], one a row of logits"
    _check(op, "step", step, logits, (torch.int32, torch.int64), (0, 1), f"{one_a_row}, or [], one for all")
    _check(op, "cfg", cfg, logits, (torch.int32,), (2,), f"[S, {RECORD_WORDS}] as made by fire_sampling.pack")
    for argument, tensor, dtype in (
        ("slot", slot, torch.int32),
        ("token", token, torch.int64),
        ("grad", grad, torch.float32),
    ):
        if tensor is not None:
            _check(op, argument, tensor, logits, (dtype,), (1,), one_a_row)
    # Torch picks one kernel for all arguments: records on `meta` can bring real logits to a fake, which has
    # no tokens to give them.
    if logits.device.type != "meta" and not isinstance(logits, FakeTensor):
        _refuse(op, "logits", f"holds data on {logits.device}, expected a fake or meta tensor")


def _check(
    op: str,
    argument: str,
    tensor: Tensor,
    logits: Tensor,
    dtypes: tuple[torch.dtype, ...],
    dims: tuple[int, ...],
    shape: str,
) -> None:
    """Refuses another device than that of the logits, another dtype, or another number of dimensions."""
    if tensor.device != logits.device:
        _refuse(op, argument, f"is on {tensor.device}, expected {logits.device}, the device of logits")
    if tensor.dtype not in dtypes:
        expected = " or ".join(_name(dtype) for dtype in dtypes)
        _refuse(op, argument, f"has dtype {_name(tensor.dtype)}, expected {expected}")
    if tensor.dim() not in dims:
        _refuse(op, argument, f"has shape {_shape(tensor)}, expected {shape}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def _refuse(op: str, argument: str, what: str) -> NoReturn:
    raise RuntimeError(f"fire::{op}: {argument} {what}")
