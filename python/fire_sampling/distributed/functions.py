"""The functions: what each wants of the rows' states, and what it makes of them for this rank's columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from fire_sampling._messages import WRITTEN_BESIDE_GRAD
from fire_sampling._outputs import SampleWithLogprobs
from fire_sampling.distributed._rounds import DRAW, HEAT, REFERENCE, TOKEN
from fire_sampling.distributed._shards import Options, Shard, prepare

if TYPE_CHECKING:
    from fire_sampling._torch_entry import Config

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _between_graphs(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Of torch.compile's graphs one ends before the function and another begins behind it: how many exchanges
    there are only the values tell.
    """
    called: Callable[_Arguments, _Result] = torch.compiler.disable(  # type: ignore[no-untyped-call]
        function, reason="the exchanges of fire_sampling.distributed depend on values and are in no graph"
    )
    return called


@_between_graphs
def sample(
    logits: Tensor,
    step: Tensor | int,
    config: Config,
    slot: Tensor | None = None,
    *,
    group: dist.ProcessGroup | None = None,
    first_id: int | None = None,
    vocabulary: int | None = None,
    entries: int | None = None,
    checked: bool = True,
) -> Tensor:
    """`fire_sampling.sample` of rows whose columns are spread over the ranks of a group: on every rank the
    same tokens, and the ones that the gathered rows would give.

    Every rank calls it with the same arguments but its own `logits`.

    Args:
        logits: float32, bfloat16 or float16 [R, V_r]: this rank's columns, those of the ranks before it on
            their left. A rank may have any number of them, none too; elements of a row are consecutive in
            memory, the row stride is free.
        step: As for `fire_sampling.sample`.
        config: As for `fire_sampling.sample`. Seeds that are missing are drawn by rank 0, which costs one
            more small exchange.
        slot: As for `fire_sampling.sample`.
        group: The ranks; the default group if None.
        first_id: The id of the first column, which is compared with what the ranks before have; worked out
            if None.
        vocabulary: The number of tokens, where the last ranks have columns behind them that are no tokens
            (padding); all columns if None.
        entries: How many of its largest logits a row each rank sends, up to 4,096. By default as many as
            settle the rows of these records that have top-k, unless those were more bytes than the rows; 64
            where another filter bounds them, 1 where none does.
        checked: Whether the ranks first exchange what they were called with: a wrong call on one of them is
            then an error on all. Without it one exchange is saved, `first_id`, `vocabulary` and seeds have to
            be given, and a rank that raises leaves the others waiting. Only the logits are then looked at,
            each rank's own.

    Returns:
        int64 [R], on the device of `logits`.

    Raises:
        ImportError: torch or the operators are missing.
        TypeError: An argument of no documented type.
        ValueError: An argument out of range, or not the same on every rank.
        RuntimeError: A tensor of a wrong type, shape or device; there is no process group. All of these but
            what concerns the group itself are raised on every rank alike and name the rank at fault.
    """
    options = Options(group, first_id, vocabulary, entries, checked)
    return _drawn(prepare("sample", logits, step, config, slot, options), reference=False).token


@_between_graphs
def sample_with_logprobs(
    logits: Tensor,
    step: Tensor | int,
    config: Config,
    slot: Tensor | None = None,
    *,
    reference: bool = True,
    group: dist.ProcessGroup | None = None,
    first_id: int | None = None,
    vocabulary: int | None = None,
    entries: int | None = None,
    checked: bool = True,
    rounds: int | None = None,
) -> SampleWithLogprobs:
    """`fire_sampling.sample_with_logprobs` of rows spread over ranks.

    Without `reference` the exchange for `ref_logprob` and `rank` is saved. The other arguments and the errors
    are those of `sample`, but for one:

    Args:
        rounds: How many rounds of questions there are behind the exchange of entries, 0 to 32, whatever the
            rows need; as many as it takes if None. With it, and with `entries` and `checked=False`, the host
            looks at nothing, as a CUDA graph wants it. A row that needs more has `Status.UNSETTLED`, NaN for
            log-probabilities and -1 for its rank, and its token is not a draw. Rows of `top_k` up to
            `entries` with exact ties and no joint top-p take 0, and 1 with `reference`; others whose first
            entries hold what they keep, 1 more; rows without a filter 2, and 3 with `reference`.
    """
    options = Options(group, first_id, vocabulary, entries, checked, rounds)
    shard = prepare("sample_with_logprobs", logits, step, config, slot, options, reference=reference)
    return _drawn(shard, reference)


