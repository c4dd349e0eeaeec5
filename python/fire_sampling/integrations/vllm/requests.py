"""What holds for a request to vLLM: its own `fire_` keys, in `extra_args`, or else the engine's default.

vLLM carries `SamplingParams.extra_args` (over HTTP: `vllm_xargs`) to its workers unread; a `true` sent over
HTTP arrives as 1. Nothing here imports vLLM: `params` is its `SamplingParams`, of which only the fields named
below are read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fire_sampling.config import SamplingConfig
from fire_sampling.integrations.hot_keys import FireSettings, HotKeys
from fire_sampling_vllm.switch import DEFAULT

HOT_KEYS = HotKeys(DEFAULT, after=True)

# vLLM's own limit: a temperature below it is greedy.
_GREEDY_BELOW = 1e-5


@dataclass(frozen=True)
class FireRequest:
    """A request that FIRE heats.

    Attributes:
        config: its complete config.
        after: ids of tokens after each of which the hot window opens anew.
    """

    config: SamplingConfig
    after: tuple[int, ...] = ()


def settings_for(params: Any, default: FireSettings | None) -> FireSettings | None:
    """What holds for a request: its own `fire_` keys, or else the default where that may speak.

    The default leaves alone greedy requests and those of one token, which beam search, structured decisions
    and scoring issue for every step of theirs. Its top-k shrinks to the request's, so that it never widens
    what a request allows.

    Raises:
        ValueError: as `HotKeys.read`.
    """
    own = HOT_KEYS.read(params.extra_args)
    if own is not None or default is None:
        return own
    if is_greedy(params) or params.max_tokens == 1:
        return None
    hot_top_k = default.phase.hot_top_k
    if params.top_k > 0 and hot_top_k is not None and (hot_top_k <= 0 or hot_top_k > params.top_k):
        return replace(default, phase=default.phase.replace(hot_top_k=params.top_k))
    return default


def fire_request(params: Any, settings: FireSettings) -> FireRequest:
    """The request, heated as `settings` say."""
    return FireRequest(sampling_config(params, settings), settings.after)


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
