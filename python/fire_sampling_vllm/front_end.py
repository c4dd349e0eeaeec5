"""Where vLLM makes an engine and takes in its requests: what names FIRE to the engine, and says what is on.

The logits processor reads and checks a request's `fire_` keys, applies the default, and heats where vLLM's
own sampler draws, on either runner. So with FIRE_VLLM=1 it is among an engine's processors as if its user had
named it; only an engine that returns sampling masks may have none, and its requests are checked here. An
engine without FIRE says so at the first request that carries such keys; in one that has it, a request of
several samples notes which group they are. vLLM's objects may be of another form than those known:
what fails on them is logged, and the engine and its requests go on.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import os
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fire_sampling_vllm.switch import DEFAULT, PROCESSOR, SWITCH, asked, draws_alone, logger

_BY_HAND = f"name the logits processor {PROCESSOR}"
_REQUESTS = "vllm.v1.engine.input_processor"
_DESIGN = "fire_design"


def follow_arguments(module: ModuleType) -> None:
    """Has the engines that this process makes follow the switch.

    Args:
        module: `vllm.engine.arg_utils`.
    """
    arguments: Any = getattr(module, "EngineArgs", None)
    make_model = getattr(arguments, "create_model_config", None)
    make_engine = getattr(arguments, "create_engine_config", None)
    if not (inspect.isfunction(make_model) and inspect.isfunction(make_engine)):
        if asked():
            logger.warning(
                "fire_sampling: this version of vLLM has no EngineArgs.create_engine_config: %s", _BY_HAND
            )
        return
    if hasattr(make_engine, "fire_sampling"):
        return

    @functools.wraps(make_model)
    def make_model_and_name(self: Any, *args: Any, **kwargs: Any) -> Any:
        model_config = make_model(self, *args, **kwargs)
        if asked():
            _name_processor(model_config)
        return model_config

    @functools.wraps(make_engine)
    def make_engine_and_say(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = make_engine(self, *args, **kwargs)
        _follow_engine(config, self)
        return config

    make_engine_and_say.fire_sampling = True  # type: ignore[attr-defined]
    arguments.create_model_config = make_model_and_name
    arguments.create_engine_config = make_engine_and_say


def _name_processor(model_config: Any) -> None:
    """Puts the logits processor behind those of an engine, unless vLLM would refuse to start with it."""
    try:
        takes = model_config.runner_type == "generate" and not getattr(
            model_config, "return_sampling_mask", False
        )
        if takes and not _is_named(model_config.logits_processors):
            model_config.logits_processors = [*(model_config.logits_processors or ()), PROCESSOR]
    except Exception:
        logger.exception("fire_sampling: naming the logits processor failed: %s", _BY_HAND)


def _follow_engine(config: Any, arguments: Any) -> None:
    """Says what is on of FIRE in an engine, and where none is, has its requests watched for `fire_` keys.

    Args:
        config: vLLM's `VllmConfig`.
        arguments: the `EngineArgs` that it was made from.

    Raises:
        ValueError: FIRE_VLLM_DEFAULT holds something wrong.
    """
    # What is no model of another kind is taken to generate: a wrong default is not to be overlooked.
    if getattr(getattr(config, "model_config", None), "runner_type", "generate") != "generate":
        return
    default = os.environ.get(DEFAULT, "").strip()
    if default:
        _check_default()
    _warn_of_unknown_variables()
    try:
        on = _settle(config, by_hand=_is_named(getattr(arguments, "logits_processors", None)))
        if on:
            logger.info(
                "fire_sampling: FIRE is on, by %s: the fire_ keys of requests are read and checked, %s",
                f"{SWITCH}=1" if asked() else "the logits processor alone",
                f"and {DEFAULT} heats those without: {default}" if default else "those without are not hot",
            )
        elif asked():
            logger.warning("fire_sampling: FIRE is off, though %s=1: %s", SWITCH, _why_off(config))
        elif default:
            logger.warning(
                "fire_sampling: %s is set, and nothing reads it: set %s=1 or %s", DEFAULT, SWITCH, _BY_HAND
            )
    except Exception:
        logger.exception("fire_sampling: what is on of FIRE is unknown, because looking at the engine failed")
    _watch_requests()


def _settle(config: Any, by_hand: bool) -> bool:
    """Takes back the logits processor that the switch named where V1 would end the engine for it.

    Returns whether FIRE is on: among the engine's logits processors, or the fused sampler alone.
    """
    model = config.model_config
    if draws_alone(config):
        return True
    if not _is_named(model.logits_processors):
        return False
    on_v1 = not getattr(config, "use_v2_model_runner", False)
    if by_hand or not on_v1 or config.speculative_config is None:
        return True
    # Which runner it is cannot be known where the processor is named.
    model.logits_processors = [each for each in model.logits_processors if each != PROCESSOR] or None
    return _is_named(model.logits_processors)


def _warn_of_unknown_variables() -> None:
    known = (SWITCH, DEFAULT)
    for name in sorted(os.environ):
        if name.startswith(SWITCH) and name not in known:
            logger.warning(
                "fire_sampling: %s is set, and nothing reads it: expected %s", name, " or ".join(known)
            )


def _why_off(config: Any) -> str:
    on_v1 = not getattr(config, "use_v2_model_runner", False)
    if on_v1 and getattr(config, "speculative_config", None) is not None:
        return "speculative decoding on the V1 runner takes no logits processor"
    if getattr(config.model_config, "return_sampling_mask", False):
        return (
            "an engine that returns sampling masks takes no logits processor, and the fused sampler draws "
            "alone on the V2 runner, without speculative decoding and watermarks"
        )
    return f"the logits processor is not among the engine's: {_BY_HAND}"


def _check_default() -> None:
    from fire_sampling.integrations.vllm.requests import HOT_KEYS

    HOT_KEYS.default()


def _is_named(processors: Any) -> bool:
    """Whether FIRE is among an engine's logits processors: classes, or their names as module:class."""
    return any(map(_is_fire, processors or ()))


