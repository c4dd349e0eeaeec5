"""Draws a fixed table of answers with this machine's build and compares every bit.

The logits come from an integer recipe, exact in each type, so that the committed table, selftest.json, holds
nothing but small integers: per row the token, kept, rank and status, and per batch checksums of what
`process_logits`, `sample_with_support` and `sample_group` return. The table was drawn with
csrc/definition/reference.h; every instruction set and both entries must return it.
"""

from __future__ import annotations

import importlib.util
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from fire_sampling import numpy as fire
from fire_sampling.config import DESIGNS, SamplingConfig

ANSWERS = Path(__file__).with_name("selftest.json")
DTYPES = ("float32", "bfloat16", "float16")
VOCABULARIES = {
    "bell": 5003,
    "levels": 1000,
    "masked": 257,
    "peaked": 300001,
    "junk": 4096,
    "infinite": 61,
    "hopeless": 33,
    "single": 1,
}


class Answer(TypedDict):
    token: list[int]
    kept: list[int]
    rank: list[int]
    status: list[int]
    processed: int
    support: int
    group: int


class Drawn(NamedTuple):
    """What a batch gave, one value a row but for the last three."""

    token: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int32]
    rank: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]
    processed: npt.NDArray[np.float32]  # [R, V]
    support: npt.NDArray[np.int32]  # [R, WIDTH], of the same records
    group: npt.NDArray[np.int64]  # [R, SIZE], of `group_records` at step 0


Draw = Callable[[npt.NDArray[Any], str, npt.NDArray[np.int64], npt.NDArray[np.uint32]], Drawn]
WIDTH = 40  # places of a support: some kept sets have fewer tokens, some more
SIZE = 9  # members of a group

# One row each: (config, step).
CASES: tuple[tuple[SamplingConfig, int], ...] = (
    (SamplingConfig(), 0),
    (SamplingConfig(), 1),
    (SamplingConfig(temperature=0.0), 0),
    (SamplingConfig(temperature=0.7, top_k=50, top_p=0.95), 0),
    (SamplingConfig(temperature=0.7, top_k=50, top_p=0.95), 2**33),
    (SamplingConfig(top_p=0.9, ties="keep"), 5),
    (SamplingConfig(top_k=40, top_p=0.5, min_p=0.01, order="vllm", ties="keep_top_k"), 5),
    (SamplingConfig(top_k=40, top_p=0.5, min_p=0.01, order="joint"), 5),
    (SamplingConfig(top_k=40, top_p=0.5, min_p=0.01, order="hf"), 5),
    (SamplingConfig(min_p=0.05, stream=3), 7),
    (SamplingConfig(temperature=float("inf"), top_k=2000), 9),
    (SamplingConfig(temperature=1e-3), 9),
    (SamplingConfig(temperature=100.0, top_p=0.999), 9),
    (SamplingConfig(top_p=0.0, hot_begin=2, hot_steps=3, hot_temperature=4.0, hot_min_p=0.3), 4),
)


def records() -> npt.NDArray[np.uint32]:
    """uint32 [R, 16]: the records of `CASES`, each with a seed of its own."""
    return _packed([config for config, _ in CASES])


def group_records() -> npt.NDArray[np.uint32]:
    """The same, each of the next design."""
    return _packed([config.replace(design=DESIGNS[r % len(DESIGNS)]) for r, (config, _) in enumerate(CASES)])


def _packed(configs: Sequence[SamplingConfig]) -> npt.NDArray[np.uint32]:
    return fire.pack(
        [config.replace(seed=(r + 1) * 0x9E3779B97F4A7C15 % 2**64) for r, config in enumerate(configs)]
    )


def steps() -> npt.NDArray[np.int64]:
    """int64 [R]: the steps of `CASES`."""
    return np.array([step for _, step in CASES], dtype=np.int64)


