"""The fakes of the operators: what a kernel returns, without its values; it refuses what no size decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fire_sampling import _native
from fire_sampling._fake_checks import (
    check_arguments,
    check_sequences,
    check_size,
    check_support,
    check_width,
)


def new_outputs(logits: Tensor, members: tuple[int, ...] = ()) -> tuple[Tensor, ...]:
    """The outputs of a row, or of a group with `members` behind the rows of what each member has its own."""
    rows = (logits.shape[0],)
    return tuple(
        logits.new_empty(rows + members if of_member else rows, dtype=getattr(torch, dtype))
        for _, dtype, of_member in _native.OUTPUTS
    )


def _fake_sample(logits: Tensor, step: Tensor, cfg: Tensor, slot: Tensor | None = None) -> Tensor:
    check_arguments("sample", logits, step, cfg, slot)
    return logits.new_empty(logits.shape[0], dtype=torch.int64)


def _fake_sample_with_logprobs(
    logits: Tensor, step: Tensor, cfg: Tensor, slot: Tensor | None = None, *, reference: bool = True
) -> tuple[Tensor, ...]:
    check_arguments("sample_with_logprobs", logits, step, cfg, slot)
    return new_outputs(logits)


def _fake_sample_with_support(
    logits: Tensor,
    step: Tensor,
    cfg: Tensor,
    slot: Tensor | None = None,
    *,
    width: int,
    reference: bool = True,
) -> tuple[Tensor, ...]:
    check_arguments("sample_with_support", logits, step, cfg, slot)
    check_width("sample_with_support", width)
    support = logits.new_empty((logits.shape[0], width), dtype=torch.int32)
    return *new_outputs(logits), support, torch.empty_like(support, dtype=torch.float32)


def _fake_sample_group(
    logits: Tensor, step: Tensor, cfg: Tensor, slot: Tensor | None = None, *, size: int
) -> Tensor:
    check_arguments("sample_group", logits, step, cfg, slot)
    check_size("sample_group", size)
    return logits.new_empty((logits.shape[0], size), dtype=torch.int64)


def _fake_sample_group_with_logprobs(
    logits: Tensor,
    step: Tensor,
    cfg: Tensor,
    slot: Tensor | None = None,
    *,
    size: int,
    reference: bool = True,
) -> tuple[Tensor, ...]:
    check_arguments("sample_group_with_logprobs", logits, step, cfg, slot)
    check_size("sample_group_with_logprobs", size)
    return new_outputs(logits, (size,))


def _fake_sample_coded(
    logits: Tensor, code: Tensor, step: Tensor, cfg: Tensor, slot: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    check_arguments("sample_coded", logits, step, cfg, slot, code=code)
    rows = logits.shape[0]
    return logits.new_empty(rows, dtype=torch.int64), logits.new_empty(rows, dtype=torch.int64)


def _fake_first_code(step: Tensor, cfg: Tensor, slot: Tensor | None = None) -> Tensor:
    return cfg.new_empty(check_sequences("first_code", step, cfg, slot), dtype=torch.int64)


def _fake_process_logits(logits: Tensor, step: Tensor, cfg: Tensor, slot: Tensor | None = None) -> Tensor:
    check_arguments("process_logits", logits, step, cfg, slot)
    return logits.new_empty(logits.shape, dtype=torch.float32)


def _fake_heat_logits_(logits: Tensor, step: Tensor, cfg: Tensor, slot: Tensor | None = None) -> None:
    check_arguments("heat_logits_", logits, step, cfg, slot, write=True)


def _fake_log_prob(
    logits: Tensor, token: Tensor, step: Tensor, cfg: Tensor, slot: Tensor | None = None
) -> Tensor:
    check_arguments("log_prob", logits, step, cfg, slot, token=token)
    return logits.new_empty(logits.shape[0], dtype=torch.float32)


def _fake_log_prob_backward(
    grad: Tensor, logits: Tensor, token: Tensor, step: Tensor, cfg: Tensor, slot: Tensor | None = None
) -> Tensor:
    check_arguments("log_prob_backward", logits, step, cfg, slot, token=token, grad=grad)
    return logits.new_empty(logits.shape)


def _fake_support_log_prob(
    logits: Tensor, token: Tensor, support: Tensor, temperature: Tensor
) -> tuple[Tensor, ...]:
    check_support("support_log_prob", logits, token, support, temperature)
    rows = logits.shape[0]
    values = (logits.new_empty(rows, dtype=dtype) for dtype in (torch.float32, torch.float32, torch.int32))
    return (*values, logits.new_empty((rows, 3), dtype=torch.int64))


def _fake_support_log_prob_backward(
    grad: Tensor,
    full_grad: Tensor,
    logits: Tensor,
    token: Tensor,
    support: Tensor,
    temperature: Tensor,
    masses: Tensor,
) -> Tensor:
    op = "support_log_prob_backward"
    others = {"grad": grad, "full_grad": full_grad, "masses": masses}
    check_support(op, logits, token, support, temperature, **others)
    return logits.new_empty(logits.shape)


FAKES: dict[str, Callable[..., Any]] = {
    "sample": _fake_sample,
    "sample_with_logprobs": _fake_sample_with_logprobs,
    "sample_with_support": _fake_sample_with_support,
    "sample_group": _fake_sample_group,
    "sample_group_with_logprobs": _fake_sample_group_with_logprobs,
    "sample_coded": _fake_sample_coded,
    "first_code": _fake_first_code,
    "process_logits": _fake_process_logits,
    "heat_logits_": _fake_heat_logits_,
    "log_prob": _fake_log_prob,
    "log_prob_backward": _fake_log_prob_backward,
    "support_log_prob": _fake_support_log_prob,
    "support_log_prob_backward": _fake_support_log_prob_backward,
}
