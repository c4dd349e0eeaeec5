"""What `sample_with_logprobs` returns, of tensors and of arrays: those of csrc/definition/row_sample.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor


class SampleWithLogprobs(NamedTuple):
    """What `sample_with_logprobs` returns; every member has one value a row."""

    token: Tensor  # int64
    logprob: Tensor  # float32: ln of the probability the token was drawn with, the behaviour policy's
    ref_logprob: Tensor  # float32: ln softmax(x / ref_temperature) over the whole vocabulary
    rank: Tensor  # int32: 1 is the most probable
    kept: Tensor  # int32: size of the kept set
    status: Tensor  # int32: bits of `fire_sampling.Status`


class ArraysWithLogprobs(NamedTuple):
    """`fire_sampling.SampleWithLogprobs` of arrays; every member has one value a row, or is that value."""

    token: npt.NDArray[np.int64]
    logprob: npt.NDArray[np.float32]
    ref_logprob: npt.NDArray[np.float32]
    rank: npt.NDArray[np.int32]
    kept: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]
