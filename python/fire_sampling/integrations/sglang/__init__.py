"""SGLang: the sampling backend `fire`. See docs/sglang.md.

`register` is the entry point of the group `sglang.srt.plugins`. It gives the backend its name, and has
requests looked at as they come. Only with `--sampling-backend fire` does SGLang make a `FireSampler`.
"""

from __future__ import annotations

import functools
import logging
import os
from importlib.metadata import version
from typing import Any

BACKEND = "fire"
DEFAULT = "FIRE_SGLANG_DEFAULT"

# SGLang calls it for every request before its engine sees it; a ValueError is status 400.
_VERIFY = "sglang.srt.sampling.sampling_params.SamplingParams.verify"

# Below SGLang's own logger, whose handlers and level it shares.
logger = logging.getLogger("sglang.srt.fire_sampling")


def register() -> None:
    """Registers the backend `fire`, and `look_at` for every request; nothing else of SGLang changes."""
    from sglang.srt.layers.sampler import register_sampler_backend
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    register_sampler_backend(BACKEND, _make_sampler)
    HookRegistry.register(_VERIFY, look_at, HookType.AFTER)


def look_at(verified: Any, params: Any, *args: Any, **kwargs: Any) -> None:
    """Checks the `fire_` keys of a request that SGLang has just verified, or says that nothing reads them.

    Raises:
        ValueError: The backend is `fire`, and a key is wrong: names it, what came, what was expected.
    """
    keys = params.custom_params or {}
    if not keys and DEFAULT not in os.environ:
        return
    backend = _backend()
    if backend == BACKEND:
        from fire_sampling.integrations.sglang.requests import settings_of

        settings_of(params, None)
    elif backend is not None:
        if os.environ.get(DEFAULT, "").strip():
            _warn_once(f"{DEFAULT} is set, and nothing reads it", backend)
        if any(key.startswith("fire_") for key in keys):
            _warn_once("nothing reads the fire_ keys of requests", backend)


def _backend() -> str | None:
    """The engine's sampling backend; None where none is configured."""
    from sglang.srt.runtime_context import get_exec, get_server_args

    return get_exec().kernel.sampling_backend if get_server_args() else None


@functools.cache
def _warn_once(what: str, backend: str) -> None:
    logger.warning("fire_sampling: %s: the sampling backend is %s, expected %s", what, backend, BACKEND)


def _make_sampler() -> Any:
    # Here, where SGLang is known to be imported and the backend to be wanted.
    try:
        from fire_sampling.integrations.sglang.sampler import make_sampler
    except ImportError as error:
        raise RuntimeError(
            f"--sampling-backend fire: made for SGLang 0.5.23, found {version('sglang')}: {error}"
        ) from error
    return make_sampler()
