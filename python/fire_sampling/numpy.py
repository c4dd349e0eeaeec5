"""Sampling of NumPy arrays, without torch: the same tokens as the torch operators, bit for bit.

The functions are those of `fire_sampling` of the same names; said here is what differs.

Logits of a single row may be [V] instead of [1, V]: every result is then that of the row, without the first
dimension (a token is a NumPy int64, not an array).

The rows of a call are spread over a small pool of threads; the environment variable FIRE_NUM_THREADS sets its
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fire_sampling import _native
from fire_sampling._call import Entry
from fire_sampling._messages import came, integer, support_temperature
from fire_sampling._outputs import (
    ArraysOfSupportLogProb,
    ArraysWithLogprobs,
    ArraysWithSupport,
    CodedArrays,
)
from fire_sampling._support_mask import mask_of_array
from fire_sampling.config import SamplingConfig
from fire_sampling.packing import DrawSeeds, pack_group_records, pack_records

Logits: TypeAlias = npt.NDArray[Any]
Step: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.int32] | np.integer[Any] | int
Records: TypeAlias = npt.NDArray[np.uint32] | npt.NDArray[np.int32]
Config: TypeAlias = SamplingConfig | Sequence[SamplingConfig] | Records
Slot: TypeAlias = npt.NDArray[np.int32] | None
Code: TypeAlias = npt.NDArray[np.uint64] | npt.NDArray[np.int64] | np.integer[Any] | int
SampleWithLogprobs: TypeAlias = ArraysWithLogprobs
SampleWithSupport: TypeAlias = ArraysWithSupport
CodedSample: TypeAlias = CodedArrays
SupportLogProb: TypeAlias = ArraysOfSupportLogProb


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
        TypeError: `config` is neither a config nor a sequence of configs; `rng` is no generator; `rows` or
            `first_row` is no integer; `rows` is missing beside one config.
        ValueError: `rows` or `first_row` is negative, or comes with a sequence of configs.
    """

    name = "fire_sampling.numpy.pack"
    return pack_records(name, config, rows, first_row, _seeds_from(name, rng))


def pack_group(
    config: SamplingConfig,
    prompts: int,
    size: int,
    first_prompt: int = 0,
    blocks: int = 1,
    *,
    rng: np.random.Generator | None = None,
) -> npt.NDArray[np.uint32]:
    """`fire_sampling.pack_group` as uint32 [prompts · blocks · size, 16]; `rng` as for `pack`."""
    name = "fire_sampling.numpy.pack_group"
    return pack_group_records(name, config, prompts, size, first_prompt, blocks, _seeds_from(name, rng))


def _seeds_from(name: str, rng: np.random.Generator | None) -> DrawSeeds:
    """Draws seeds from `rng`, or from a generator that is new at each call; refuses what is none."""
    if rng is not None and not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name}: rng {came(rng)}, expected a numpy.random.Generator "
            "(numpy.random.default_rng(seed) makes one)"
        )

    def draw_seeds(count: int) -> npt.NDArray[np.uint64]:
        generator = np.random.default_rng() if rng is None else rng
        return generator.integers(2**64, size=count, dtype=np.uint64)

    return draw_seeds


def sample(logits: Logits, step: Step, config: Config, slot: Slot = None) -> npt.NDArray[np.int64]:
    """Draws one token a row.

    Args:
        logits: float32, float16 or bfloat16 (of ml_dtypes) [R, V], or [V]; rows consecutive in memory, row
            stride free.
        step: int32 or int64 [R] or 0-d, or an integer of Python or NumPy.
        config: As for `fire_sampling.sample`; records are those of `pack`, uint32 or int32.
        slot: int32 [R], the record of each row.

    Returns:
        int64 [R], each in [0, V); of logits [V] a single int64.

    Raises:
        TypeError: An argument of none of the types above, in a foreign byte order, or a masked array.
        ValueError: An array of a wrong shape or stride; `step` is an integer beyond 64 bits; `slot` with a
            single config.
    """
    return _native.sample(*_ENTRY.arguments("sample", logits, step, config, slot))


def sample_with_logprobs(
    logits: Logits, step: Step, config: Config, slot: Slot = None, *, reference: bool = True
) -> SampleWithLogprobs:
    """`sample`, and what is known about each token, as `fire_sampling.sample_with_logprobs` says."""
    arguments = _ENTRY.arguments("sample_with_logprobs", logits, step, config, slot)
    return SampleWithLogprobs(*_native.sample_with_logprobs(*arguments, reference=reference))


def sample_with_support(
    logits: Logits, step: Step, config: Config, slot: Slot = None, *, width: int, reference: bool = True
) -> SampleWithSupport:
    """`sample_with_logprobs`, and the set of tokens that each was drawn from, as
    `fire_sampling.sample_with_support` says: `support` and `support_logprob` are [R, width], or [width].
    """
    arguments = _ENTRY.arguments("sample_with_support", logits, step, config, slot)
    width = _ENTRY.support_width("sample_with_support", width)
    return SampleWithSupport(*_native.sample_with_support(*arguments, width=width, reference=reference))