def _is_fire(processor: Any) -> bool:
    if processor == PROCESSOR:
        return True
    if isinstance(processor, str):
        try:
            processor = pkgutil.resolve_name(processor)
        except Exception:  # vLLM, which imports it next, says what is wrong
            return False
    return bool(getattr(processor, "is_fire", False))


def takes_groups(processor: type[Any]) -> bool:
    """Whether this class of input processors has requests of several samples note which group they are."""
    return hasattr(getattr(processor, "process_inputs", None), "fire_sampling")


def _watch_requests() -> None:
    """Has every request looked at: one with `fire_` keys to an engine without FIRE is refused, or warned of
    once; one of several samples to an engine with FIRE notes which group they are.
    """
    try:
        processor: Any = importlib.import_module(_REQUESTS).InputProcessor
        take = processor.process_inputs
        if takes_groups(processor):
            return
        processor.process_inputs = _watched(take)
    except Exception as error:
        logger.log(
            logging.WARNING if asked() else logging.INFO,
            "fire_sampling: requests are not watched for fire_ keys that nothing reads, and none of several "
            "samples may have a fire_design: this version of vLLM takes them in otherwise: %r",
            error,
        )


def _watched(take: Callable[..., Any]) -> Callable[..., Any]:
    """`take`, which takes in a request: before it a look at `params`, wherever among the arguments, behind it
    one at the engine's own copy of them.
    """
    place = list(inspect.signature(take).parameters).index("params") - 1  # behind self

    @functools.wraps(take)
    def look_and_take(self: Any, *args: Any, **kwargs: Any) -> Any:
        params = kwargs["params"] if "params" in kwargs else next(iter(args[place:]), None)
        refusal = _look(self, params)
        if refusal is not None:
            _refuse(refusal)
        request = take(self, *args, **kwargs)
        _tell_apart(self, request)
        return request

    look_and_take.fire_sampling = True  # type: ignore[attr-defined]
    return look_and_take


def _look(processor: Any, params: Any) -> str | None:
    """Why a request is refused, or None: its `fire_` keys are wrong, and no logits processor is there to say
    so, or for a FIRE that is asked for and off.
    """
    extra_args = getattr(params, "extra_args", None)
    if not extra_args:
        return None
    try:
        if _draws_alone(processor):
            return _wrong_in(processor, params)
        keys = [key for key in extra_args if isinstance(key, str) and key.startswith("fire_")]
        if not keys:
            return None
        config = getattr(processor, "vllm_config", None)
        if config is None:
            _warn_once("whether anything reads the fire_ keys of requests is unknown in this version of vLLM")
        elif not _is_named(config.model_config.logits_processors):
            if asked():
                return f"{keys[0]}: got a key of FIRE, which is off in this engine: {_why_off(config)}"
            _warn_once(
                f"FIRE is off, and nothing reads the fire_ keys of requests: set {SWITCH}=1 or {_BY_HAND}"
            )
    except Exception as error:
        _warn_once(f"whether anything reads the fire_ keys of requests is unknown: {error!r}")
    return None


def _draws_alone(processor: Any) -> bool:
    """Whether FIRE is the fused sampler alone in the engine of this input processor."""
    config = getattr(processor, "vllm_config", None)
    return config is not None and draws_alone(config)


def _wrong_in(processor: Any, params: Any) -> str | None:
    """What a logits processor would say to a request."""
    from dataclasses import replace

    from fire_sampling.integrations.vllm.admission import check, engine_of

    engine = replace(engine_of(processor.vllm_config), tells_apart=takes_groups(type(processor)))
    try:
        check(params, engine)
    except ValueError as error:
        return str(error)
    return None


def _tell_apart(processor: Any, request: Any) -> None:
    """Notes in a request of several samples, taken in by an engine with FIRE, which group they are."""
    params = getattr(request, "sampling_params", None)
    if getattr(params, "n", 1) == 1:
        return
    try:
        model = processor.vllm_config.model_config
        if _is_named(model.logits_processors) or _draws_alone(processor):
            from fire_sampling.integrations.vllm.groups import tell_apart

            tell_apart(params, request.request_id, int(model.seed or 0))
    except Exception as error:
        reason = f"the samples of a request cannot be told apart in this version of vLLM: {error!r}"
        if _DESIGN in (getattr(params, "extra_args", None) or ()):
            _refuse(f"{_DESIGN}: {reason}")
        _warn_once(reason)


def _refuse(message: str) -> None:
    """Raises what vLLM answers with status 400."""
    try:
        from vllm.exceptions import VLLMValidationError
    except ImportError:
        raise ValueError(message) from None
    raise VLLMValidationError(message)


@functools.cache
def _warn_once(what: str) -> None:
    logger.warning("fire_sampling: %s", what)
