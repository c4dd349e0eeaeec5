"""The ranks of a process group, and the few collectives that they talk by: all of them on int64."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from fire_sampling import _native


class Ranks:
    """The members of a group, in the group's own order.

    Attributes:
        rank: This process's place in the group.
        size: How many there are.
    """

    def __init__(self, name: str, group: dist.ProcessGroup | None, beside: object) -> None:
        """Of `group`, None for the default one. Where that has no backend for the CPU, what lies there is
        exchanged from the device of `beside`.

        Raises:
            RuntimeError: There is no group.
            TypeError: `group` is none, or none for this process.
            ValueError: This process is no member, or there are too many.
        """
        if not (dist.is_available() and dist.is_initialized()):
            raise RuntimeError(
                f"{name}: there is no process group, expected torch.distributed.init_process_group before it"
            )
        if group is not None and not isinstance(group, dist.ProcessGroup):
            # Of a process that is no member new_group makes an integer.
            raise TypeError(
                f"{name}: group is of type {type(group).__name__}, expected a ProcessGroup that this process "
                "belongs to, or None for the default one"
            )
        self.rank = dist.get_rank(group)
        if self.rank < 0:
            raise ValueError(f"{name}: this process is no member of group, expected a call by members alone")
        self.size = dist.get_world_size(group)
        if self.size > _native.MAX_SHARD_RANKS:
            raise ValueError(
                f"{name}: group has {self.size} ranks, expected at most {_native.MAX_SHARD_RANKS}"
            )
        self._group = group
        self._backends = dict(pair.split(":") for pair in dist.get_backend_config(group).split(","))
        self._beside = beside.device if isinstance(beside, Tensor) else None

    def gather(self, mine: Tensor) -> Tensor:
        """[ranks, ...]: what each rank has brought, all of one shape; on the device of `mine`."""
        if self.size == 1:
            return mine.unsqueeze(0)
        sent = mine.to(self._device(mine.device)).contiguous()
        received = sent.new_empty((self.size * sent.shape[0], *sent.shape[1:]))
        # Since torch 2.13 under another name, which the old one warns of.
        all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
        all_gather(received, sent, group=self._group)
        return received.view(self.size, *sent.shape).to(mine.device)

    def add(self, mine: Tensor) -> Tensor:
        """The sum of what all have brought; may be written where `mine` was."""
        if self.size == 1:
            return mine
        sent = mine.to(self._device(mine.device))
        dist.all_reduce(sent, group=self._group)
        return sent.to(mine.device)

    def first(self, mine: Tensor) -> Tensor:
        """What rank 0 has brought; may be written where `mine` was."""
        if self.size == 1:
            return mine
        sent = mine.to(self._device(mine.device))
        dist.broadcast(sent, group_src=0, group=self._group)
        return sent.to(mine.device)

    def _device(self, wanted: torch.device) -> torch.device:
        """Where the group's backend for tensors on `wanted` takes them: there, but gloo copies all through
        the CPU.

        Which backend that is depends on nothing but the group and the type of `wanted`, so ranks that bring
        tensors of one device type meet, whatever else they were called with.
        """
        backends = self._backends
        if backends.get("cpu") == "gloo" and backends.get(wanted.type, "gloo") == "gloo":
            return torch.device("cpu")
        if wanted.type in backends:
            return wanted
        kind = "cpu" if "cpu" in backends else next(iter(backends))
        if self._beside is not None and self._beside.type == kind:
            return self._beside
        return torch.device(kind)
