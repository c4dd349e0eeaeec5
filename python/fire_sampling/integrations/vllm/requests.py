"""What a request asks of FIRE: the `fire_` keys of its `extra_args`, and the engine's default for all others.

vLLM carries `SamplingParams.extra_args` (over HTTP: `vllm_xargs`) to its workers unread. The values are flat:
numbers, strings, lists of them; a `true` sent over HTTP arrives as 1. Nothing here imports vLLM: `params` is
its `SamplingParams`, of which only the fields named below are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fire_sampling._checks import is_integer, shown
from fire_sampling.config import SamplingConfig

PREFIX = "fire_"
DEFAULT_VARIABLE = "FIRE_VLLM_DEFAULT"

# Key of `extra_args` → the field of `SamplingConfig` that checks it and gives it its meaning.
_FIELDS = {
    "fire_temperature": "hot_temperature",
    "fire_top_k": "hot_top_k",
    "fire_top_p": "hot_top_p",
    "fire_min_p": "hot_min_p",
    "fire_begin": "hot_begin",
    "fire_steps": "hot_steps",
}
_AFTER = "fire_after"
KEYS = (*_FIELDS, _AFTER)

# vLLM's own limit: a temperature below it is greedy.
_GREEDY_BELOW = 1e-5


@dataclass(frozen=True)
class FireSettings:
    """The hot phase as a request, or the engine's default, describes it.

    Attributes:
        phase: the hot fields that were given, all others unset.
        after: ids of tokens after each of which the hot window opens anew.
    """

    phase: SamplingConfig
    after: tuple[int, ...] = ()


def read_settings(extra_args: Mapping[str, Any] | None) -> FireSettings | None:
    """The `fire_` keys of `extra_args`; None where there are none.

    Raises:
        ValueError: An unknown `fire_` key, or a value out of range: names the key, what came, what was
            expected.
    """
    given = {key: value for key, value in (extra_args or {}).items() if key.startswith(PREFIX)}
    return _settings(given) if given else None


def default_settings(environment: Mapping[str, str] = os.environ) -> FireSettings | None:
    """The engine's default: `FIRE_VLLM_DEFAULT`, a JSON object of `fire_` keys; unset or empty is none.

    Raises:
        ValueError: The variable holds anything else.
    """
    text = environment.get(DEFAULT_VARIABLE, "").strip()
    if not text:
        return None
    expected = 'a JSON object of fire_ keys such as {"fire_temperature": 30, "fire_top_k": 16}'
    try:
        keys = json.loads(text)
    except json.JSONDecodeError:
        keys = None
    if not isinstance(keys, dict) or not keys:
        raise ValueError(f"{DEFAULT_VARIABLE}: got {shown(text)}, expected {expected}")
    try:
        return _settings(keys)
    except ValueError as error:
        raise ValueError(f"{DEFAULT_VARIABLE}: {error}") from None


def settings_for(params: Any, default: FireSettings | None) -> FireSettings | None:
    """What holds for a request: its own `fire_` keys, or else the default where that may speak.

    The default leaves alone greedy requests and those of one token, which beam search, structured decisions
    and scoring issue for every step of theirs. Its top-k shrinks to the request's, so that it never widens
    what a request allows.

    Raises:
        ValueError: as `read_settings`.
    """
    own = read_settings(params.extra_args)
    if own is not None or default is None:
        return own
    if is_greedy(params) or params.max_tokens == 1:
        return None
    hot_top_k = default.phase.hot_top_k
    if params.top_k > 0 and hot_top_k is not None and (hot_top_k <= 0 or hot_top_k > params.top_k):
        return replace(default, phase=default.phase.replace(hot_top_k=params.top_k))
    return default


def sampling_config(params: Any, settings: FireSettings | None) -> SamplingConfig:
    """The request's complete config: its regular phase from vLLM's own fields, its hot one from `settings`.

    Filters are in vLLM's order. The seed is the request's, None where it has none. Without settings no step
    is hot.
    """
    phase = SamplingConfig(hot_steps=0) if settings is None else settings.phase
    return phase.replace(
        temperature=0.0 if is_greedy(params) else params.temperature,
        top_k=max(params.top_k, 0),
        top_p=params.top_p,
        min_p=params.min_p,
        order="vllm",
        seed=params.seed,
    )


def is_greedy(params: Any) -> bool:
    """Whether vLLM decodes the request greedily."""
    return bool(params.temperature < _GREEDY_BELOW)


def _settings(keys: Mapping[str, Any]) -> FireSettings:
    phase = SamplingConfig()
    after: tuple[int, ...] = ()
    for key, value in keys.items():
        if key == _AFTER:
            after = _token_ids(value)
            continue
        field = _FIELDS.get(key)
        if field is None:
            raise ValueError(f"{shown(key)}: no such key, expected one of {', '.join(KEYS)}")
        if value is None:
            raise ValueError(f"{key}: got None, expected a number")
        try:
            phase = phase.replace(**{field: value})
        except ValueError as error:
            raise ValueError(key + str(error).removeprefix(field)) from None
    return FireSettings(phase, after)


def _token_ids(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not all(is_integer(token) and token >= 0 for token in value):
        raise ValueError(f"{_AFTER}: got {shown(value)}, expected a list of token ids, integers from 0")
    return tuple(sorted({int(token) for token in value}))
