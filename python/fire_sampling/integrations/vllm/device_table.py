"""Tables of requests on the device, and host arrays on their way there, without waiting for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch


def upload(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """A copy of `array` on `device`, in the order of its stream. A CPU device shares the array's memory."""
    host = torch.from_numpy(array)
    if device.type == "cpu":
        return host
    # From pageable memory the copy would wait; torch keeps the pinned block until the copy has read it.
    return host.pin_memory().to(device, non_blocking=True)


class Table:
    """int32 [slots, words] on the device, written a slot at a time and sent in one copy."""

    def __init__(self, slots: int, words: int, device: torch.device) -> None:
        self.words = words
        self.there = torch.zeros(slots, words, dtype=torch.int32, device=device)
        self._written: dict[int, npt.NDArray[np.int32]] = {}

    def write(self, slot: int, row: npt.NDArray[np.int32]) -> None:
        self._written[slot] = row

    def flush(self) -> None:
        if not self._written:
            return
        slots = upload(np.fromiter(self._written, np.int64, len(self._written)), self.there.device)
        rows = upload(np.stack(list(self._written.values())), self.there.device)
        self.there.index_copy_(0, slots, rows)
        self._written.clear()
