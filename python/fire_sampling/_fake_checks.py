"""The checks that the fake kernels make: what of csrc/argument_checks.h depends on no size, in its words.

While a graph is traced, an argument's dtype, device and number of dimensions are known. Its sizes and strides
may be symbols, and to ask about one would add a guard: the kernel checks them when the graph runs.
"""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from fire_sampling import _native
from fire_sampling.config import RECORD_WORDS

MAX_GROUP_SIZE = _native.MAX_GROUP_SIZE
STEPS = (torch.int32, torch.int64)
RECORDS = f"[S, {RECORD_WORDS}] as made by fire_sampling.pack"


def check_arguments(
    op: str,
    logits: Tensor,
    step: Tensor,
    cfg: Tensor,
    slot: Tensor | None,
    *,
    token: Tensor | None = None,
    code: Tensor | None = None,
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
        code: The same.
        grad: float32, of 1 dimension, of an operator that takes it.
        write: Whether the logits are written in place: float32 then.

    Raises:
        RuntimeError: Names the operator, the argument, what came and what was expected.
    """
    one_a_row = check_logits(op, logits, write=write)
    check_tensor(op, "step", step, logits, STEPS, (0, 1), f"{one_a_row}, or [], one for all")
    check_tensor(op, "cfg", cfg, logits, (torch.int32,), (2,), RECORDS)
    for argument, tensor, dtype in (
        ("slot", slot, torch.int32),
        ("token", token, torch.int64),
        ("code", code, torch.int64),
        ("grad", grad, torch.float32),
    ):
        if tensor is not None:
            check_tensor(op, argument, tensor, logits, (dtype,), (1,), one_a_row)
    require_fake(op, "logits", logits)


def check_support(
    op: str,
    logits: Tensor,
    token: Tensor,
    support: Tensor,
    temperature: Tensor,
    *,
    grad: Tensor | None = None,
    full_grad: Tensor | None = None,
    masses: Tensor | None = None,
) -> None:
    """Checks the arguments of `support_log_prob`, and what its gradient takes besides.

    Args:
        op: The operator's name, for the message.
        logits: float32, bfloat16 or float16, of 2 dimensions.
        token: int64, of 1 dimension.
        support: int32, of 2 dimensions.
        temperature: float32, of 1 dimension or none.
        grad: float32, of 1 dimension, of the gradient.
        full_grad: The same.
        masses: int64, of 2 dimensions, of the gradient.

    Raises:
        RuntimeError: Names the operator, the argument, what came and what was expected.
    """
    one_a_row = check_logits(op, logits)
    rows = logits.shape[0]
    check_tensor(op, "token", token, logits, (torch.int64,), (1,), one_a_row)
    places = f"[{rows}, width], the places of each row of logits"
    check_tensor(op, "support", support, logits, (torch.int32,), (2,), places)
    check_tensor(
        op, "temperature", temperature, logits, (torch.float32,), (0, 1), f"{one_a_row}, or [], one for all"
    )
    for argument, tensor in (("grad", grad), ("full_grad", full_grad)):
        if tensor is not None:
            check_tensor(op, argument, tensor, logits, (torch.float32,), (1,), one_a_row)
    if masses is not None:
        shape = f"[{rows}, 3] as the forward call gave them"
        check_tensor(op, "masses", masses, logits, (torch.int64,), (2,), shape)
    require_fake(op, "logits", logits)


def check_sequences(op: str, step: Tensor, cfg: Tensor, slot: Tensor | None) -> int:
    """Checks the arguments of an operator without logits, and returns how many rows they are.

    Args:
        op: The operator's name, for the message.
        step: int32 or int64, of 1 dimension or none.
        cfg: int32, of 2 dimensions.
        slot: int32, of 1 dimension; or None.

    Raises:
        RuntimeError: Names the operator, the argument, what came and what was expected.
    """
    check_tensor(op, "cfg", cfg, cfg, (torch.int32,), (2,), RECORDS)
    if slot is not None:
        check_tensor(op, "slot", slot, cfg, (torch.int32,), (1,), "[R], one a sequence", beside="cfg")
    rows, row = (cfg.shape[0], "record") if slot is None else (slot.shape[0], "slot")
    check_tensor(
        op, "step", step, cfg, STEPS, (0, 1), f"[{rows}], one a {row}, or [], one for all", beside="cfg"
    )
    require_fake(op, "cfg", cfg)
    return rows


def check_size(op: str, size: int) -> None:
    """Checks the size of a group, where that is no symbol.

    Raises:
        RuntimeError: Names the operator, what came and what was expected.
    """
    check_range(op, "size", size, 1, MAX_GROUP_SIZE)


def check_width(op: str, width: int) -> None:
    """Checks the places of a support, where they are no symbol.

    Raises:
        RuntimeError: Names the operator, what came and what was expected.
    """
    check_range(op, "width", width, 1, _native.MAX_VOCABULARY)


def check_range(op: str, argument: str, value: int, least: int, most: int) -> None:
    """Refuses a number out of range, where it is no symbol."""
    if isinstance(value, int) and not least <= value <= most:
        refuse(op, argument, f"is {value}, expected {least} to {most}")


def check_logits(op: str, logits: Tensor, *, write: bool = False) -> str:
    """Refuses logits of another dtype or number of dimensions; returns the shape of one value a row."""
    if write and logits.dtype != torch.float32:
        refuse(op, "logits", f"has dtype {_name(logits.dtype)}, expected float32 (it is written in place)")
    if logits.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        refuse(op, "logits", f"has dtype {_name(logits.dtype)}, expected float32, bfloat16 or float16")
    if logits.dim() != 2:
        refuse(op, "logits", f"has shape {_shape(logits)}, expected [R, V]")
    return f"[{logits.shape[0]}], one a row of logits"


def require_fake(op: str, argument: str, tensor: Tensor) -> None:
    """Torch picks one kernel for all arguments: one on `meta` can bring real ones to a fake, which has no
    values to give.
    """
    if tensor.device.type != "meta" and not isinstance(tensor, FakeTensor):
        refuse(op, argument, f"holds data on {tensor.device}, expected a fake or meta tensor")


def check_tensor(
    op: str,
    argument: str,
    tensor: Tensor,
    other: Tensor,
    dtypes: tuple[torch.dtype, ...],
    dims: tuple[int, ...],
    shape: str,
    *,
    beside: str = "logits",
) -> None:
    """Refuses another device than that of `beside`, another dtype, or another number of dimensions."""
    if tensor.device != other.device:
        refuse(op, argument, f"is on {tensor.device}, expected {other.device}, the device of {beside}")
    if tensor.dtype not in dtypes:
        expected = " or ".join(_name(dtype) for dtype in dtypes)
        refuse(op, argument, f"has dtype {_name(tensor.dtype)}, expected {expected}")
    if tensor.dim() not in dims:
        refuse(op, argument, f"has shape {_shape(tensor)}, expected {shape}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def refuse(op: str, argument: str, what: str) -> NoReturn:
    raise RuntimeError(f"fire::{op}: {argument} {what}")