def sample_group(
    logits: Logits, step: Step, config: Config, slot: Slot = None, *, size: int
) -> npt.NDArray[np.int64]:
    """int64 [R, size], or [size]: `fire_sampling.sample_group`, with the arguments of `sample`."""
    arguments = _ENTRY.arguments("sample_group", logits, step, config, slot)
    return _native.sample_group(*arguments, size=_ENTRY.group_size("sample_group", size))


def sample_group_with_logprobs(
    logits: Logits, step: Step, config: Config, slot: Slot = None, *, size: int, reference: bool = True
) -> SampleWithLogprobs:
    """`sample_group`, and what is known about each token: `fire_sampling.sample_group_with_logprobs`."""
    name = "sample_group_with_logprobs"
    arguments = _ENTRY.arguments(name, logits, step, config, slot)
    size = _ENTRY.group_size(name, size)
    return SampleWithLogprobs(*_native.sample_group_with_logprobs(*arguments, size=size, reference=reference))


def sample_coded(logits: Logits, code: Code, step: Step, config: Config, slot: Slot = None) -> CodedSample:
    """`fire_sampling.sample_coded`, with the arguments of `sample`.

    Args:
        code: uint64 [R], or int64 with the same bits, as torch has it. For logits [V] an integer.

    Returns:
        The tokens, int64 [R], and the codes of the next step, uint64 [R]; for logits [V] an int64 and a
        uint64.
    """
    logits, step_array, records, slot = _ENTRY.arguments("sample_coded", logits, step, config, slot)
    codes: Any = code
    if logits.ndim == 1 and not isinstance(code, np.ndarray):
        expected = "an integer from 0 to 2^64 - 1, the code of the row"
        name = "fire_sampling.numpy.sample_coded"
        codes = np.array(integer(name, "code", code, 0, 2**64 - 1, expected), dtype=np.uint64)
    return CodedSample(*_native.sample_coded(logits, codes, step_array, records, slot))


def first_code(step: Step, config: Config, slot: Slot = None) -> npt.NDArray[np.uint64]:
    """uint64 [R]: the codes that sequences begin with, as `fire_sampling.first_code` says."""
    return _native.first_code(*_ENTRY.sequences("first_code", step, config, slot))


def process_logits(logits: Logits, step: Step, config: Config, slot: Slot = None) -> npt.NDArray[np.float32]:
    """float32 [R, V], or [V]: what `fire_sampling.process_logits` returns, with the arguments of `sample`."""
    return _native.process_logits(*_ENTRY.arguments("process_logits", logits, step, config, slot))


def log_prob(
    logits: Logits, token: npt.NDArray[np.int64], step: Step, config: Config, slot: Slot = None
) -> npt.NDArray[np.float32]:
    """float32 [R]: ln of the probability with which `sample` draws `token`, int64 [R]; -inf where it never
    does. For logits [V] an integer, and a single float32. There is no gradient.
    """
    logits, step_array, records, slot = _ENTRY.arguments("log_prob", logits, step, config, slot)
    return _native.log_prob(logits, _token("log_prob", logits, token), step_array, records, slot)


def support_log_prob(
    logits: Logits,
    token: npt.NDArray[np.int64],
    support: npt.NDArray[np.int32],
    temperature: npt.NDArray[np.float32] | float,
) -> SupportLogProb:
    """`fire_sampling.support_log_prob`, without a gradient. For logits [V] the token is an integer, the
    support [width], and each result a scalar.

    Raises:
        TypeError: An argument of none of the types of `fire_sampling.support_log_prob`.
        ValueError: An array of a wrong shape or stride; a support or temperature that is none, by its row.
    """
    name = "support_log_prob"
    _ENTRY.require_array(name, "logits", logits)
    temperatures: Any = temperature
    if not isinstance(temperature, np.ndarray):
        expected = "a finite number of at least 2^-64, or a NumPy array of float32"
        number = support_temperature(f"fire_sampling.numpy.{name}", temperature, expected)
        temperatures = np.array(number, dtype=np.float32)
    return SupportLogProb(
        *_native.support_log_prob(logits, _token(name, logits, token), support, temperatures)
    )


def _token(function: str, logits: Logits, token: Any) -> Any:
    """The token of logits [V], which may be an integer, as an array; that of others as it came."""
    if logits.ndim != 1 or isinstance(token, np.ndarray):
        return token
    expected = "an integer of 64 bits, the token of the row"
    name = f"fire_sampling.numpy.{function}"
    return np.array(integer(name, "token", token, -(2**63), 2**63 - 1, expected))


def support_mask(support: npt.NDArray[np.int32], vocabulary: int) -> npt.NDArray[np.uint8]:
    """uint8 [..., ceil(vocabulary / 8)]: int32 supports [..., width] as bits, `fire_sampling.support_mask`.

    Raises:
        TypeError: `support` is no array, `vocabulary` no integer.
        ValueError: As for `fire_sampling.support_mask`.
    """
    return mask_of_array("fire_sampling.numpy.support_mask", support, vocabulary)


_ENTRY = Entry(
    "fire_sampling.numpy",
    (np.ndarray, "a NumPy array"),
    scalar=lambda step, beside: np.array(step, dtype=np.int64),
    pack=lambda config, rows, beside: pack(config, rows),
)
