"""Logits that are a DTensor: rows apart are sampled apart, columns apart through their shards.

`fire_sampling.sample` and four of its siblings hand a DTensor on to here. Along each dimension of its mesh it
may be replicated or sharded, rows along one and columns along one; what comes back is a DTensor of the same
mesh, replicated where columns were sharded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard

from fire_sampling import functional
from fire_sampling._call import draws
from fire_sampling.config import SamplingConfig
from fire_sampling.distributed import functions
from fire_sampling.distributed._header import fail
from fire_sampling.distributed._ranks import Ranks
from fire_sampling.distributed._shards import seedless
from fire_sampling.packing import pack

_ROWS, _COLUMNS = 0, 1


class _Layout(NamedTuple):
    """How the logits lie on their mesh."""

    mesh: Any
    rows: int | None  # the mesh dimension along which rows are sharded
    columns: int | None

    def of_rows(self) -> list[Any]:
        """The placements of one value a row."""
        return [Shard(_ROWS) if index == self.rows else Replicate() for index in range(self.mesh.ndim)]


def call(function: str, logits: DTensor, **arguments: Any) -> Any:
    """`fire_sampling`'s function of that name, on a DTensor of logits.

    Raises:
        TypeError: The placements are none of those above; an argument that has a value a row is placed
            otherwise than the rows are; the ranks of the mesh do not ascend.
        ValueError: A config lacks a seed. Where columns are sharded, all but the placements of logits is told
            to the ranks with the other columns, and raised by them too.
    """
    layout = _layout_of(f"fire_sampling.{function}", logits)
    if layout.columns is None:
        placed = _cut(f"fire_sampling.{function}", function, layout, logits, arguments)
        result = getattr(functional, function)(**placed)
    else:
        name, group = f"fire_sampling.distributed.{function}", layout.mesh.get_group(layout.columns)
        try:
            placed = _cut(name, function, layout, logits, arguments)
        except Exception as error:
            fail(Ranks(name, group, logits.to_local()), name, error)
        result = getattr(functions, function)(**placed, group=group)
    if function == "heat_logits_":
        if not logits.is_inference():
            torch.autograd.graph.increment_version(logits)
        return logits
    if isinstance(result, tuple):
        return type(result)(*(_global(part, layout, logits.shape[:1], layout.of_rows()) for part in result))
    placements = logits.placements if function == "process_logits" else layout.of_rows()
    return _global(result, layout, logits.shape[: result.dim()], placements)


def _cut(
    name: str, function: str, layout: _Layout, logits: DTensor, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Of all arguments what this process's rows and columns need.

    Raises:
        TypeError, ValueError: As `call` says.
    """
    _require_ascending(name, layout)
    config = arguments["config"]
    if draws(function) and seedless(config):
        raise ValueError(
            f"{name}: config lacks a seed beside a DTensor, expected a seed: each process would draw one of "
            "its own"
        )
    first_row, rows = _rows_of(name, layout, logits)
    if isinstance(config, SamplingConfig) and layout.rows is not None:
        seeded = config if config.seed is not None else config.replace(seed=0)
        config = pack(seeded, rows, first_row, device=logits.device)
    elif arguments["slot"] is None and not isinstance(config, DTensor):
        if isinstance(config, Tensor):
            _refuse_plain(name, "config", layout)
        elif layout.rows is not None:
            config = config[first_row : first_row + rows]
    placed = {
        argument: _local(name, argument, value, layout)
        for argument, value in {**arguments, "config": config}.items()
    }
    placed["logits"] = logits.to_local(grad_placements=logits.placements)
    return placed


def _layout_of(name: str, logits: DTensor) -> _Layout:
    found: dict[int, int] = {}
    for index, placement in enumerate(logits.placements):
        dimension = placement.dim % logits.dim() if type(placement) is Shard else None
        if logits.dim() != 2 or not (type(placement) is Replicate or dimension is not None):
            break
        if dimension is not None and found.setdefault(dimension, index) != index:
            break
    else:
        return _Layout(logits.device_mesh, found.get(_ROWS), found.get(_COLUMNS))
    raise TypeError(
        f"{name}: logits is a DTensor of {logits.dim()} dimensions placed as {list(logits.placements)}, "
        "expected [R, V], along each dimension of its mesh replicated, Shard(0) or Shard(1), each of these "
        "once at most (call logits.full_tensor() first)"
    )


def _require_ascending(name: str, layout: _Layout) -> None:
    """Raises where the group of a dimension has this process at another place than the mesh: torch sorts the
    ranks of a group, and so would take this process's part for another's.
    """
    for dimension in (layout.rows, layout.columns):
        if dimension is None:
            continue
        place, wanted = layout.mesh.get_local_rank(dimension), layout.mesh.get_coordinate()[dimension]
        if place != wanted:
            raise TypeError(
                f"{name}: logits lies on a mesh that has this process at place {wanted} of dimension "
                f"{dimension} and its group at {place}, expected a mesh whose ranks ascend"
            )


def _rows_of(name: str, layout: _Layout, logits: DTensor) -> tuple[int, int]:
    """The first of this process's rows, and how many they are."""
    rows = logits.to_local().shape[0]
    if layout.rows is None:
        return 0, rows
    whole = logits.shape[0]
    each = -(-whole // layout.mesh.size(layout.rows))
    first_row = min(whole, each * layout.mesh.get_local_rank(layout.rows))
    if rows != min(each, whole - first_row):
        raise TypeError(
            f"{name}: logits has {rows} of {whole} rows here, expected {min(each, whole - first_row)}, as "
            "distribute_tensor cuts them"
        )
    return first_row, rows


def _local(name: str, argument: str, value: Any, layout: _Layout) -> Any:
    """What of an argument this process's rows need: a tensor with a value a row has to be a DTensor placed as
    the rows are. Records beside slots are a table, the same for all rows.
    """
    if isinstance(value, DTensor):
        expected = layout.of_rows() if value.dim() else [Replicate()] * layout.mesh.ndim
        if value.device_mesh != layout.mesh or list(value.placements) != expected:
            raise TypeError(
                f"{name}: {argument} is placed as {list(value.placements)}, expected {expected} on the mesh "
                "of logits, as its rows are"
            )
        return value.to_local()
    if isinstance(value, Tensor) and value.dim() > 0 and argument != "config":
        _refuse_plain(name, argument, layout)
    return value


def _refuse_plain(name: str, argument: str, layout: _Layout) -> None:
    """Raises where a plain tensor would have to be cut as the rows are."""
    if layout.rows is not None:
        raise TypeError(
            f"{name}: {argument} is a plain tensor beside logits whose rows are sharded, expected a DTensor "
            f"placed as {layout.of_rows()} on the mesh of logits"
        )


def _global(local: Tensor, layout: _Layout, shape: torch.Size, placements: Any) -> DTensor:
    stride = (shape[1], 1) if len(shape) == 2 else (1,)
    return DTensor.from_local(local, layout.mesh, placements, run_check=False, shape=shape, stride=stride)
