"""Sampling of NumPy arrays, without torch: the same tokens as the torch operators, bit for bit.

The rows of a call are spread over a small pool of threads; the environment variable FIRE_NUM_THREADS sets its
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fire_sampling import _native
from fire_sampling.config import SamplingConfig
from fire_sampling.packing import pack_records

Logits: TypeAlias = npt.NDArray[Any]
Step: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.int32] | int
Records: TypeAlias = npt.NDArray[np.uint32] | npt.NDArray[np.int32]
Config: TypeAlias = SamplingConfig | Sequence[SamplingConfig] | Records
Slot: TypeAlias = npt.NDArray[np.int32] | None


class SampleWithLogprobs(NamedTuple):
    """What `sample_with_logprobs` returns; every member has one value a row."""

    token: npt.NDArray[np.int64]
    logprob: npt.NDArray[np.float32]  # ln of the probability the token was drawn with, the behaviour policy's
    ref_logprob: npt.NDArray[np.float32]  # ln softmax(x / ref_temperature) over the whole vocabulary
    rank: npt.NDArray[np.int32]  # 1 is the most probable
    kept: npt.NDArray[np.int32]  # size of the kept set
    status: npt.NDArray[np.int32]  # bits of csrc/include/fire/status.h


def pack(
    config: SamplingConfig | Sequence[SamplingConfig],
    rows: int | None = None,
    first_row: int = 0,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[np.uint32]:
    """`fire_sampling.pack` as uint32 [rows, 16].

    A seed that is None is drawn from `rng`, by default from `numpy.random.default_rng()`, which is new at
    each call: for reproducible tokens give the config a seed, or pass a generator.

    Raises:
        TypeError: `config` is neither a config nor a sequence of configs.
        ValueError: `rows` or `first_row` is negative, or comes with a sequence of configs.
    """

    def draw_seeds(count: int) -> npt.NDArray[np.uint64]:
        generator = np.random.default_rng() if rng is None else rng
        return generator.integers(2**64, size=count, dtype=np.uint64)

    return pack_records(config, rows, first_row, draw_seeds)


def sample(logits: Logits, step: Step, config: Config, slot: Slot = None) -> npt.NDArray[np.int64]:
    """Draws one token a row.

    Args:
        logits: float32, float16 or bfloat16 (of ml_dtypes) [R, V]; rows consecutive in memory, row stride
            free.
        step: int32 or int64 [R] or 0-d, or an int: the tokens that each sequence has generated so far.
        config: A `SamplingConfig`, packed here for the R rows (one without a seed draws a new one at each
            call); a sequence of R of them; or records from `pack`, uint32 or int32 [R, 16] (any number with
            `slot`).
        slot: int32 [R], the record of each row.

    Returns:
        int64 [R], each in [0, V).

    Raises:
        TypeError: An argument that is not an array, or not of the types above.
        ValueError: An array of a wrong shape or stride; `slot` with a single config.
    """
    return _native.sample(*_arguments("sample", logits, step, config, slot))


def sample_with_logprobs(
    logits: Logits, step: Step, config: Config, slot: Slot = None, *, reference: bool = True
) -> SampleWithLogprobs:
    """`sample`, and what is known about each token.

    `exp(ref_logprob - logprob)` is the importance weight of the token. Without `reference` the work over the
    whole row for `ref_logprob` (NaN then) and `rank` (-1 then) is skipped. Arguments and errors are those of
    `sample`.
    """
    arguments = _arguments("sample_with_logprobs", logits, step, config, slot)
    return SampleWithLogprobs(*_native.sample_with_logprobs(*arguments, reference=reference))


def process_logits(logits: Logits, step: Step, config: Config, slot: Slot = None) -> npt.NDArray[np.float32]:
    """float32 [R, V]: x / T where kept, -inf elsewhere; its softmax is the distribution that `sample` draws
    from.

    Arguments and errors are those of `sample`.
    """
    return _native.process_logits(*_arguments("process_logits", logits, step, config, slot))


def log_prob(
    logits: Logits, token: npt.NDArray[np.int64], step: Step, config: Config, slot: Slot = None
) -> npt.NDArray[np.float32]:
    """float32 [R]: ln of the probability with which `sample` draws `token`, int64 [R]; -inf where it never
    does.

    Arguments and errors are those of `sample`.
    """
    logits, step_array, records, slot = _arguments("log_prob", logits, step, config, slot)
    return _native.log_prob(logits, token, step_array, records, slot)


def _arguments(
    name: str, logits: Logits, step: Step, config: Config, slot: Slot
) -> tuple[Logits, npt.NDArray[Any], Records, Slot]:
    step_array = np.asarray(step, dtype=np.int64) if isinstance(step, int) else step
    if isinstance(config, np.ndarray):
        return logits, step_array, config, slot
    if not isinstance(config, SamplingConfig):
        return logits, step_array, pack(config), slot
    if slot is not None:
        raise ValueError(
            f"fire_sampling.numpy.{name}: slot comes with a single SamplingConfig, expected a sequence of "
            "them or the records that `pack` makes to choose from"
        )
    rows = np.shape(logits)[0] if np.ndim(logits) > 0 else 0
    return logits, step_array, pack(config, rows=rows), slot
