"""Reads the golden answers, whose form programs/golden.h states, into torch tensors."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

MAGIC = 0x31444C4F47455249
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class Golden(NamedTuple):
    """One case: inputs, then answers."""

    logits: Tensor  # [R, V]
    cfg: Tensor  # int32 [R, 16]
    step: Tensor
    asked: Tensor
    token: Tensor
    logprob: Tensor
    ref_logprob: Tensor
    rank: Tensor
    kept: Tensor
    status: Tensor
    asked_logprob: Tensor


def read(path: Path) -> Iterator[Golden]:
    contents = bytearray(path.read_bytes())
    magic, count = struct.unpack_from("<2Q", contents, 0)
    if magic != MAGIC:
        raise ValueError(f"{path} holds no golden answers")
    place = 16
    for _ in range(count):
        kind, vocabulary, rows = struct.unpack_from("<3Q", contents, place)
        place += 24
        tensors = []
        dtype = DTYPES[kind]
        shapes = [
            (dtype, (rows, vocabulary)),
            (torch.int32, (rows, 16)),
            *((torch.int64, (rows,)) for _ in range(3)),
            *((torch.float32, (rows,)) for _ in range(2)),
            *((torch.int32, (rows,)) for _ in range(3)),
            (torch.float32, (rows,)),
        ]
        for dtype_of, shape in shapes:
            elements = torch.Size(shape).numel()
            tensors.append(
                torch.frombuffer(contents, dtype=dtype_of, count=elements, offset=place).view(shape)
            )
            place += _padded(elements * dtype_of.itemsize)
        place += _padded(4 * rows) + (_padded(4 * rows) if dtype == torch.float32 else 0)  # the digests
        # The file's order is that of the C++ structure: steps before the tokens asked for, then the answers.
        yield Golden(*tensors)


def _padded(size: int) -> int:
    return size + (8 - size % 8) % 8
