"""Rows with supports of their own that the tests of `support_log_prob` share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from operator_inputs import random_normal
from torch import Tensor


class SupportInputs(NamedTuple):
    """The arguments of `support_log_prob`, in their order."""

    logits: Tensor  # [R, V]
    token: Tensor  # int64 [R]
    support: Tensor  # int32 [R, width]
    temperature: Tensor  # float32 [R]


# The operators' arguments, by name.
ORDER = {
    "support_log_prob": SupportInputs._fields,
    "support_log_prob_backward": ("grad", "full_grad", *SupportInputs._fields, "masses"),
}


def make_support_inputs(
    rows: int = 9, vocabulary: int = 61, width: int = 12, dtype: torch.dtype = torch.float32, seed: int = 0
) -> SupportInputs:
    """Supports of every size up to `width`, of which each row's token is one; every seventh row has none.

    Those of -1 alone stand for the whole row. Temperatures are from 0.5 to 2.
    """
    logits = (random_normal(rows, vocabulary, seed=seed) * 3).to(dtype)
    order = random_normal(rows, vocabulary, seed=seed + 1).argsort(dim=1)
    row = torch.arange(rows)
    size = (row * 5 + 3) % min(width, vocabulary) + 1
    chosen = order.masked_fill(torch.arange(vocabulary) >= size[:, None], vocabulary).sort(dim=1).values
    support = torch.full((rows, width), -1, dtype=torch.int32)
    places = min(width, vocabulary)
    support[:, :places] = torch.where(chosen < vocabulary, chosen, -1)[:, :places].int()
    token = order.gather(1, (row % size)[:, None])[:, 0]
    support[row % 7 == 6] = -1
    return SupportInputs(logits, token, support, 0.5 + 1.5 * row / max(1, rows))


def members(support: Tensor, vocabulary: int) -> Tensor:
    """bool [R, V]: the tokens of each row's set."""
    is_id = support >= 0
    held = torch.zeros(support.shape[0], vocabulary + 1, dtype=torch.bool)
    held.scatter_(1, torch.where(is_id, support, vocabulary).long(), True)
    return held[:, :vocabulary] | ~is_id.any(dim=1, keepdim=True)


def exact(inputs: SupportInputs, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Both log-probabilities in float64, of logits that autograd follows."""
    held = members(inputs.support, logits.shape[1])
    scaled = logits / inputs.temperature.double().reshape(-1, 1)

    def at_token(values: Tensor) -> Tensor:
        return values.gather(1, inputs.token[:, None])[:, 0]

    return at_token(scaled.masked_fill(~held, -torch.inf).log_softmax(dim=1)), at_token(
        scaled.log_softmax(dim=1)
    )


def near(value: Tensor, wanted: Tensor) -> bool:
    """Whether they are within 1e-6 · max(1, |wanted|) of each other, and equal where not finite."""
    finite = wanted.isfinite()
    close = (value - wanted).abs() <= 1e-6 * wanted.abs().clamp(min=1)
    return bool(torch.where(finite, close, value == wanted).all())
