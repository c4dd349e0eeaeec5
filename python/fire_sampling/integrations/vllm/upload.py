"""Small host arrays on their way to the device, without waiting for it."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch


def upload(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """A copy of `array` on `device`, in the order of its stream. A CPU device shares the array's memory."""
    host = torch.from_numpy(array)
    if device.type == "cpu":
        return host
    # From pageable memory the copy would wait; torch keeps the pinned block until the copy has read it.
    return host.pin_memory().to(device, non_blocking=True)
