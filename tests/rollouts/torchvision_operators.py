"""Imported before what imports torchvision: its compiled part does not load beside a CPU build of torch.

Then its Python part does not import either. No test here uses an operator of it.
"""

from __future__ import annotations

import contextlib

import torch

with contextlib.suppress(ModuleNotFoundError):
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
