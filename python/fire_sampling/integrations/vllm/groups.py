"""A request of n samples as a group: what vLLM's front end does for its children to be told apart.

vLLM makes n requests of one, its children, and gives each the settings of the parent but for the seed: child
i has the parent's plus i. So the seed and n of the parent, carried in the settings that all of them share,
say which member a child is, wherever and whenever it runs.
"""

from __future__ import annotations

import itertools
from typing import Any

from fire_sampling.integrations.vllm.requests import GROUP, HOT_KEYS, settings_for
from fire_sampling.packing import seed_of

# Of 64 bits: the seeds of the last children must not leave them.
_SEED_BITS = 62

_seedless = itertools.count()


def tell_apart(params: Any, request_id: str, engine_seed: int) -> None:
    """Notes in the settings of a request of n samples which group they are, unless they are none.

    A request without a seed gets one that follows from the engine's, the request's id and the number of such
    requests before it.

    Args:
        params: the engine's own copy of a request's `SamplingParams`, which were admitted. Its `extra_args`
            are replaced, as the user's request may still hold them.
        request_id: the request's id.
        engine_seed: the engine's seed.
    """
    settings = settings_for(params, HOT_KEYS.default())
    if settings is None or settings.design is None:
        return
    if params.seed is None:
        params.seed = seed_of(f"{engine_seed}/{request_id}/{next(_seedless)}") % 2**_SEED_BITS
    params.extra_args = {**(params.extra_args or {}), GROUP: [params.seed, params.n]}
