"""torch, its operators and what they take: for the functions of `functional`, or why they are missing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from fire_sampling._call import Entry
from fire_sampling._dtensors import refuse_dtensors
from fire_sampling._messages import why_no_torch
from fire_sampling.config import SamplingConfig
from fire_sampling.packing import pack

unavailable: ImportError | None = None
# A broken torch may raise anything, and whoever uses only NumPy shall not suffer from it.
try:
    import torch as torch
except Exception as error:
    torch = None  # type: ignore[assignment]
    unavailable = ImportError(why_no_torch(error))
    torch_is_absent = isinstance(error, ModuleNotFoundError) and error.name == "torch"
else:
    torch_is_absent = False
    try:
        from fire_sampling import _ops as _ops
    except Exception as error:
        unavailable = error if isinstance(error, ImportError) else ImportError(repr(error))

if unavailable is not None and not torch_is_absent:
    # Said at import, because torch's own words for a missing torch.ops.fire name no reason.
    warnings.warn(
        f"fire_sampling: the operators torch.ops.fire are missing: {unavailable}. fire_sampling.numpy works "
        "without them",
        RuntimeWarning,
        stacklevel=4,
    )

if TYPE_CHECKING:
    from torch import Tensor

    Config: TypeAlias = SamplingConfig | Sequence[SamplingConfig] | Tensor


def arguments(
    name: str,
    logits: Tensor,
    step: Tensor | int,
    config: Config,
    slot: Tensor | None,
    **others: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Logits, step, records and slot as the operators take them.

    Raises:
        ImportError, TypeError, ValueError: What `functional.sample` says.
    """
    require_plain(name, logits=logits, step=step, config=config, slot=slot, **others)
    if isinstance(step, torch.SymInt):  # an integer that a trace leaves open
        step = step_tensor(step, logits)
    return ENTRY.arguments(name, logits, step, config, slot)


def require_plain(name: str, **arguments: Any) -> None:
    """Raises where the operators are missing, or where an argument is spread over processes."""
    if unavailable is not None:
        raise ImportError(f"fire_sampling.{name}: {unavailable}") from unavailable
    refuse_dtensors(name, arguments)


def step_tensor(step: int | torch.SymInt, beside: Tensor) -> Tensor:
    return torch.full((), step, dtype=torch.int64, device=beside.device)  # type: ignore[arg-type]


def _pack_beside(
    config: SamplingConfig | Sequence[SamplingConfig], rows: int | None, beside: Tensor | None
) -> Tensor:
    return pack(config, rows=rows, device=None if beside is None else beside.device)


if unavailable is not None:
    ENTRY: Entry = None  # type: ignore[assignment]  # every function asks require_plain first
else:
    ENTRY = Entry("fire_sampling", (torch.Tensor, "a torch.Tensor"), step_tensor, _pack_beside)
