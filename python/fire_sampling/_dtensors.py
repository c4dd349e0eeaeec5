"""Arguments that are spread over processes: which functions take them, and how the others refuse."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def takes_dtensors(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """A function of logits that may be a DTensor, by what `fire_sampling.distributed` makes of it."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*arguments: _Arguments.args, **keywords: _Arguments.kwargs) -> _Result:
        logits = arguments[0] if arguments else keywords.get("logits")
        if not _is_dtensor(logits):
            return function(*arguments, **keywords)
        from fire_sampling.distributed import _dtensor

        bound = signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        result: _Result = _dtensor.call(function.__name__, **bound.arguments)
        return result

    return called


def refuse_dtensors(name: str, arguments: Mapping[str, Any]) -> None:
    """Raises a TypeError where an argument is one."""
    for argument, value in arguments.items():
        if _is_dtensor(value):
            raise TypeError(
                f"fire_sampling.{name}: {argument} is a DTensor, expected a plain tensor (call "
                f"{argument}.full_tensor() first, or {argument}.to_local() where each process has whole rows)"
            )


def _is_dtensor(value: Any) -> bool:
    """Nothing is one before the module that defines them is loaded."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(value, module.DTensor)
