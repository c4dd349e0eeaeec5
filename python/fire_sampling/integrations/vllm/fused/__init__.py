"""The fused sampler: vLLM's batches from logits to tokens in one operator. See docs/vllm.md.

`install` turns the sampler object of a model runner into a subclass of its own class, which draws by
`fire::sample` or `fire::sample_with_logprobs`. The record of every request lies on the device; temperature,
filters and seed are the request's, the step is counted from the runner's own lengths. So a token is a
function of its logits, the request's settings and its position, and of nothing else in the batch.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

from fire_sampling._native import MAX_VOCABULARY
from fire_sampling_vllm.switch import PROCESSOR, logger

_SAMPLERS = {
    "vllm.v1.sample.sampler": f"{__package__}.v1",
    "vllm.v1.worker.gpu.sample.sampler": f"{__package__}.v2",
}


class UnfitError(RuntimeError):
    """The fused sampler cannot take the place of the runner's; says why."""


def install(model_runner: Any) -> None:
    """Makes the sampler of a model runner draw by fire_sampling. Does nothing where it does already.

    Call it before the first request; `FIRE_VLLM=1` has the plugin call it in every worker.

    Args:
        model_runner: vLLM's `GPUModelRunner` or a subclass, V1 or V2, its model loaded.

    Raises:
        UnfitError: The runner has no sampler, one that is not vLLM's own or of another form than those known,
            or speculative decoding; the operators are missing, or do not return the table's answers on its
            device. The runner is left as it was.
    """
    sampler = getattr(model_runner, "sampler", None)
    if sampler is None:
        raise UnfitError("the model runner has no sampler (a pooling model, or not the last pipeline stage)")
    kind = type(sampler)
    if getattr(kind, "draws_by_fire", False):
        return
    if kind.__module__ not in _SAMPLERS or kind.__name__ != "Sampler":
        raise UnfitError(f"the sampler is {kind.__module__}.{kind.__name__}, expected vLLM's own Sampler")
    if model_runner.speculative_config is not None:
        raise UnfitError("speculative decoding is on, whose tokens the rejection sampler draws")
    vocabulary = model_runner.model_config.get_vocab_size()
    if vocabulary > MAX_VOCABULARY:
        raise UnfitError(f"the vocabulary has {vocabulary} tokens, expected at most {MAX_VOCABULARY}")
    self_test(str(model_runner.device))
    try:
        version = importlib.import_module(_SAMPLERS[kind.__module__])
    except ImportError as error:
        raise UnfitError(f"this version of vLLM is of another form: {error}") from error
    heats = version.install(model_runner)
    if heats:
        logger.info("fire_sampling: the fused sampler draws the tokens, hot steps too")
    else:
        logger.warning(
            "fire_sampling: the fused sampler draws the tokens, and heats none: the logits processor that "
            "reads requests, %s, is not among the engine's",
            PROCESSOR,
        )


def self_test(device: str) -> None:
    """Raises `UnfitError` unless the operators return the committed table of answers on `device`."""
    from fire_sampling import selftest

    try:
        wrong = selftest.mismatches(
            functools.partial(selftest.draw_with_torch, device=device), selftest.DTYPES
        )
    except Exception as error:
        raise UnfitError(f"the self-test on {device} failed: {error}") from error
    if wrong:
        raise UnfitError(f"the self-test on {device} returned other tokens than the table: {wrong[0]}")


def require_form(owner: type[Any], method: str, *parameters: str) -> None:
    """Raises `UnfitError` unless a method of vLLM's takes these parameters (without self), in this order."""
    function = getattr(owner, method, None)
    name = f"{owner.__module__}.{owner.__name__}.{method}"
    if function is None:
        raise UnfitError(f"this version of vLLM has no {name}")
    found = [name for name in inspect.signature(function).parameters if name != "self"]
    if found != list(parameters):
        raise UnfitError(f"{name} takes ({', '.join(found)}), expected ({', '.join(parameters)})")


def require_attributes(owner: Any, *names: str) -> None:
    """Raises `UnfitError` unless an object of vLLM's has these attributes."""
    for name in names:
        if not hasattr(owner, name):
            raise UnfitError(
                f"{type(owner).__module__}.{type(owner).__name__} has no {name} in this version of vLLM"
            )


def explain_once(reason: str, said: set[str]) -> None:
    """Logs the first time that batches go to vLLM's own sampler for `reason`."""
    if reason not in said:
        said.add(reason)
        logger.warning("fire_sampling: batches go to vLLM's own sampler: %s", reason)
