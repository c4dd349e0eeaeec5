"""SGLang: the sampling backend `fire`. See docs/sglang.md.

`register` is the entry point of the group `sglang.srt.plugins`. It gives the backend its name and nothing
else: only with `--sampling-backend fire` does SGLang make a `FireSampler`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

BACKEND = "fire"


def register() -> None:
    """Registers the backend `fire`; nothing of SGLang changes."""
    from sglang.srt.layers.sampler import register_sampler_backend

    register_sampler_backend(BACKEND, _make_sampler)


def _make_sampler() -> Any:
    # Here, where SGLang is known to be imported and the backend to be wanted.
    try:
        from fire_sampling.integrations.sglang.sampler import make_sampler
    except ImportError as error:
        raise RuntimeError(
            f"--sampling-backend fire: made for SGLang 0.5.23, found {version('sglang')}: {error}"
        ) from error
    return make_sampler()
