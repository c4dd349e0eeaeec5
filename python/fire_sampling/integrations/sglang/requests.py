"""What a request to SGLang asks of FIRE: the `fire_` keys of its `custom_params`, or a default.

SGLang carries `custom_params` to its scheduler unread. Nothing here imports SGLang: `params` is its
`SamplingParams` after `normalize`, of which only the fields named below are read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

import torch

from fire_sampling._checks import shown
from fire_sampling.config import SamplingConfig
from fire_sampling.packing import pack

DEFAULT_VARIABLE = "FIRE_SGLANG_DEFAULT"

# Below SGLang's own logger, whose handlers and level it shares.
logger = logging.getLogger("sglang.srt.fire_sampling")

# Key of `custom_params` → the field of `SamplingConfig` that checks it and gives it its meaning.
_FIELDS = {
    "fire_temperature": "hot_temperature",
    "fire_top_k": "hot_top_k",
    "fire_top_p": "hot_top_p",
    "fire_min_p": "hot_min_p",
    "fire_begin": "hot_begin",
    "fire_steps": "hot_steps",
}


def hot_phase(keys: Mapping[str, Any]) -> SamplingConfig | None:
    """The hot fields that the `fire_` keys of `custom_params` give, all others unset; None without such keys.

    Raises:
        ValueError: an unknown `fire_` key, or a value out of its range; the message begins with the key.
    """
    phase = SamplingConfig()
    ours = {key: value for key, value in keys.items() if key.startswith("fire_")}
    for key, value in ours.items():
        field = _FIELDS.get(key)
        if field is None:
            raise ValueError(f"{key}: got {shown(value)}, expected one of {', '.join(_FIELDS)}")
        try:
            phase = phase.replace(**{field: value})
        except ValueError as error:
            raise ValueError(str(error).replace(field, key, 1)) from None
    return phase if ours else None


def default_phase() -> SamplingConfig | None:
    """`hot_phase` of the JSON object in FIRE_SGLANG_DEFAULT, for requests without keys of their own.

    Raises:
        ValueError: it holds no JSON object, or one that `hot_phase` refuses.
    """
    text = os.environ.get(DEFAULT_VARIABLE, "")
    if not text.strip():
        return None
    try:
        keys = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{DEFAULT_VARIABLE}: got {shown(text)}, expected a JSON object: {error}") from None
    if not isinstance(keys, dict):
        raise ValueError(f"{DEFAULT_VARIABLE}: got {shown(text)}, expected a JSON object")
    return hot_phase(keys)


def phase_of(params: Any, default: SamplingConfig | None) -> SamplingConfig | None:
    """The hot fields that hold for a request; None: it has no hot step.

    A default leaves greedy requests alone, and those of one token, which scoring and decisions send.

    Raises:
        ValueError: what `hot_phase` raises.
    """
    phase = hot_phase(params.custom_params or {})
    if phase is None and not _is_greedy(params) and params.max_new_tokens != 1:
        return default
    return phase


def config_of(params: Any, phase: SamplingConfig | None) -> SamplingConfig:
    """How to sample a request: its regular settings, in SGLang's order of filters, and the hot `phase`."""
    greedy = _is_greedy(params)
    return (phase or SamplingConfig(hot_steps=0)).replace(
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

    def __init__(self, default: SamplingConfig | None, seed: int) -> None:
        self._default = default
        self._seed = seed

    def records(self, requests: list[Any], device: Any) -> torch.Tensor:
        """Int32 [R, 16], a record for each of R requests of SGLang."""
        return pack([self._config(request) for request in requests], device=device)

    def _config(self, request: Any) -> SamplingConfig:
        params = request.sampling_params
        try:
            phase = phase_of(params, self._default)
        except ValueError as error:  # raised on, it would end the engine
            logger.warning("Request %s is sampled without FIRE: %s", request.rid, error)
            phase = None
        seed = params.sampling_seed
        if seed is None:
            digest = hashlib.blake2b(f"{self._seed}/{request.rid}".encode(), digest_size=8).digest()
            seed = int.from_bytes(digest, "little")
        return config_of(params, phase).replace(seed=seed)


def _is_greedy(params: Any) -> bool:
    """SGLang makes top_k = 1 of a temperature of 0."""
    return bool(params.top_k == 1)
