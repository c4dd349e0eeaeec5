"""`install`: FIRE inside frameworks that call `model.generate` or `model.generate_batch` themselves."""

import functools
import inspect
import threading
import types
from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers

from fire_sampling.config import SamplingConfig
from fire_sampling.integrations.transformers.carry import carrying
from fire_sampling.integrations.transformers.generate import NOTHING_CARRIED, Request, decode
from fire_sampling.integrations.transformers.owner import check_model, own_attributes, owner_of


def install(model: Any, config: SamplingConfig, code: bool = False) -> "Installation":
    """Makes every `model.generate(...)` draw its tokens with `fire_sampling`, until the result's `remove()`.

    So does continuous batching: `generate_batch`, and every manager that the model makes. Callers go on as
    before, and may ask `generate` for `output_support` as well. A `config.seed` is spread over all sequences
    that the model will generate, in order: no two calls share random numbers, and a new installation repeats
    them all. Processes that generate side by side need seeds of their own.

    Args:
        model: an object with transformers' `generate`. Only this object is changed, not its class; or, where
            it has no method of its own, the object that it delegates to: the model inside a compiled module,
            the base of a PEFT model for continuous batching.
        config: as `fire_config` of `fire_generate`.
        code: as its `fire_code`; continuous batching refuses it.

    Raises:
        RuntimeError: FIRE is installed in this model already.
        TypeError: `config` is not a `SamplingConfig`, or `model` no model whose `generate` can be replaced.

    Nothing is changed when it raises. `generate` raises a `RuntimeError` if the model's own turns out to have
    a loop that cannot be replaced, as Musicgen's.
    """
    if not isinstance(config, SamplingConfig):
        raise TypeError(f"install: config: got {type(config).__name__}, expected a SamplingConfig")
    check_model(model)
    return Installation(model, config, code)


