"""The operators as Python functions that take configs as well as packed records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from fire_sampling.config import SamplingConfig
from fire_sampling.packing import pack

_unavailable: ImportError | None = None
try:
    import torch

    from fire_sampling import _ops as _ops
except ImportError as error:
    _unavailable = error

if TYPE_CHECKING:
    from torch import Tensor

    Config: TypeAlias = SamplingConfig | Sequence[SamplingConfig] | Tensor


class SampleWithLogprobs(NamedTuple):
    """What `sample_with_logprobs` returns; every member has one value a row."""

    token: Tensor  # int64
    logprob: Tensor  # float32: ln of the probability the token was drawn with, the behaviour policy's
    ref_logprob: Tensor  # float32: ln softmax(x / ref_temperature) over the whole vocabulary
    rank: Tensor  # int32: 1 is the most probable
    kept: Tensor  # int32: size of the kept set
    status: Tensor  # int32: bits of csrc/include/fire/status.h


def sample(logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None) -> Tensor:
    """Draws one token a row.

    Args:
        logits: float32, bfloat16 or float16 [R, V], rows consecutive in memory, row stride free.
        step: int32 or int64 [R] or 0-d, or an int: the tokens that each sequence has generated so far.
        config: A `SamplingConfig`, packed here for the R rows (one without a seed draws a new one at each
            call); a sequence of R of them; or records from `pack`, int32 [R, 16] (any number of records with
            `slot`).
        slot: int32 [R], the record of each row.

    Returns:
        int64 [R], each in [0, V).

    Raises:
        ImportError: torch or the operators are missing.
        TypeError: `logits` is not a tensor, or `config` is none of the above.
        ValueError: `slot` comes with a single config, which would be one record for every row.
        RuntimeError: A tensor of a wrong type, shape or device.
    """
    arguments = _arguments("sample", logits, step, config, slot)
    token: Tensor = torch.ops.fire.sample(*arguments)
    return token


def sample_with_logprobs(
    logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None, *, reference: bool = True
) -> SampleWithLogprobs:
    """`sample`, and what is known about each token.

    `exp(ref_logprob - logprob)` is the importance weight of the token. Without `reference` the work over the
    whole row for `ref_logprob` (NaN then) and `rank` (-1 then) is skipped. Arguments and errors are those of
    `sample`.
    """
    arguments = _arguments("sample_with_logprobs", logits, step, config, slot)
    return SampleWithLogprobs(*torch.ops.fire.sample_with_logprobs(*arguments, reference=reference))


def process_logits(logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None) -> Tensor:
    """float32 [R, V]: x / T where kept, -inf elsewhere; its softmax is the distribution that `sample` draws
    from.

    Arguments and errors are those of `sample`.
    """
    arguments = _arguments("process_logits", logits, step, config, slot)
    processed: Tensor = torch.ops.fire.process_logits(*arguments)
    return processed


def heat_logits_(logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None) -> Tensor:
    """Changes the hot rows of float32 logits in place, for engines whose own temperature and filters follow.

    Those then yield the hot distribution, exactly: docs/semantics.md says how. Arguments and errors are those
    of `sample`.

    Returns:
        `logits`.
    """
    arguments = _arguments("heat_logits_", logits, step, config, slot)
    torch.ops.fire.heat_logits_(*arguments)
    return logits


def log_prob(
    logits: Tensor, token: Tensor, step: Tensor | int, config: Config, slot: Tensor | None = None
) -> Tensor:
    """float32 [R]: ln of the probability with which `sample` draws `token`, int64 [R]; -inf where it never
    does.

    Differentiable in `logits`, once, the kept set taken as constant. Arguments and errors are those of
    `sample`.
    """
    logits, step, records, slot = _arguments("log_prob", logits, step, config, slot)
    value: Tensor = torch.ops.fire.log_prob(logits, token, step, records, slot)
    return value


def _arguments(
    name: str, logits: Tensor, step: Tensor | int, config: Config, slot: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    if _unavailable is not None:
        raise ImportError(f"fire_sampling.{name}: {_unavailable}") from _unavailable
    if not isinstance(logits, torch.Tensor):
        raise TypeError(
            f"fire_sampling.{name}: logits is of type {type(logits).__name__}, expected a torch.Tensor; "
            "fire_sampling.numpy takes arrays"
        )
    if not isinstance(step, torch.Tensor):
        step = torch.full((), step, dtype=torch.int64, device=logits.device)
    if isinstance(config, torch.Tensor):
        return logits, step, config, slot
    if not isinstance(config, SamplingConfig):
        return logits, step, pack(config, device=logits.device), slot
    if slot is not None:
        raise ValueError(
            f"fire_sampling.{name}: slot comes with a single SamplingConfig, expected a sequence of them or "
            "the records that `pack` makes to choose from"
        )
    rows = logits.shape[0] if logits.dim() > 0 else 0
    return logits, step, pack(config, rows=rows, device=logits.device), None
