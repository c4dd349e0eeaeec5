"""Loads the torch operators and gives them what only Python can: fakes, autograd, the version bump.

Once this module is imported, `torch.ops.fire.sample` and its siblings are there. Their schemas and CPU
kernels are in csrc/torch/cpu.cpp, their CUDA kernels in an object of its own, from csrc/torch/cuda.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fire_sampling._fakes import FAKES
from fire_sampling._messages import WRITTEN_BESIDE_GRAD
from fire_sampling._shard_fakes import SHARD_FAKES

LIBRARY = Path(__file__).with_name("libfire_sampling_torch_cpu.so")
CUDA_LIBRARY = Path(__file__).with_name("libfire_sampling_torch_cuda.so")


def _load(library: Path) -> None:
    """Loads a shared object of operators.

    Raises:
        ImportError: torch is too old, the object is missing, or torch cannot load it; says what to do.
    """
    if torch.__version__ < "2.10":  # compares versions, not text
        raise ImportError(
            f"they need torch 2.10 or newer, found {torch.__version__}; install a newer torch, then "
            "fire_sampling again"
        )
    if not library.exists():
        raise ImportError(
            f"{library} is missing: fire_sampling was built without its torch operators, with "
            "FIRE_TORCH=off. Install it again without that variable, into an environment that has torch"
        )
    try:
        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ImportError(
            f"torch {torch.__version__} cannot load {library}: {error}; install "
            "fire_sampling again beside this torch"
        ) from error


def _load_cuda(library: Path) -> str | None:
    """Loads the CUDA kernels; returns why there are none where it cannot."""
    if torch.version.cuda is None:
        return "torch is built without CUDA"
    if not library.exists():
        return (
            "this build of fire_sampling has no CUDA kernels; install it again with nvcc on PATH "
            "(FIRE_CUDA=on says what is missing)"
        )
    try:
        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError as error:
        return f"torch {torch.__version__} cannot load {library}: {error}"
    return None


_load(LIBRARY)
cuda_unavailable = _load_cuda(CUDA_LIBRARY)
# torch hands C++ the file name of the caller, and fails on one that the locale cannot encode; this is ASCII.
_library: torch.library.Library = eval(
    compile('torch.library.Library("fire", "IMPL")', "fire_sampling/_ops.py", "eval")
)
_fire = torch.ops.fire


# ---- fakes ----

_ALL_FAKES = FAKES | SHARD_FAKES
for _op, _fake in _ALL_FAKES.items():
    torch.library.register_fake(f"fire::{_op}", _fake, lib=_library)


# ---- CUDA tensors where there are no CUDA kernels ----


def _refuse_cuda(op: str, reason: str) -> Callable[..., Any]:
    """A kernel that tells why it is none; torch's own words would not."""

    argument = {"first_code": "cfg", "shard_begin": "entries", "shard_take": "state", "shard_finish": "state"}

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"fire::{op}: {argument.get(op, 'logits')} is on a GPU, but {reason}")

    return refuse


if cuda_unavailable is not None:
    for _op in _ALL_FAKES:
        _library.impl(_op, _refuse_cuda(_op, cuda_unavailable), "CUDA")  # type: ignore[no-untyped-call]


# ---- autograd ----

# A fallthrough leaves every output non-differentiable and costs nothing. Torch's own fallback, which runs
# where nothing is registered, would have them claim to require grad.
_DIFFERENTIABLE = ("log_prob", "support_log_prob")
for _op in _ALL_FAKES.keys() - {*_DIFFERENTIABLE, *(f"{_op}_backward" for _op in _DIFFERENTIABLE)}:
    _library.impl(_op, torch.library.fallthrough_kernel, "Autograd")  # type: ignore[no-untyped-call]


def _bumping_version(op: str) -> Callable[..., None]:
    """Tells autograd of the write, so that a graph which saved the old values refuses to use new ones."""

    def call(keyset: Any, written: Tensor, *args: Any, **kwargs: Any) -> None:
        if written.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(f"fire::{op}: logits {WRITTEN_BESIDE_GRAD}")
        below = keyset & torch._C._after_ADInplaceOrView_keyset
        getattr(_fire, op).default.redispatch(below, written, *args, **kwargs)
        torch.autograd.graph.increment_version(written)

    return call


def _refuse_negative(op: str) -> Callable[..., None]:
    """A lazy negation has no memory of its own to write to."""

    def refuse(logits: Tensor, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"fire::{op}: logits has its negative bit set, expected a tensor without (it is written in "
            "place; call logits.resolve_neg() first)"
        )

    return refuse


for _op in ("heat_logits_", "shard_heat_", "shard_take"):
    _library.impl(_op, _bumping_version(_op), "ADInplaceOrView", with_keyset=True)  # type: ignore[no-untyped-call]
for _op in ("heat_logits_", "shard_heat_"):
    _library.impl(_op, _refuse_negative(_op), "Negative")  # type: ignore[no-untyped-call]


def _save_log_prob(ctx: Any, inputs: tuple[Tensor | None, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _log_prob_grad(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return _fire.log_prob_backward(grad, *ctx.saved_tensors), None, None, None, None


def _save_support_log_prob(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    if ctx.needs_input_grad[3]:
        raise RuntimeError(
            "fire::support_log_prob: temperature requires grad, expected one that does not (there is a "
            "gradient in logits alone)"
        )
    *_, masses = output
    ctx.save_for_backward(*inputs, masses)


def _support_log_prob_grad(ctx: Any, grad: Tensor, full_grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    return _fire.support_log_prob_backward(grad, full_grad, *ctx.saved_tensors), None, None, None


def _no_second_grad(op: str) -> Callable[..., None]:
    def refuse(ctx: Any, grad: Tensor) -> None:
        raise RuntimeError(f"fire::{op}: its gradient cannot be differentiated again (no double backward)")

    return refuse


for _op, _grad, _save in (
    ("log_prob", _log_prob_grad, _save_log_prob),
    ("support_log_prob", _support_log_prob_grad, _save_support_log_prob),
):
    torch.library.register_autograd(f"fire::{_op}", _grad, setup_context=_save, lib=_library)
    torch.library.register_autograd(f"fire::{_op}_backward", _no_second_grad(_op), lib=_library)


# ---- torch.vmap ----


def _heat_each(info: Any, in_dims: tuple[int | None, ...], *args: Tensor | None) -> tuple[None, None]:
    """torch.vmap loops by itself over operators that return values, and over none that writes in place."""
    if in_dims[0] is None:
        raise RuntimeError(
            "fire::heat_logits_: logits is one tensor for the whole batch of torch.vmap, expected a batch of "
            "them where another argument is one (they are written in place)"
        )
    for index in range(info.batch_size):
        items = zip(args, in_dims, strict=True)
        _fire.heat_logits_.default(*(a if a is None or d is None else a.select(d, index) for a, d in items))
    return None, None


torch.library.register_vmap("fire::heat_logits_", _heat_each, lib=_library)
