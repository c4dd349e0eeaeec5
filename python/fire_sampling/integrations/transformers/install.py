"""`install`: FIRE inside frameworks that call `model.generate` themselves."""

import functools
import inspect
import threading
import types
from typing import Any

import torch

from fire_sampling.config import SamplingConfig
from fire_sampling.integrations.transformers.generate import Request, decode


def install(model: Any, config: SamplingConfig) -> "Installation":
    """Makes every `model.generate(...)` draw its tokens with `fire_sampling`, until the result's `remove()`.

    Callers go on as before, `streamer` and `synced_gpus` included. A `config.seed` is spread over all
    sequences that the model will generate, in order: no two calls share random numbers, and a new
    installation repeats them all. Processes that generate side by side need seeds of their own.

    Args:
        model: an object with transformers' `generate`. Only this object is changed, not its class.
        config: as `fire_config` of `fire_generate`.

    Raises:
        RuntimeError: FIRE is installed in this model already.
        TypeError: `config` is not a `SamplingConfig`, or `model` no model.
    """
    if not isinstance(config, SamplingConfig):
        raise TypeError(f"install: config: got {type(config).__name__}, expected a SamplingConfig")
    if isinstance(model, type) or not callable(getattr(model, "generate", None)):
        raise TypeError(f"install: model: got {model!r}, expected a model with generate, not its class")
    return Installation(model, config)


class Installation:
    """What `install` returns. `remove()`, or the end of a `with`, gives the model its own `generate` back."""

    def __init__(self, model: Any, config: SamplingConfig) -> None:
        shadowed = vars(model).get("generate")  # somebody else's patch of this very object
        if isinstance(getattr(shadowed, "__fire_installation__", None), Installation):
            raise RuntimeError(
                "install: FIRE is installed in this model already; remove() that installation first"
            )
        self._model = model
        self._config = config
        self._shadowed = shadowed
        self._rows_drawn = 0
        self._rows_lock = threading.Lock()
        self._removed = False

        @functools.wraps(type(model).generate)
        def generate(model: Any, *args: Any, **kwargs: Any) -> Any:
            return self._generate(model, *args, **kwargs)

        generate.__fire_installation__ = self  # type: ignore[attr-defined]
        model.generate = types.MethodType(generate, model)  # a deep copy of it binds to the copied model

    def remove(self) -> None:
        """Gives the model its own `generate` back; the second time, does nothing.

        Raises:
            RuntimeError: somebody has replaced `model.generate` since.
        """
        if self._removed:
            return
        if getattr(vars(self._model).get("generate"), "__fire_installation__", None) is not self:
            raise RuntimeError(
                "Installation.remove: model.generate was replaced after install; undo that first"
            )
        del self._model.generate
        if self._shadowed is not None:
            self._model.generate = self._shadowed
        self._removed = True

    def __enter__(self) -> "Installation":
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def _generate(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        call = inspect.signature(type(model).generate).bind(model, *args, **kwargs)
        for name in ("assistant_model", "custom_generate"):
            if _take_out(call, name) is not None:
                raise ValueError(f"generate: {name} is not supported while FIRE is installed in the model")
        # generate hands neither of these to a callable.
        streamer = _take_out(call, "streamer")
        synced_gpus = _take_out(call, "synced_gpus")
        request = Request(self._config, None, self._reserve_rows, streamer, synced_gpus)

        def loop(model: Any, input_ids: torch.LongTensor, **kwargs: Any) -> Any:
            return decode(request, model, input_ids, **kwargs)

        original = self._shadowed or functools.partial(type(model).generate, model)
        return original(*call.args[1:], **call.kwargs, custom_generate=loop)

    def _reserve_rows(self, rows: int) -> int:
        with self._rows_lock:
            first_row = self._rows_drawn
            self._rows_drawn += rows
        return first_row


def _take_out(call: inspect.BoundArguments, name: str) -> Any:
    """Removes an argument of a call, however it was passed, and returns it; None if there was none."""
    value = call.arguments.pop(name, None)  # positional ones behind it then go by keyword
    for parameter in call.signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            value = call.arguments.get(parameter.name, {}).pop(name, value)
    return value