class Installation:
    """What `install` returns. `remove()`, or the end of a `with`, gives the model its own `generate` back."""

    def __init__(self, model: Any, config: SamplingConfig, code: bool = False) -> None:
        replacements: dict[str, Callable[..., Any]] = {
            "generate": self._generate,
            "init_continuous_batching": self._init_continuous_batching,
            "generate_batch": self._generate_batch,
        }
        owners = {name: owner_of(model, name) for name in replacements}
        if any(_installation_of(owner, name) is not None for name, owner in owners.items()):
            raise RuntimeError(
                "install: FIRE is installed in this model already; remove() that installation first"
            )
        self._model = model
        self._config = config
        self._code = code
        self._seeds_drawn = 0
        self._seeds_lock = threading.Lock()
        self._removed = False
        self._owners: dict[str, Any] = {}  # of the methods replaced so far
        self._shadowed: dict[str, Any] = {}  # somebody else's patches of these very objects
        try:
            for name, owner in owners.items():
                if owner is not None:
                    self._shadow(owner, name, replacements[name])
            _check_takes_a_loop(self._original(owners["generate"], "generate"), type(model).__name__)
        except Exception:
            self._restore()
            raise

    def _shadow(self, owner: Any, name: str, replacement: Callable[..., Any]) -> None:
        @functools.wraps(getattr(type(owner), name, getattr(owner, name)))
        def method(model: Any, *args: Any, **kwargs: Any) -> Any:
            return replacement(model, *args, **kwargs)

        method.__fire_installation__ = self  # type: ignore[attr-defined]
        shadowed = own_attributes(owner).get(name)
        try:
            setattr(owner, name, types.MethodType(method, owner))  # a deep copy binds to its model
        except (AttributeError, TypeError) as error:
            raise TypeError(
                f"install: model: got {type(owner).__name__}, whose {name} cannot be replaced: {error}"
            ) from error
        self._owners[name], self._shadowed[name] = owner, shadowed

    def _restore(self) -> None:
        for name, owner in self._owners.items():
            delattr(owner, name)
            if self._shadowed[name] is not None:
                setattr(owner, name, self._shadowed[name])

    def remove(self) -> None:
        """Gives the model its own methods back; the second time, does nothing.

        A persistent manager of continuous batching that was made since `install` is destroyed.

        Raises:
            RuntimeError: somebody has replaced one of the methods since.
        """
        if self._removed:
            return
        for name, owner in self._owners.items():
            if _installation_of(owner, name) is not self:
                raise RuntimeError(
                    f"Installation.remove: model.{name} was replaced after install; undo that first"
                )
        self._restore()
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
        if self._code:
            raise ValueError(
                "install: code: got True, expected False with continuous batching: the arguments of a batch "
                "are written before the draws of the one before it have ended, so no code can be among them"
            )
        # Here, because older releases lack what it imports.
        from fire_sampling.integrations.transformers.continuous import FireProcessorList, draw_with_fire

        manager = self._original(model, "init_continuous_batching")(*args, **kwargs)
        if manager.batch_processor is None:
            draw_with_fire(manager, self._config, lambda: self._reserve_seeds(1))
        elif not isinstance(manager.logit_processor, FireProcessorList):
            raise RuntimeError(
                "install: the model keeps a manager of continuous batching from before FIRE was installed; "
                "call model.destroy_cached_continuous_batching_manager() first"
            )
        return manager

    def _generate_batch(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_support(kwargs)
        return self._original(model, "generate_batch")(*args, **kwargs)

    def _generate(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        original = self._original(model, "generate")
        if (
            kwargs.get("cache_implementation") == "paged"
        ):  # generate_batch in disguise, with no loop to replace
            _refuse_support(kwargs)
            return original(*args, **kwargs)
        call = inspect.signature(getattr(type(model), "generate", None) or original).bind(
            model, *args, **kwargs
        )
        if _take_out(call, "custom_generate") is not None:
            raise ValueError(
                "generate: custom_generate is not supported while FIRE is installed in the model"
            )
        ran = False

        @carrying
        def loop(
            model: Any,
            input_ids: torch.LongTensor,
            *,
            output_support: bool | int = False,
            fire_carried: Mapping[str, Any] = NOTHING_CARRIED,
            tokenizer: Any = None,
            **kwargs: Any,
        ) -> Any:
            nonlocal ran
            ran = True
            request = Request(
                self._config,
                None,
                lambda seeds, size: self._reserve_seeds(seeds),
                None,
                None,
                fire_carried,
                code=self._code,
                output_support=output_support,
            )
            return decode(request, model, input_ids, **kwargs)

        try:
            output = original(*call.args[1:], **call.kwargs, custom_generate=loop)
        except (TypeError, ValueError) as error:
            if ran or "custom_generate" not in str(error):
                raise
            raise RuntimeError(_own_loop(model)) from error
        if not ran:
            raise RuntimeError(_own_loop(model))
        return output

    def _reserve_seeds(self, seeds: int) -> int:
        """The index of the first of so many seeds that nobody else draws with: of sequences, or of groups."""
        with self._seeds_lock:
            first = self._seeds_drawn
            self._seeds_drawn += seeds
        return first


def _installation_of(owner: Any, name: str) -> Any:
    return getattr(own_attributes(owner).get(name), "__fire_installation__", None)


def _refuse_support(arguments: Mapping[str, Any]) -> None:
    """Raises where continuous batching is asked for supports: it drops arguments that it does not know."""
    if arguments.get("output_support", False) is not False:
        raise ValueError(
            f"generate_batch: output_support: got {arguments['output_support']!r}, expected none: what "
            "transformers returns of a request in continuous batching has no place for supports"
        )


def _check_takes_a_loop(generate: Callable[..., Any], model: str) -> None:
    try:
        inspect.signature(generate).bind_partial(custom_generate=None)
    except TypeError as error:
        raise TypeError(
            f"install: model: got {model}, whose generate takes no custom_generate, expected one that "
            "takes it or passes its keyword arguments on"
        ) from error


def _own_loop(model: Any) -> str:
    return (
        f"generate: {type(model).__name__} generates with a loop of its own, in which FIRE cannot draw; "
        "remove() what install returned"
    )


def _take_out(call: inspect.BoundArguments, name: str) -> Any:
    """Removes an argument of a call, however it was passed, and returns it; None if there was none."""
    value = call.arguments.pop(name, None)  # positional ones behind it then go by keyword
    for parameter in call.signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            value = call.arguments.get(parameter.name, {}).pop(name, value)
    return value
