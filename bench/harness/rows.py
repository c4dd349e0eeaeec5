"""The rows of logits that are sampled, and the rotation that keeps them out of every cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from .cases import CALL_VOCABULARY, Case, Pool

ROTATION = 4  # a rotation reads this many times the last-level cache before it meets a row again

FloatRows = npt.NDArray[np.float32]


def make_rows(kind: str, count: int, vocabulary: int, seed: int) -> FloatRows:
    """`count` rows of float32 logits.

    peaked: normal noise of deviation 2 and 64 tokens well above it, at random places, whose probabilities
    fall as rank^-1.5: a nucleus of 0.9 holds some tens of tokens, as a language model's does.
    gaussian: normal noise of deviation 3: a nucleus of 0.9 holds about 4 % of the vocabulary.
    flat: normal noise of deviation 1: a nucleus of 0.9 holds about 60 % of the vocabulary.
    ties: the gaussian ones rounded to whole numbers: some thirty values share the vocabulary.
    masked: the peaked ones, nine tokens in ten at −inf, as a grammar leaves them.
    """
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((count, vocabulary), dtype=np.float32)
    if kind == "flat":
        return rows
    if kind in ("gaussian", "ties"):
        rows *= 3
        return rows if kind == "gaussian" else np.rint(rows)
    rows *= 2
    likely = min(64, vocabulary)
    logits = (18 - 1.5 * np.log(np.arange(1, likely + 1))).astype(np.float32)
    for row in rows:
        row[generator.choice(vocabulary, likely, replace=False)] = logits
        if kind == "masked":
            row[generator.permutation(vocabulary)[: vocabulary * 9 // 10]] = -np.inf
    return rows


def pool_rows(vocabulary: int, dtype: str, cache_bytes: int, largest: int) -> int:
    """Rows in a pool: batches of the `largest` size, together ROTATION times the last-level cache or more."""
    if vocabulary <= CALL_VOCABULARY:
        return largest
    batch_bytes = largest * vocabulary * (4 if dtype == "float32" else 2)
    return largest * max(1, -(-ROTATION * cache_bytes // batch_bytes))


def write_pool(path: Path, pool: Pool, cache_bytes: int, largest: int) -> None:
    """Writes the pool's rows for the workers to load, in the bits of its dtype. largest: rows of a batch."""
    vocabulary, dtype, kind = pool
    rows = make_rows(kind, pool_rows(vocabulary, dtype, cache_bytes, largest), vocabulary, seed=vocabulary)
    bits = rows.view(np.int32) if dtype == "float32" else _bfloat16_bits(rows)
    np.save(path, bits)


def load_pool(path: Path) -> torch.Tensor:
    """The pool as float32 or bfloat16 [count, vocabulary], in memory of this process."""
    bits = torch.from_numpy(np.load(path))
    return bits.view(torch.float32 if bits.dtype == torch.int32 else torch.bfloat16)


def _bfloat16_bits(rows: FloatRows) -> npt.NDArray[np.int16]:
    return torch.from_numpy(rows).to(torch.bfloat16).view(torch.int16).numpy()


class Rotation:
    """Which batch each call takes: always the first in cache, the next one of the pool out of cache.

    One rotation serves every contender of a process, so that no one finds what another has just read.
    """

    def __init__(self, case: Case, pool: torch.Tensor) -> None:
        batches = pool.shape[0] // case.rows
        self.batches = pool[: batches * case.rows].view(batches, case.rows, case.vocabulary)
        self._out_of_cache = case.out_of_cache
        self._next = 0

    def take(self) -> int:
        if not self._out_of_cache:
            return 0
        batch = self._next
        self._next = (batch + 1) % self.batches.shape[0]
        return batch
