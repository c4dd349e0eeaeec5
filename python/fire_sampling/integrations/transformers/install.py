"""`install`: FIRE inside frameworks that call `model.generate` or `model.generate_batch` themselves."""

import functools
import inspect
import threading
import types
from collections.abc import Callable
from typing import Any

import torch
import transformers

from fire_sampling.config import SamplingConfig
from fire_sampling.integrations.transformers.generate import Request, decode


def install(model: Any, config: SamplingConfig) -> "Installation":
    """Makes every `model.generate(...)` draw its tokens with `fire_sampling`, until the result's `remove()`.

    So does continuous batching: `generate_batch`, and every manager that the model makes. Callers go on as
    before, `streamer` and `synced_gpus` included. A `config.seed` is spread over all sequences that the model
    will generate, in order: no two calls share random numbers, and a new installation repeats them all.
    Processes that generate side by side need seeds of their own.

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
        if isinstance(_installation_of(model, "generate"), Installation):
            raise RuntimeError(
                "install: FIRE is installed in this model already; remove() that installation first"
            )
        self._model = model
        self._config = config
        self._rows_drawn = 0
        self._rows_lock = threading.Lock()
        self._removed = False
        self._shadowed: dict[str, Any] = {}  # somebody else's patches of this very object
        self._shadow("generate", self._generate)
        if hasattr(model, "init_continuous_batching"):
            self._shadow("init_continuous_batching", self._init_continuous_batching)

    def _shadow(self, name: str, replacement: Callable[..., Any]) -> None:
        @functools.wraps(getattr(type(self._model), name))
        def method(model: Any, *args: Any, **kwargs: Any) -> Any:
            return replacement(model, *args, **kwargs)

        method.__fire_installation__ = self  # type: ignore[attr-defined]
        self._shadowed[name] = vars(self._model).get(name)
        setattr(self._model, name, types.MethodType(method, self._model))  # a deep copy binds to its model

    def remove(self) -> None:
        """Gives the model its own methods back; the second time, does nothing.

        A persistent manager of continuous batching that was made since `install` is destroyed.

        Raises:
            RuntimeError: somebody has replaced one of the methods since.
        """
        if self._removed:
            return
        for name in self._shadowed:
            if _installation_of(self._model, name) is not self:
                raise RuntimeError(
                    f"Installation.remove: model.{name} was replaced after install; undo that first"
                )
        for name, shadowed in self._shadowed.items():
            delattr(self._model, name)
            if shadowed is not None:
                setattr(self._model, name, shadowed)
        if hasattr(self._model, "destroy_cached_continuous_batching_manager"):
            self._model.destroy_cached_continuous_batching_manager()
        self._removed = True

    def __enter__(self) -> "Installation":
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def _original(self, model: Any, name: str) -> Callable[..., Any]:
        return self._shadowed[name] or functools.partial(getattr(type(model), name), model)

    def _init_continuous_batching(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 11):
            raise RuntimeError(
                "install: continuous batching with FIRE needs transformers 5.11 or newer, found "
                f"{transformers.__version__}"
            )
        # Here, because older releases lack what it imports.
        from fire_sampling.integrations.transformers.continuous import FireProcessorList, draw_with_fire

        manager = self._original(model, "init_continuous_batching")(*args, **kwargs)
        if manager.batch_processor is None:
            draw_with_fire(manager, self._config, self._reserve_rows)
        elif not isinstance(manager.logit_processor, FireProcessorList):
            raise RuntimeError(
                "install: the model keeps a manager of continuous batching from before FIRE was installed; "
                "call model.destroy_cached_continuous_batching_manager() first"
            )
        return manager

    def _generate(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        original = self._original(model, "generate")
        if (
            kwargs.get("cache_implementation") == "paged"
        ):  # generate_batch in disguise, with no loop to replace
            return original(*args, **kwargs)
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

        return original(*call.args[1:], **call.kwargs, custom_generate=loop)

    def _reserve_rows(self, rows: int) -> int:
        with self._rows_lock:
            first_row = self._rows_drawn
            self._rows_drawn += rows
        return first_row


def _installation_of(model: Any, name: str) -> Any:
    return getattr(vars(model).get(name), "__fire_installation__", None)


def _take_out(call: inspect.BoundArguments, name: str) -> Any:
    """Removes an argument of a call, however it was passed, and returns it; None if there was none."""
    value = call.arguments.pop(name, None)  # positional ones behind it then go by keyword
    for parameter in call.signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            value = call.arguments.get(parameter.name, {}).pop(name, value)
    return value