def row_bits(kind: str, dtype: str) -> npt.NDArray[Any]:
    """The bits of one row of logits: uint32 [V] for float32, uint16 [V] for the other types."""
    noise = _split_mix(VOCABULARIES[kind])
    if kind == "junk":
        return noise.astype(np.uint32 if dtype == "float32" else np.uint16)
    # `scale` steps to a logit of 1, few enough that 7 · scale is exact in the type.
    scale = {"float32": 2**16, "float16": 2**7, "bfloat16": 2**4}[dtype]
    uniform = [(noise >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.int64) for shift in (0, 16, 32, 48)]
    if kind == "levels":
        whole = (uniform[0] % 5) * scale
    else:
        # The sum of three uniforms is bell-shaped, with standard deviation 2.
        whole = (uniform[1] + uniform[2] + uniform[3] - 3 * 2**15) * 4 * scale // 2**16
    values = whole.astype(np.float32) / np.float32(scale)
    if kind == "masked":
        values[uniform[3] % 8 != 0] = -np.inf
        values[uniform[2] % 32 == 0] = np.nan
    if kind == "peaked":
        values[values.size // 3] = 14.0
    if kind == "infinite":
        values[20::15] = np.inf
    if kind == "hopeless":
        values[:] = -np.inf
    if dtype == "float16":
        return values.astype(np.float16).view(np.uint16)
    bits = values.view(np.uint32)
    return bits if dtype == "float32" else (bits >> np.uint32(16)).astype(np.uint16)


def answers(draw: Draw, dtypes: tuple[str, ...]) -> Iterator[tuple[str, Answer]]:
    """Yields what `draw` returns for every batch, in the form of the committed table."""
    for dtype in dtypes:
        for kind, vocabulary in VOCABULARIES.items():
            bits = np.broadcast_to(row_bits(kind, dtype), (len(CASES), vocabulary))
            drawn = draw(bits, dtype, steps(), records())
            yield (
                f"{kind} {dtype}",
                Answer(
                    token=drawn.token.tolist(),
                    kept=drawn.kept.tolist(),
                    rank=drawn.rank.tolist(),
                    status=drawn.status.tolist(),
                    # Either zero is right; adding 0 makes both +0.
                    processed=zlib.crc32((drawn.processed + np.float32(0)).tobytes()),
                    support=zlib.crc32(drawn.support.tobytes()),
                    group=zlib.crc32(drawn.group.tobytes()),
                ),
            )


def draw_with_numpy(
    bits: npt.NDArray[Any], dtype: str, step: npt.NDArray[np.int64], packed: npt.NDArray[np.uint32]
) -> Drawn:
    """Through `fire_sampling.numpy`."""
    if dtype == "bfloat16":
        import ml_dtypes

        logits = bits.view(ml_dtypes.bfloat16)
    else:
        logits = bits.view(dtype)
    out = fire.sample_with_logprobs(logits, step, packed)
    processed = fire.process_logits(logits, step, packed)
    support = fire.sample_with_support(logits, step, packed, width=WIDTH).support
    group = fire.sample_group(logits, 0, group_records(), size=SIZE)
    return Drawn(out.token, out.kept, out.rank, out.status, processed, support, group)


def draw_with_torch(
    bits: npt.NDArray[Any],
    dtype: str,
    step: npt.NDArray[np.int64],
    packed: npt.NDArray[np.uint32],
    device: str = "cpu",
) -> Drawn:
    """Through `torch.ops.fire`, with tensors on `device`."""
    import torch

    ops = torch.ops.fire
    signed = np.array(bits[0]).view(np.int32 if dtype == "float32" else np.int16)
    row, steps, records, grouped = (
        torch.from_numpy(array).to(device)
        for array in (signed, step, packed.view(np.int32), group_records().view(np.int32))
    )
    logits = row.view(getattr(torch, dtype)).expand(bits.shape)
    token, _, _, rank, kept, status = ops.sample_with_logprobs(logits, steps, records)
    processed = ops.process_logits(logits, steps, records)
    support = ops.sample_with_support(logits, steps, records, width=WIDTH)[6]
    group = ops.sample_group(logits, torch.zeros_like(steps), grouped, size=SIZE)
    outputs = (token, kept, rank, status, processed, support, group)
    return Drawn(*(output.numpy(force=True) for output in outputs))


def numpy_dtypes() -> tuple[str, ...]:
    """The types of `DTYPES` that NumPy has here: bfloat16 comes from ml_dtypes."""
    has_bfloat16 = importlib.util.find_spec("ml_dtypes") is not None
    return DTYPES if has_bfloat16 else tuple(dtype for dtype in DTYPES if dtype != "bfloat16")


def mismatches(draw: Draw, dtypes: tuple[str, ...]) -> list[str]:
    """One line for every batch whose answers differ from the committed table."""
    expected: dict[str, Answer] = json.loads(ANSWERS.read_text())
    return [
        f"{name}: got {got}, expected {expected.get(name)}"
        for name, got in answers(draw, dtypes)
        if got != expected.get(name)
    ]


def _split_mix(count: int) -> npt.NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014) of 1 …
    count.
    """
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)
