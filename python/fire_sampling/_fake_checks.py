"""The checks that the fake kernels make, rule for rule those of csrc/torch/arguments.h and in its words.

A fake refuses what is certain to be wrong. What depends on a symbolic size passes: the kernel checks it when
the size is known, and a traced graph gets no guard from here.
"""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from fire_sampling._native import MAX_VOCABULARY
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
        logits: float32, bfloat16 or float16 [R, V].
        step: int32 or int64 [R] or 0-d.
        cfg: int32 [S, 16]; S = R without `slot`.
        slot: int32 [R] or None.
        token: int64 [R], of an operator that takes it.
        grad: float32 [R], of an operator that takes it.
        write: Whether the logits are written in place: float32 then, and no two rows in the same memory.

    Raises:
        RuntimeError: Names the operator, the argument, what came and what was expected.
    """
    _check_logits(op, logits, write)
    _check_step(op, step, logits)
    _check_records(op, cfg, logits, slot is not None)
    if slot is not None:
        _check_one_a_row(op, "slot", slot, logits, torch.int32)
    if token is not None:
        _check_one_a_row(op, "token", token, logits, torch.int64)
    if grad is not None:
        _check_one_a_row(op, "grad", grad, logits, torch.float32)
    # Torch picks one kernel for all arguments: records on `meta` can bring real logits to a fake, which has
    # no tokens to give them.
    if logits.device.type != "meta" and not isinstance(logits, FakeTensor):
        _refuse(op, "logits", f"holds data on {logits.device}, expected a fake or meta tensor")


def _check_logits(op: str, logits: Tensor, write: bool) -> None:
    dtype = logits.dtype
    if write:
        if dtype != torch.float32:
            _refuse(op, "logits", f"has dtype {_name(dtype)}, expected float32 (it is written in place)")
    elif dtype not in (torch.float32, torch.bfloat16, torch.float16):
        _refuse(op, "logits", f"has dtype {_name(dtype)}, expected float32, bfloat16 or float16")
    if logits.dim() != 2:
        _refuse(op, "logits", f"has shape {_shape(logits)}, expected [R, V]")
    rows, vocabulary = logits.shape
    if _known(vocabulary < 1) or _known(vocabulary > MAX_VOCABULARY):
        expected = f"[R, V] with 1 <= V <= {MAX_VOCABULARY}"
        _refuse(op, "logits", f"has shape {_shape(logits)}, expected {expected}")
    row_stride, stride = logits.stride()
    if _known(vocabulary > 1) and _known(stride != 1):
        expected = "1 (call logits.contiguous() first)"
        _refuse(op, "logits", f"has stride {stride} along V, expected {expected}")
    if write and _known(rows > 1) and _known(row_stride < vocabulary):
        expected = (
            f"at least V = {vocabulary} (rows written in place must not overlap; call logits.clone() first)"
        )
        _refuse(op, "logits", f"has row stride {row_stride}, expected {expected}")


def _check_step(op: str, step: Tensor, logits: Tensor) -> None:
    _check_device(op, "step", step, logits)
    _check_dtype(op, "step", step, torch.int32, torch.int64)
    rows = logits.shape[0]
    if step.dim() != 0 and (step.dim() != 1 or _known(step.shape[0] != rows)):
        expected = f"[{rows}], one a row of logits, or [], one for all"
        _refuse(op, "step", f"has shape {_shape(step)}, expected {expected}")


def _check_records(op: str, cfg: Tensor, logits: Tensor, with_slot: bool) -> None:
    _check_device(op, "cfg", cfg, logits)
    _check_dtype(op, "cfg", cfg, torch.int32)
    if cfg.dim() != 2 or _known(cfg.shape[1] != RECORD_WORDS):
        expected = f"[S, {RECORD_WORDS}] as made by fire_sampling.pack"
        _refuse(op, "cfg", f"has shape {_shape(cfg)}, expected {expected}")
    records, rows = cfg.shape[0], logits.shape[0]
    record_stride, stride = cfg.stride()
    if _known(records > 0) and (
        _known(stride != 1) or (_known(records > 1) and _known(record_stride != RECORD_WORDS))
    ):
        expected = "contiguous records (call cfg.contiguous() first)"
        _refuse(op, "cfg", f"has strides [{record_stride}, {stride}], expected {expected}")
    if with_slot and _known(records < 1):
        _refuse(op, "cfg", "has S = 0, expected at least one record for slot to choose from")
    if not with_slot and _known(records != rows):
        expected = (
            f"a record for each row (fire_sampling.pack(config, rows={rows}) makes them, each with a seed of "
            "its own) or a slot that names each row's record"
        )
        _refuse(op, "cfg", f"has S = {records} for R = {rows} rows of logits, expected {expected}")


def _check_device(op: str, argument: str, tensor: Tensor, logits: Tensor) -> None:
    if tensor.device != logits.device:
        _refuse(op, argument, f"is on {tensor.device}, expected {logits.device}, the device of logits")


def _check_one_a_row(op: str, argument: str, tensor: Tensor, logits: Tensor, dtype: torch.dtype) -> None:
    _check_device(op, argument, tensor, logits)
    _check_dtype(op, argument, tensor, dtype)
    rows = logits.shape[0]
    if tensor.dim() != 1 or _known(tensor.shape[0] != rows):
        _refuse(op, argument, f"has shape {_shape(tensor)}, expected [{rows}], one a row of logits")


def _check_dtype(op: str, argument: str, tensor: Tensor, *allowed: torch.dtype) -> None:
    if tensor.dtype not in allowed:
        expected = " or ".join(_name(dtype) for dtype in allowed)
        _refuse(op, argument, f"has dtype {_name(tensor.dtype)}, expected {expected}")


def _known(condition: bool | torch.SymBool) -> bool:
    """Whether `condition` is certain, whatever the symbolic sizes in it turn out to be."""
    if isinstance(condition, bool):
        return condition
    from torch.fx.experimental.symbolic_shapes import statically_known_true  # slow to import

    return statically_known_true(condition)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def _refuse(op: str, argument: str, what: str) -> NoReturn:
    raise RuntimeError(f"fire::{op}: {argument} {what}")
