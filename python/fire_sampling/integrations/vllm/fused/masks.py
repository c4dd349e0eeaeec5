"""Sampling masks of vLLM's V2 runner: the support of every token, as vLLM's own tensors.

vLLM would copy the processed logits [R, V] and look for what is finite. Here the operator that draws has the
ids at hand, in as many places as the requests of the batch may keep tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from vllm.v1.worker.gpu.sample import output as vllms

from fire_sampling._support_mask import support_mask
from fire_sampling.config import SamplingConfig
from fire_sampling.functional import SampleWithSupport
from fire_sampling.integrations.vllm.fused import UnfitError

# What a mask is made of here; what newer versions have behind it has a default.
_FIELDS = ("token_ids", "packed_mask", "counts", "vocab_size")


def require_masks(sampler: Any) -> None:
    """Raises `UnfitError` unless the masks that the runner's sampler returns are of the form known."""
    found = getattr(getattr(vllms, "SamplingMaskTensors", None), "_fields", ())
    if found[: len(_FIELDS)] != _FIELDS or not hasattr(vllms, "MAX_COMPACT_SUPPORT"):
        raise UnfitError(f"a sampling mask has the fields {list(found)}, expected {list(_FIELDS)}")
    if getattr(sampler, "return_sampling_mask_logprobs", False):
        raise UnfitError("sampling masks with log-probabilities are not known")


class Widths:
    """How many tokens a step of each request may keep, by slot.

    Args:
        slots: how many there are.
        vocabulary: the number of token ids.
    """

    def __init__(self, slots: int, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._of_slot = np.full(slots, vocabulary, np.int64)

    def add(self, slot: int, config: SamplingConfig) -> None:
        """Takes up a request."""
        self._of_slot[slot] = min(config.most_kept or self._vocabulary, self._vocabulary)

    def of(self, slots: npt.NDArray[Any]) -> int:
        """The width that holds every support of a batch."""
        return int(self._of_slot[slots].max(initial=1))


def mask_tensors(drawn: SampleWithSupport, num_sampled: Tensor, vocabulary: int) -> Any:
    """vLLM's `SamplingMaskTensors` of a batch.

    Args:
        drawn: the draw, its supports in enough places.
        num_sampled: int [R], 0 where a request's prompt is still being read: vLLM wants no mask there.
        vocabulary: the number of token ids.
    """
    support = drawn.support
    counts = torch.where(num_sampled > 0, (support >= 0).sum(dim=1), 0).to(torch.int32)
    nothing = support[:, :0]
    # vLLM sends ids to the host up to here, and bits, which are fewer then, where there are more.
    if support.shape[1] > vllms.MAX_COMPACT_SUPPORT:
        return vllms.SamplingMaskTensors(nothing, support_mask(support, vocabulary), counts, vocabulary)
    return vllms.SamplingMaskTensors(support, nothing.to(torch.uint8), counts, vocabulary)
