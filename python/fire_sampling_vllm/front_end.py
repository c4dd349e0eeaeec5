"""Where vLLM makes an engine and takes in its requests: what names FIRE to the engine, and says what is on.

The logits processor reads and checks a request's `fire_` keys, applies the default, and heats where vLLM's
own sampler draws, on either runner. So with FIRE_VLLM=1 it is among an engine's processors as if its user had
named it. An engine without it says so at the first request that carries such keys.
"""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
from types import ModuleType
from typing import Any

from fire_sampling_vllm.switch import DEFAULT, SWITCH, asked, logger

PROCESSOR = "fire_sampling.integrations.vllm:FireLogitsProcessor"
_BY_HAND = f"name the logits processor {PROCESSOR}"
_REQUESTS = "vllm.v1.engine.input_processor"


def follow_arguments(module: ModuleType) -> None:
    """Has the engines that this process makes follow the switch.

    Args:
        module: `vllm.engine.arg_utils`.
    """
    arguments: Any = getattr(module, "EngineArgs", None)
    make_model = getattr(arguments, "create_model_config", None)
    make_engine = getattr(arguments, "create_engine_config", None)
    if make_model is None or make_engine is None:
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
        _follow_engine(config, by_hand=_is_named(self.logits_processors))
        return config

    make_engine_and_say.fire_sampling = True  # type: ignore[attr-defined]
    arguments.create_model_config = make_model_and_name
    arguments.create_engine_config = make_engine_and_say


def _name_processor(model_config: Any) -> None:
    """Puts the logits processor behind those of an engine, unless vLLM would refuse to start with it."""
    takes = model_config.runner_type == "generate" and not getattr(
        model_config, "return_sampling_mask", False
    )
    if takes and not _is_named(model_config.logits_processors):
        model_config.logits_processors = [*(model_config.logits_processors or ()), PROCESSOR]


def _follow_engine(config: Any, by_hand: bool) -> None:
    """Says what is on of FIRE in an engine, and where none is, has its requests watched for `fire_` keys.

    Args:
        config: vLLM's `VllmConfig`.
        by_hand: whether the user named the logits processor.

    Raises:
        ValueError: FIRE_VLLM_DEFAULT holds something wrong.
    """
    model = config.model_config
    if model.runner_type != "generate":
        return
    default = os.environ.get(DEFAULT, "").strip()
    if default:
        _check_default()
    on_v1 = not getattr(config, "use_v2_model_runner", False)
    if config.speculative_config is not None and on_v1 and not by_hand:
        # V1 would end the engine. Which runner it is cannot be known where the processor is named.
        others = [each for each in model.logits_processors or () if each != PROCESSOR]
        model.logits_processors = others or None
    _warn_of_unknown_variables()
    if _is_named(model.logits_processors):
        logger.info(
            "fire_sampling: FIRE is on, by %s: the fire_ keys of requests are read and checked, %s",
            f"{SWITCH}=1" if asked() else "the logits processor alone",
            f"and {DEFAULT} heats those without: {default}" if default else "those without are not hot",
        )
        return
    if asked():
        logger.warning("fire_sampling: FIRE is off, though %s=1: %s", SWITCH, _why_off(config))
    elif default:
        logger.warning(
            "fire_sampling: %s is set, and nothing reads it: set %s=1 or %s", DEFAULT, SWITCH, _BY_HAND
        )
    _watch_requests()


def _warn_of_unknown_variables() -> None:
    known = (SWITCH, DEFAULT)
    for name in sorted(os.environ):
        if name.startswith(SWITCH) and name not in known:
            logger.warning(
                "fire_sampling: %s is set, and nothing reads it: expected %s", name, " or ".join(known)
            )


def _why_off(config: Any) -> str:
    if config.speculative_config is not None:
        return "speculative decoding on the V1 runner takes no logits processor"
    return "an engine that returns sampling masks takes no logits processor"


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


def _watch_requests() -> None:
    """Has every request that carries `fire_` keys to an engine without FIRE refused, or warned of once."""
    try:
        processor: Any = importlib.import_module(_REQUESTS).InputProcessor
        take = processor.process_inputs
    except (ImportError, AttributeError):  # of another form: there the line at the start must do
        return
    if hasattr(take, "fire_sampling"):
        return

    @functools.wraps(take)
    def look_and_take(self: Any, request_id: Any, prompt: Any, params: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(params, "extra_args", None):
            _look(self.vllm_config, params.extra_args)
        return take(self, request_id, prompt, params, *args, **kwargs)

    look_and_take.fire_sampling = True  # type: ignore[attr-defined]
    processor.process_inputs = look_and_take


def _look(config: Any, extra_args: dict[str, Any]) -> None:
    keys = [key for key in extra_args if isinstance(key, str) and key.startswith("fire_")]
    if not keys or _is_named(config.model_config.logits_processors):
        return
    if asked():
        _refuse(f"{keys[0]}: got a key of FIRE, which is off in this engine: {_why_off(config)}")
    _warn_once()


def _refuse(message: str) -> None:
    """Raises what vLLM answers with status 400."""
    try:
        from vllm.exceptions import VLLMValidationError
    except ImportError:
        raise ValueError(message) from None
    raise VLLMValidationError(message)


@functools.cache
def _warn_once() -> None:
    logger.warning(
        "fire_sampling: FIRE is off, and nothing reads the fire_ keys of requests: set %s=1 or %s",
        *(SWITCH, _BY_HAND),
    )
