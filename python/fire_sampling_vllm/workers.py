"""Where vLLM's tokens are drawn: each worker's sampler is replaced by the fused one."""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from fire_sampling_vllm.switch import logger


def follow_workers(module: ModuleType) -> None:
    """Has every worker of this process install the fused sampler when its model and cache are there.

    Args:
        module: `vllm.v1.worker.worker_base`.
    """
    wrapper: Any = getattr(module, "WorkerWrapperBase", None)
    initialize = getattr(wrapper, "initialize_from_config", None)
    if not inspect.isfunction(initialize):
        logger.warning(
            "fire_sampling: this version of vLLM has no WorkerWrapperBase.initialize_from_config; its own "
            "sampler stays"
        )
        return
    if hasattr(initialize, "fire_sampling"):
        return

    @functools.wraps(initialize)
    def initialize_and_install(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = initialize(self, *args, **kwargs)
        _install(self)
        return result

    initialize_and_install.fire_sampling = True  # type: ignore[attr-defined]
    wrapper.initialize_from_config = initialize_and_install


def _install(wrapper: Any) -> None:
    try:  # all of it: a worker of another form draws on by vLLM's own sampler
        from fire_sampling.integrations.vllm import fused

        try:
            fused.install(wrapper.worker.model_runner)
        except fused.UnfitError as refusal:
            logger.warning("fire_sampling: vLLM's own sampler stays: %s", refusal)
    except Exception:
        logger.exception("fire_sampling: vLLM's own sampler stays, because installing another failed")