@_between_graphs
def log_prob(
    logits: Tensor,
    token: Tensor,
    step: Tensor | int,
    config: Config,
    slot: Tensor | None = None,
    *,
    group: dist.ProcessGroup | None = None,
    first_id: int | None = None,
    vocabulary: int | None = None,
    entries: int | None = None,
    checked: bool = True,
) -> Tensor:
    """`fire_sampling.log_prob` of rows spread over ranks: float32 [R], the same on every rank.

    Differentiable in `logits`, once. Each rank's gradient is that of its own columns and is worked out
    without another exchange: where every rank goes on to the same loss, it is the unsharded one's, and
    nothing is to be summed over the ranks. `token` is int64 [R], the same on every rank; the other arguments
    and the errors are those of `sample`.
    """
    options = Options(group, first_id, vocabulary, entries, checked)
    shard = prepare("log_prob", logits, step, config, slot, options, token=token)
    value: Tensor = _LogProb.apply(shard.rows.logits, shard)  # type: ignore[no-untyped-call]
    return value


@_between_graphs
def process_logits(
    logits: Tensor,
    step: Tensor | int,
    config: Config,
    slot: Tensor | None = None,
    *,
    group: dist.ProcessGroup | None = None,
    first_id: int | None = None,
    vocabulary: int | None = None,
    entries: int | None = None,
    checked: bool = True,
) -> Tensor:
    """This rank's columns of what `fire_sampling.process_logits` gives of rows spread over ranks: float32
    [R, V_r], -inf in columns beyond the vocabulary.

    Arguments and errors are those of `sample`.
    """
    options = Options(group, first_id, vocabulary, entries, checked)
    shard = prepare("process_logits", logits, step, config, slot, options)
    mine, first_id = shard.rows.logits, shard.rows.first_id
    with torch.no_grad():
        state = shard.settle(0)
        processed = mine.new_empty(mine.shape, dtype=torch.float32)
        if mine.shape[1] > 0:
            processed = torch.ops.fire.shard_process(mine, state, first_id)
        padding = logits.shape[1] - mine.shape[1]
        return torch.nn.functional.pad(processed, (0, padding), value=-torch.inf) if padding else processed


@_between_graphs
def heat_logits_(
    logits: Tensor,
    step: Tensor | int,
    config: Config,
    slot: Tensor | None = None,
    *,
    group: dist.ProcessGroup | None = None,
    first_id: int | None = None,
    vocabulary: int | None = None,
    entries: int | None = None,
    checked: bool = True,
) -> Tensor:
    """Changes this rank's columns of the hot rows in place, as `fire_sampling.heat_logits_` would those of
    the gathered rows; columns beyond the vocabulary stay as they are.

    Arguments and errors are those of `sample`; `logits` is float32.

    Returns:
        `logits`.
    """
    options = Options(group, first_id, vocabulary, entries, checked)
    shard = prepare("heat_logits_", logits, step, config, slot, options, check=_require_writable)
    with torch.no_grad():
        state = shard.settle(HEAT)
        if shard.rows.logits.shape[1] > 0:
            torch.ops.fire.shard_heat_(shard.rows.logits, state, shard.rows.first_id)
    return logits


def _drawn(shard: Shard, reference: bool) -> SampleWithLogprobs:
    with torch.no_grad():
        state = shard.settle(DRAW | (REFERENCE if reference else 0))
        return SampleWithLogprobs(*torch.ops.fire.shard_finish(state, reference))


class _LogProb(torch.autograd.Function):
    """The rows are settled forward; backward each rank has all that it needs."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, shard: Shard) -> Tensor:
        state = shard.settle(TOKEN)
        ctx.save_for_backward(logits, state)
        ctx.first_id = shard.rows.first_id
        value: Tensor = torch.ops.fire.shard_finish(state, False)[1]
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        logits, state = ctx.saved_tensors
        return _LogProbGradient.apply(grad, logits, state, ctx.first_id), None  # type: ignore[no-untyped-call]


class _LogProbGradient(torch.autograd.Function):
    """Apart from `_LogProb` so that a second derivative is refused instead of taken for 0."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, logits: Tensor, state: Tensor, first_id: int) -> Tensor:
        if logits.shape[1] == 0:
            return torch.zeros_like(logits)
        gradient: Tensor = torch.ops.fire.shard_log_prob_backward(grad, logits, state, first_id)
        return gradient

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> None:
        raise RuntimeError(
            "fire_sampling.distributed.log_prob: its gradient cannot be differentiated again (no double "
            "backward)"
        )


def _require_writable(name: str, logits: Tensor) -> None:
    if logits.dtype != torch.float32:
        raise RuntimeError(
            f"{name}: logits has dtype {logits.dtype}, expected float32 (it is written in place)"
        )
    if logits.requires_grad and torch.is_grad_enabled():
        raise RuntimeError(f"{name}: logits {WRITTEN_BESIDE_GRAD}")
    if logits.shape[0] > 1 and logits.stride(0) < logits.shape[1]:
        raise RuntimeError(f"{name}: logits has rows that overlap, expected none (it is written in place)")
