"""Which requests an engine can serve with FIRE: what is refused at admission, and why.

vLLM asks `validate_params` before it admits a request, and hands it nothing but the request. What depends on
the engine, its runner and its `logprobs_mode`, is read off the caller.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import fire_sampling.numpy
from fire_sampling import _native
from fire_sampling.config import ResolvedConfig, SamplingConfig
from fire_sampling.integrations.hot_keys import DESIGN, GROUP_SIZE, MEMBER, refusal_of_greedy
from fire_sampling.integrations.vllm.requests import HOT_KEYS, FireRequest, fire_request
from fire_sampling_vllm.front_end import takes_groups
from fire_sampling_vllm.switch import draws_alone

# How many generated tokens back a window that `fire_after` opens may have begun.
LONGEST_WINDOW_AFTER = 16

_ENOUGH_CALLERS = 8


@dataclass(frozen=True)
class Engine:
    """What the answer depends on.

    Attributes:
        runner: which of vLLM's model runners, 1 or 2.
        logprobs_mode: `raw_logprobs`, `processed_logprobs`, `raw_logits` or `processed_logits`.
        speculative: whether it decodes speculatively.
        vocabulary: the number of token ids.
        tells_apart: whether its front end tells apart the n samples of a request, by which they are a group.
        draws_alone: whether FIRE is the fused sampler alone, as the engine returns sampling masks.
    """

    runner: int
    logprobs_mode: str
    speculative: bool
    vocabulary: int
    tells_apart: bool = False
    draws_alone: bool = False


# Of an engine that cannot be seen, everything that some engine refuses is refused.
STRICTEST = Engine(runner=1, logprobs_mode="processed_logprobs", speculative=True, vocabulary=2**31 - 1)


def engine_of(vllm_config: Any) -> Engine:
    """The engine that vLLM's `VllmConfig` describes."""
    model_config = vllm_config.model_config
    return Engine(
        runner=2 if getattr(vllm_config, "use_v2_model_runner", False) else 1,
        logprobs_mode=str(model_config.logprobs_mode),
        speculative=vllm_config.speculative_config is not None,
        vocabulary=model_config.get_vocab_size(),
        draws_alone=draws_alone(vllm_config),
    )


def calling_engine() -> Engine:
    """The engine whose input processor is among the callers, or the strictest one where none is."""
    frame = sys._getframe(1)
    for _ in range(_ENOUGH_CALLERS):
        owner = frame.f_locals.get("self")
        vllm_config = getattr(owner, "vllm_config", None)
        if vllm_config is not None:
            return replace(engine_of(vllm_config), tells_apart=takes_groups(type(owner)))
        if frame.f_back is None:
            break
        frame = frame.f_back
    return STRICTEST


def check(params: Any, engine: Engine) -> None:
    """What an engine with FIRE asks of a request when it comes.

    Raises:
        ValueError: A `fire_` key is wrong, or the engine cannot draw the request exactly.
    """
    settings = HOT_KEYS.read(params.extra_args)
    if settings is None:
        return
    reason = refusal(params, fire_request(params, settings), engine)
    if reason is not None:
        raise ValueError(reason)


def refusal(params: Any, request: FireRequest, engine: Engine) -> str | None:
    """Why the engine cannot draw the request; None where it can.

    Args:
        params: vLLM's `SamplingParams`, of which the fields are read that no config has.
        request: what was made of them.
        engine: the engine it is for.
    """
    config = request.config.resolve()
    if config.temperature == 0:
        reason = refusal_of_greedy(request.config)
        if reason is not None:
            return reason
    if config.has_design:
        reason = _refusal_of_group(params, config, engine)
        if reason is not None:
            return reason
    window = config.hot_window
    if not window:
        return None
    if request.after:
        reason = _refusal_after(request.after, len(window), engine)
        if reason is not None:
            return reason
    penalised = params.presence_penalty != 0 or params.frequency_penalty != 0
    if engine.runner == 1 and penalised and window.stop > 1:
        return (
            f"fire_begin, fire_steps: got {window.start}, {len(window)} with a presence or frequency "
            "penalty, expected a hot window of step 0 alone, or no such penalty: vLLM's V1 runner penalises "
            "after FIRE"
        )
    if engine.draws_alone:
        return _refusal_of_mask(config)
    wants_logprobs = params.logprobs is not None or getattr(params, "logprob_token_ids", None) is not None
    if (
        wants_logprobs
        and engine.logprobs_mode.startswith("processed")
        and not hands_over(config, engine.vocabulary)
    ):
        return (
            f"logprobs: got {params.logprobs!r} with fire_temperature {config.hot_temperature}, fire_top_k "
            f"{config.hot_top_k}, fire_top_p {config.hot_top_p}, fire_min_p {config.hot_min_p}, {DESIGN} "
            f"{config.design}, expected none: under logprobs_mode={engine.logprobs_mode} a hot token would "
            "read 0. They are true where fire_top_k is at most top_k, fire_top_p and fire_min_p are left at "
            f"top_p and min_p, neither temperature is 0 or infinite, and {DESIGN} is none or iid"
        )
    return None


def hands_over(config: SamplingConfig, vocabulary: int) -> bool:
    """Whether `heat_logits_` leaves a hot row to the engine's own sampler, instead of drawing it.

    docs/semantics.md has the rule.
    """
    record = fire_sampling.numpy.pack([config.replace(seed=0)])[0]
    return _native.hands_over(record, vocabulary)


def _refusal_of_mask(config: ResolvedConfig) -> str | None:
    """The fused sampler's log-probabilities are true for any hot token. Its masks vLLM wants bounded."""
    if config.hot_top_k <= 0:
        return (
            f"fire_top_k: got {config.hot_top_k}, expected 1 or more: vLLM bounds a sampling mask by top-k, "
            "in hot steps too"
        )
    return None


def _refusal_of_group(params: Any, config: ResolvedConfig, engine: Engine) -> str | None:
    if params.n > 1 and not engine.tells_apart:
        return (
            f"n: got {params.n} with {DESIGN} {config.design!r}, expected 1, and {GROUP_SIZE} and {MEMBER} "
            "in each of the requests of a group: nothing tells apart the samples of one request here, as "
            "vLLM takes in requests without the plugin fire_sampling (VLLM_PLUGINS), or otherwise than known"
        )
    if engine.speculative:
        return f"{DESIGN}: got {config.design!r}, expected none under speculative decoding"
    return None


def _refusal_after(after: tuple[int, ...], steps: int, engine: Engine) -> str | None:
    if engine.runner == 1:
        return "fire_after: got token ids, expected none: it needs vLLM's V2 runner"
    if engine.speculative:
        return "fire_after: got token ids, expected none under speculative decoding"
    if after[-1] >= engine.vocabulary:
        return f"fire_after: got token id {after[-1]}, expected ids below {engine.vocabulary}"
    if steps > LONGEST_WINDOW_AFTER:
        return f"fire_steps: got {steps}, expected at most {LONGEST_WINDOW_AFTER} with fire_after"
    return None
