"""The plugin by which vLLM finds fire_sampling. See docs/vllm.md.

A package of its own: vLLM imports every installed plugin in each of its processes, and one that is not asked
for should load no operators and no CUDA kernels there. Only to check a FIRE_VLLM_DEFAULT is fire_sampling
imported unasked.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from fire_sampling_vllm.front_end import follow_arguments
from fire_sampling_vllm.switch import SWITCH, asked, logger
from fire_sampling_vllm.workers import follow_workers

# Module of vLLM → what to do with it once it is imported. Processes that make no engine never import the
# first, nor those without a worker the second, and CUDA with it.
_ARGUMENTS, _WORKERS = "vllm.engine.arg_utils", "vllm.v1.worker.worker_base"


def register() -> None:
    """What vLLM calls in each of its processes, any number of times.

    Where a process makes an engine, the log says what is on of FIRE. With FIRE_VLLM=1 the engine gets the
    logits processor, which reads and checks what requests ask for, and every worker's sampler is replaced
    once its model is loaded. What goes wrong is logged, and vLLM goes on without, a vLLM of another form
    included; only a wrong FIRE_VLLM_DEFAULT ends it.
    """
    choice = os.environ.get(SWITCH, "")
    if choice not in ("", "0", "1"):
        logger.warning("fire_sampling: %s=%s, expected 1 or 0; vLLM's own sampler stays", SWITCH, choice)
    if asked():
        _once_imported(_ARGUMENTS, follow_arguments)
        _once_imported(_WORKERS, follow_workers)
    elif _ARGUMENTS in sys.modules:
        _follow(follow_arguments, sys.modules[_ARGUMENTS])


def _once_imported(name: str, follow: Callable[[ModuleType], None]) -> None:
    """Calls `follow` with a module, now if it is there."""
    if name in sys.modules:
        _follow(follow, sys.modules[name])
    elif not any(isinstance(finder, _WhenImported) and finder.name == name for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported(name, follow))


def _follow(follow: Callable[[ModuleType], None], module: ModuleType) -> None:
    """Calls `follow`; what it raises is logged, as it would end an import of vLLM's."""
    try:
        follow(module)
    except Exception:
        logger.exception("fire_sampling: %s is left as it is, because following it failed", module.__name__)


class _WhenImported(importlib.abc.MetaPathFinder):
    """Waits for one module to be imported."""

    def __init__(self, name: str, follow: Callable[[ModuleType], None]) -> None:
        self.name = name
        self._then = follow

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = functools.partial(  # type: ignore[method-assign]
                self._execute, spec.loader.exec_module
            )
        return spec

    def _execute(self, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
        execute(module)
        _follow(self._then, module)
