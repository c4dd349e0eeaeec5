"""What the operators with several outputs return, of tensors and of arrays.

The outputs of `sample_with_logprobs` are those of csrc/definition/row_sample.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor


class SampleWithLogprobs(NamedTuple):
    """What `sample_with_logprobs` returns: [R], one value a row.

    Of `sample_group_with_logprobs` `token`, `logprob`, `ref_logprob` and `rank` are [R, size].
    """

    token: Tensor  # int64
    logprob: Tensor  # float32: ln of the probability the token was drawn with, the behaviour policy's
    ref_logprob: Tensor  # float32: ln softmax(x / ref_temperature) over the whole vocabulary
    rank: Tensor  # int32: 1 is the most probable
    kept: Tensor  # int32: size of the kept set
    status: Tensor  # int32: bits of `fire_sampling.Status`


class ArraysWithLogprobs(NamedTuple):
    """`fire_sampling.SampleWithLogprobs` of arrays; without the first dimension for logits [V]."""

    token: npt.NDArray[np.int64]
    logprob: npt.NDArray[np.float32]
    ref_logprob: npt.NDArray[np.float32]
    rank: npt.NDArray[np.int32]
    kept: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]


class SampleWithSupport(NamedTuple):
    """What `sample_with_support` returns: that of `sample_with_logprobs`, and the tokens drawn from."""

    token: Tensor
    logprob: Tensor
    ref_logprob: Tensor
    rank: Tensor
    kept: Tensor
    status: Tensor
    support: Tensor  # int32 [R, width]: ids of the kept set, ascending; -1 behind them
    support_logprob: Tensor  # float32 [R, width]: ln of the probability of each; -inf behind them


class ArraysWithSupport(NamedTuple):
    """`fire_sampling.SampleWithSupport` of arrays; without the first dimension for logits [V]."""

    token: npt.NDArray[np.int64]
    logprob: npt.NDArray[np.float32]
    ref_logprob: npt.NDArray[np.float32]
    rank: npt.NDArray[np.int32]
    kept: npt.NDArray[np.int32]
    status: npt.NDArray[np.int32]
    support: npt.NDArray[np.int32]
    support_logprob: npt.NDArray[np.float32]


class CodedSample(NamedTuple):
    """What `sample_coded` returns, one value a row."""

    token: Tensor  # int64
    code: Tensor  # int64: what the sequence draws its next token with


class CodedArrays(NamedTuple):
    """`fire_sampling.CodedSample` of arrays; without the first dimension for logits [V]."""

    token: npt.NDArray[np.int64]
    code: npt.NDArray[np.uint64]


class SupportLogProb(NamedTuple):
    """What `support_log_prob` returns, one value a row."""

    logprob: Tensor  # float32: ln softmax(x / temperature) of the token over its support
    full_logprob: Tensor  # float32: the same over the whole row
    status: Tensor  # int32: bits of `fire_sampling.Status`


class ArraysOfSupportLogProb(NamedTuple):
    """`fire_sampling.SupportLogProb` of arrays; without the first dimension for logits [V]."""

    logprob: npt.NDArray[np.float32]
    full_logprob: npt.NDArray[np.float32]
    status: npt.NDArray[np.int32]
