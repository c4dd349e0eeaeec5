"""Where vLLM's tokens are drawn: each worker's sampler is replaced by the fused one."""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from fire_sampling_vllm.switch import draws_alone, logger


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


class HeatlessError(RuntimeError):
    """Requests are let in that are to be hot, and nothing can heat them; says why."""


def _install(wrapper: Any) -> None:
    try:  # all of it: a worker of another form draws on by vLLM's own sampler
        from fire_sampling.integrations.vllm import fused

        try:
            fused.install(wrapper.worker.model_runner)
        except fused.UnfitError as refusal:
            _require_no_heat(wrapper, refusal)
            logger.warning("fire_sampling: vLLM's own sampler stays: %s", refusal)
    except HeatlessError:
        raise
    except Exception as error:
        _require_no_heat(wrapper, error)
        logger.exception("fire_sampling: vLLM's own sampler stays, because installing another failed")


def _require_no_heat(wrapper: Any, reason: Exception) -> None:
    """Ends an engine of which FIRE is the fused sampler alone, and that cannot be installed: what was let in
    as hot would be drawn by vLLM's own sampler as if it were not.
    """
    runner = getattr(getattr(wrapper, "worker", None), "model_runner", None)
    config = getattr(runner, "vllm_config", None) or getattr(wrapper, "vllm_config", None)
    # Where there is no sampler, on all but the last stage of a pipeline, nothing is drawn either.
    draws = getattr(runner, "sampler", "of another form") is not None
    if config is not None and draws_alone(config) and draws:
        raise HeatlessError(
            "fire_sampling: FIRE_VLLM=1 with sampling masks needs the fused sampler, as vLLM takes no logits "
            f"processor there, and it cannot be installed: {reason}. Unset FIRE_VLLM, or start the engine "
            "without sampling masks"
        ) from reason
