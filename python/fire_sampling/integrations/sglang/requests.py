"""What a request to SGLang asks of FIRE: the `fire_` keys of its `custom_params`, or a default.

SGLang carries `custom_params` to its scheduler unread. Nothing here imports SGLang: `params` is its
`SamplingParams` after `normalize`, of which only the fields named below are read.
"""

from __future__ import annotations

from typing import Any

import torch

from fire_sampling.config import SamplingConfig
from fire_sampling.integrations.hot_keys import (
    DESIGN,
    GROUP_SIZE,
    MEMBER,
    FireSettings,
    HotKeys,
    refusal_of_greedy,
    require_seed_of_group,
)
from fire_sampling.integrations.sglang import DEFAULT, logger
from fire_sampling.packing import pack, seed_of

HOT_KEYS = HotKeys(DEFAULT, after=False, samples=False)


def settings_of(params: Any, default: FireSettings | None) -> FireSettings | None:
    """The hot phase that holds for a request; None: it has no hot step.

    A default leaves greedy requests alone, and those of one token, which scoring and decisions send.

    Raises:
        ValueError: what `HotKeys.read` raises; `fire_` keys of a greedy request without `fire_steps`; a
            design of a request that does not name its group, its place in it, and its seed.
    """
    own = HOT_KEYS.read(params.custom_params)
    greedy = _is_greedy(params)
    if own is None:
        return None if greedy or params.max_new_tokens == 1 else default
    reason = refusal_of_greedy(own.phase) if greedy else None
    if reason is not None:
        raise ValueError(reason)
    if own.design is not None:
        _require_member(params, own)
    return own


def _require_member(params: Any, settings: FireSettings) -> None:
    if params.n != 1:
        raise ValueError(
            f"n: got {params.n} with {DESIGN} {settings.design!r}, expected 1, and {GROUP_SIZE} and "
            f"{MEMBER} in each of the requests of a group: SGLang tells apart the samples of one request by "
            "random ids alone"
        )
    if not settings.is_member:
        raise ValueError(
            f"{GROUP_SIZE}: got none with {DESIGN} {settings.design!r}, expected the size of the "
            f"request's group, and {MEMBER}"
        )
    require_seed_of_group(settings, "sampling_seed", params.sampling_seed)


def config_of(params: Any, settings: FireSettings | None) -> SamplingConfig:
    """How to sample a request: its regular phase, in SGLang's order of filters, and its hot one."""
    greedy = _is_greedy(params)
    phase = SamplingConfig(hot_steps=0) if settings is None else settings.phase
    return phase.replace(
        temperature=0.0 if greedy else params.temperature,
        top_k=0 if greedy else params.top_k,
        top_p=params.top_p,
        min_p=params.min_p,
        order="joint",
    )


class Recorder:
    """Makes the records of requests.

    Args:
        default: what holds for requests without `fire_` keys.
        seed: the engine's, the same on every rank. With a request's id it makes the seed of a request without
            `sampling_seed`, so that all ranks of a tensor-parallel group draw alike.
    """

    def __init__(self, default: FireSettings | None, seed: int) -> None:
        self._default = default
        self._seed = seed

    def records(self, requests: list[Any], device: Any) -> tuple[torch.Tensor, list[int | None]]:
        """Int32 [R, 16], a record for each of R requests of SGLang; and how many tokens a step of each may
        keep, None where no top-k bounds it.
        """
        configs = [self._config(request) for request in requests]
        return pack(configs, device=device), [config.most_kept for config in configs]

    def _config(self, request: Any) -> SamplingConfig:
        params = request.sampling_params
        try:
            settings = settings_of(params, self._default)
        except ValueError as error:  # raised on, it would end the engine
            logger.warning("Request %s is sampled without FIRE: %s", request.rid, error)
            settings = None
        seed = params.sampling_seed
        if seed is None:
            seed = seed_of(f"{self._seed}/{request.rid}")
        return config_of(params, settings).replace(seed=seed)


def _is_greedy(params: Any) -> bool:
    """SGLang makes top_k = 1 of a temperature of 0."""
    return bool(params.top_k == 1)
