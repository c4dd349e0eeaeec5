"""Carries to a callable `custom_generate` the arguments that `generate` drops on the way.

generate sets `streamer`, `synced_gpus`, `assistant_model` and `tokenizer` aside, and hands a callable nothing
but those keyword arguments that the callable's signature names. The signature is all that it asks of the
callable before it looks for the tokenizer of stop strings. So a function here has a signature that, while
generate reads it, puts what was set aside back among those keyword arguments.
"""

import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from types import CodeType, FrameType, MappingProxyType
from typing import Any, TypeVar

import transformers
from transformers import GenerationMixin

_Function = TypeVar("_Function", bound=Callable[..., Any])

# The method of generate that reads the signature, and two of its local variables, as all of transformers 5
# up to 5.23 names them.
_METHOD = "_extract_generation_mode_kwargs"
_KEYWORDS, _SET_ASIDE = "kwargs", "generation_mode_kwargs"


def _reader() -> CodeType | None:
    """The code that reads the signature within generate; None, after a warning, where it is not as known."""
    code: CodeType | None = getattr(getattr(GenerationMixin, _METHOD, None), "__code__", None)
    if code is not None and {_KEYWORDS, _SET_ASIDE} <= set(code.co_varnames):
        return code
    warnings.warn(
        f"fire_sampling does not know how generate of transformers {transformers.__version__} hands over its "
        "arguments: streamer, synced_gpus, assistant_model and tokenizer, given beside fire_generate or an "
        "installed config, are lost. Pass fire_streamer and fire_synced_gpus",
        stacklevel=2,
    )
    return None


_READER = _reader()


def carrying(function: _Function) -> _Function:
    """The function, called by `generate` with two more arguments.

    It gets `fire_carried`, the dict of what generate set aside, without what is None; and `tokenizer`, if it
    was given, which generate needs for stop strings and token healing before the function runs.
    """
    parameters = list(inspect.signature(function).parameters.values())
    function.__signature__ = _Carrying(parameters)  # type: ignore[attr-defined]
    return function


class _Carrying(inspect.Signature):
    @property
    def parameters(self) -> MappingProxyType[str, inspect.Parameter]:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not _READER:
            frame = frame.f_back
        if frame is not None:
            _put_back(frame.f_locals[_SET_ASIDE], frame.f_locals[_KEYWORDS])
        return super().parameters


def _put_back(set_aside: Mapping[str, Any], keywords: dict[str, Any]) -> None:
    if "assistant_model" in set_aside:
        raise ValueError(
            "generate: assistant_model is not supported with FIRE: assisted generation verifies several "
            "tokens a step. Leave it out"
        )
    keywords["fire_carried"] = set_aside
    if "tokenizer" in set_aside:
        keywords["tokenizer"] = set_aside["tokenizer"]
