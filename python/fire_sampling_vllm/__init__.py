"""The plugin by which vLLM finds the fused sampler of fire_sampling. See docs/vllm.md.

A package of its own: vLLM imports every installed plugin in each of its processes, and one that is not asked
for should load no operators and no CUDA kernels there.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

SWITCH = "FIRE_VLLM"
_WORKERS = "vllm.v1.worker.worker_base"

# A child of vLLM's own logger, which prints in all of its processes.
_logger = logging.getLogger("vllm.fire_sampling")


def register() -> None:
    """What vLLM calls in each of its processes, any number of times. Does nothing unless FIRE_VLLM=1.

    Where a process makes a worker, the worker's sampler is replaced once its model is loaded. Whatever goes
    wrong is logged, and vLLM goes on with its own sampler.
    """
    choice = os.environ.get(SWITCH, "")
    if choice in ("", "0"):
        return
    if choice != "1":
        _logger.warning("fire_sampling: %s=%s, expected 1 or 0; vLLM's own sampler stays", SWITCH, choice)
        return
    if _WORKERS in sys.modules:
        _follow_workers(sys.modules[_WORKERS])
    elif not any(isinstance(finder, _WhenImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported())


class _WhenImported(importlib.abc.MetaPathFinder):
    """Waits for the module of vLLM's workers. Most of vLLM's processes never import it, or CUDA with it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _WORKERS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_follow(module: ModuleType) -> None:
                execute(module)
                _follow_workers(module)

            spec.loader.exec_module = execute_and_follow  # type: ignore[method-assign]
        return spec


def _follow_workers(module: ModuleType) -> None:
    """Has every worker of this process install the fused sampler when its model and cache are there."""
    wrapper: Any = getattr(module, "WorkerWrapperBase", None)
    initialize = getattr(wrapper, "initialize_from_config", None)
    if initialize is None:
        _logger.warning(
            "fire_sampling: this version of vLLM has no WorkerWrapperBase.initialize_from_config; its own "
            "sampler stays"
        )
        return
    if hasattr(initialize, "fire_sampling"):
        return

    @functools.wraps(initialize)
    def initialize_and_install(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = initialize(self, *args, **kwargs)
        _install(self.worker)
        return result

    initialize_and_install.fire_sampling = True  # type: ignore[attr-defined]
    wrapper.initialize_from_config = initialize_and_install


def _install(worker: Any) -> None:
    try:
        from fire_sampling.integrations.vllm import fused

        try:
            fused.install(worker.model_runner)
        except fused.UnfitError as refusal:
            _logger.warning("fire_sampling: vLLM's own sampler stays: %s", refusal)
    except Exception:
        _logger.exception("fire_sampling: vLLM's own sampler stays, because installing another failed")
