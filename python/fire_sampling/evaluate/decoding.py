"""Many samples of one prompt from a transformers model: one prefill, and rows that end leave the batch.

`generate` runs the prompt once for every sequence, and goes on with those that have ended until the last one
has. Where answers are short, most of its time goes there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from fire_sampling.evaluate.packages import EvaluationError


class Prefilled(NamedTuple):
    """A prompt that the model has read."""

    logits: Tensor  # [V], of the first token of an answer
    cache: Any  # for one row
    length: int  # tokens of the prompt


@torch.inference_mode()
def prefill(model: Any, ids: Sequence[int]) -> Prefilled:
    """Has a decoder-only model read a prompt.

    Raises:
        EvaluationError: Its cache is of a kind that cannot be copied to many rows.
    """
    output = model(torch.tensor([list(ids)], device=model.device), use_cache=True, logits_to_keep=1)
    cache = getattr(output, "past_key_values", None)
    if type(cache) is not DynamicCache:
        raise EvaluationError(
            f"--model: {type(model).__name__} keeps its past in {type(cache).__name__}, expected a "
            "DynamicCache, which can be copied for each sample; --backend vllm takes any model that vLLM does"
        )
    return Prefilled(output.logits[0, -1], cache, len(ids))


@torch.inference_mode()
def continue_rows(
    model: Any,
    prefilled: Prefilled,
    rows: Sequence[Sequence[int]],
    records: Tensor,
    limit: int,
    ended: Callable[[list[int]], bool],
) -> list[list[int]]:
    """Samples the rest of each row.

    Args:
        model: The model that read the prompt.
        prefilled: The prompt, which stays as it is.
        rows: R rows, the first token of each.
        records: int32 [R, 16] on the model's device.
        limit: The most tokens of a row, the first included.
        ended: Whether a row's tokens end it; asked after each of them.

    Returns:
        The R rows, each up to the token that ended it or to `limit`.
    """
    device = records.device
    grown = [list(row) for row in rows]
    alive = [row for row, tokens in enumerate(grown) if not ended(tokens)]
    if not alive:
        return grown
    cache = copy.deepcopy(prefilled.cache)
    cache.batch_repeat_interleave(len(alive))
    for step in range(1, limit):
        last = torch.tensor([[grown[row][-1]] for row in alive], device=device)
        positions = torch.full_like(last, prefilled.length + step - 1)
        output = model(last, past_key_values=cache, use_cache=True, position_ids=positions)
        chosen = records[torch.tensor(alive, device=device)]
        drawn = torch.ops.fire.sample(
            output.logits[:, -1].contiguous(), torch.tensor(step, device=device), chosen
        )
        for row, token in zip(alive, drawn.tolist(), strict=True):
            grown[row].append(token)
        going_on = [place for place, row in enumerate(alive) if not ended(grown[row])]
        if not going_on:
            break
        if len(going_on) < len(alive):
            cache.batch_select_indices(torch.tensor(going_on, device=device))
            alive = [alive[place] for place in going_on]
    return grown
