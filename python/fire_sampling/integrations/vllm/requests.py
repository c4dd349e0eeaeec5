"""What holds for a request to vLLM: its own `fire_` keys, in `extra_args`, or else the engine's default.

vLLM carries `SamplingParams.extra_args` (over HTTP: `vllm_xargs`) to its workers unread; a `true` sent over
HTTP arrives as 1. Nothing here imports vLLM: `params` is its `SamplingParams`, of which only the fields named
below are read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fire_sampling.config import RULES, SamplingConfig
from fire_sampling.integrations.hot_keys import (
    DESIGN,
    GROUP_SIZE,
    MEMBER,
    FireSettings,
    HotKeys,
    require_seed_of_group,
)
from fire_sampling_vllm.switch import DEFAULT

HOT_KEYS = HotKeys(DEFAULT, after=True, samples=True)

# Where the front end puts the group of a request of n samples, [seed, n], for its children to be told apart
# by their seeds: vLLM gives child i the seed of the request plus i, and everything else alike. No key of a
# user's: `HOT_KEYS` refuses it.
GROUP = "fire_group"

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
    what a request allows. Its design is for the samples of a request that has several.

    Raises:
        ValueError: as `HotKeys.read`.
    """
    own = own_settings(params)
    if own is not None or default is None:
        return own
    if is_greedy(params) or params.max_tokens == 1:
        return None
    if default.design is not None and params.n == 1 and _group_of(params) is None:
        default = replace(default, phase=default.phase.replace(design=None))
    hot_top_k = default.phase.hot_top_k
    if params.top_k > 0 and hot_top_k is not None and (hot_top_k <= 0 or hot_top_k > params.top_k):
        return replace(default, phase=default.phase.replace(hot_top_k=params.top_k))
    return default


def own_settings(params: Any) -> FireSettings | None:
    """What the `fire_` keys of a request that was let in say; None where it has none.

    Raises:
        ValueError: as `HotKeys.read`.
    """
    keys = params.extra_args
    return HOT_KEYS.read({key: keys[key] for key in keys if key != GROUP} if keys else None)


def fire_request(params: Any, settings: FireSettings) -> FireRequest:
    """The request, heated as `settings` say.

    Of a request of n samples that are a group, as the front end sees it, it is the first.

    Raises:
        ValueError: The request is not the member that it names, or there are too many samples.
    """
    config = sampling_config(params, settings)
    if settings.design is not None:
        config = config.replace(**_membership(params, settings))
    return FireRequest(config, settings.after)


def _membership(params: Any, settings: FireSettings) -> dict[str, int | None]:
    """Seed, group_size and member of a request that belongs to a group."""
    group = _group_of(params)
    if group is not None:
        seed, size = group
        # vLLM reads a seed of -1 as none.
        own_seed = -1 if params.seed is None else params.seed
        return {"seed": seed, "group_size": size, "member": own_seed - seed}
    phase = settings.phase
    if not settings.is_member:
        if params.n == 1:
            raise ValueError(
                f"{GROUP_SIZE}: got none with {DESIGN} {settings.design!r} and n 1, expected a group: n "
                f"above 1, or {GROUP_SIZE} and {MEMBER} in each of the requests that are one"
            )
        return {"seed": params.seed, "group_size": RULES["group_size"].check("n", params.n), "member": 0}
    if params.n != 1:
        raise ValueError(
            f"{GROUP_SIZE}: got {phase.group_size} with n {params.n}, expected none, or n 1: the n samples "
            "of a request are a group by themselves"
        )
    require_seed_of_group(settings, "seed", params.seed)
    return {"seed": params.seed, "group_size": phase.group_size, "member": phase.member}


def _group_of(params: Any) -> tuple[int, int] | None:
    """Seed and size of the group that the front end made of a request's samples; None for any other."""
    group = (params.extra_args or {}).get(GROUP)
    return None if group is None else (int(group[0]), int(group[1]))


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
