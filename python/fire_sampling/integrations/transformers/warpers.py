"""The warpers that `generate` appended, told apart from the caller's, and read as the regular phase.

`GenerationMixin._get_logits_processor` appends its sampling warpers last and in a fixed order, each because
of one field of the generation config. So the config says exactly which of the trailing processors are
generate's: one that the caller passed, of whatever type, lies before them and stays where it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation.logits_process import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    LogitNormalization,
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopHLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from fire_sampling.config import SamplingConfig

_GREEDY: dict[str, float | int] = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
_UNFILTERED: dict[str, float | int] = {**_GREEDY, "temperature": 1.0}

# Warper → the field of the regular phase that it carries, under the same name.
_REPLACED: dict[type[LogitsProcessor], str] = {
    TemperatureLogitsWarper: "temperature",
    TopKLogitsWarper: "top_k",
    TopPLogitsWarper: "top_p",
    MinPLogitsWarper: "min_p",
}


@dataclass(frozen=True)
class Processors:
    """The processors of one call of `generate`, taken apart."""

    # Run before temperature and filters: everything that is not generate's own warper.
    kept: LogitsProcessorList
    # Run between the filters and the draw: typical, watermark and the like.
    tail: LogitsProcessorList
    # temperature, top_k, top_p, min_p of the regular phase.
    regular: dict[str, float | int]


def take_apart(processors: Iterable[LogitsProcessor], generation_config: GenerationConfig) -> Processors:
    """Splits generate's own warpers off the list of processors it built.

    Raises:
        ValueError: the list does not end as generate would have ended it for this config.
    """
    every = list(processors)
    expected = _appended_types(generation_config)
    begin = len(every) - len(expected)
    appended = every[max(begin, 0) :]
    if begin < 0 or not all(map(isinstance, appended, expected)):
        raise ValueError(
            "fire_generate: the logits processors should end with the warpers that generate appends for this "
            f"generation config, {_names(expected)}, but are {_names(map(type, every))}: a model that "
            "arranges its warpers differently is not supported"
        )
    regular = dict(_UNFILTERED if generation_config.do_sample else _GREEDY)
    tail = LogitsProcessorList()
    for kind, warper in zip(expected, appended, strict=True):
        field = _REPLACED.get(kind)
        if field is None:
            tail.append(warper)
        else:
            regular[field] = getattr(warper, field)
    return Processors(LogitsProcessorList(every[:begin]), tail, regular)


def merge(fire_config: SamplingConfig, regular: dict[str, float | int]) -> SamplingConfig:
    """`fire_config` with its regular phase filled from generate's, and the order and ties of transformers.

    Raises:
        ValueError: a regular field is given in `fire_config` and is not what generate was told.
    """
    for field, theirs in regular.items():
        ours = getattr(fire_config, field)
        both_off = field == "top_k" and ours == -1 and theirs == 0
        if ours is not None and ours != theirs and not both_off:
            greedy = " (do_sample=False: greedy)" if regular["temperature"] == 0 else ""
            raise ValueError(
                f"fire_generate: {field} is {ours!r} in fire_config, but {theirs!r} in the call of "
                f"generate{greedy}. Give {field} to generate only: fire_generate takes it over from there"
            )
    return with_transformers_rules(fire_config.replace(**regular))


def with_transformers_rules(config: SamplingConfig) -> SamplingConfig:
    """`config` with the order and ties of transformers' warpers, unless it has its own."""
    return config.replace(order=config.order or "hf", ties=config.ties or "keep_top_k")


def _appended_types(config: GenerationConfig) -> list[type[LogitsProcessor]]:
    """The types that `_get_logits_processor` appends after the caller's, in its order."""
    sampling = (
        (config.temperature is not None and config.temperature != 1.0, TemperatureLogitsWarper),
        (config.top_h is not None, TopHLogitsWarper),
        (config.top_k is not None and config.top_k != 0, TopKLogitsWarper),
        (config.top_p is not None and config.top_p < 1.0, TopPLogitsWarper),
        (config.min_p is not None, MinPLogitsWarper),
        (config.typical_p is not None and config.typical_p < 1.0, TypicalLogitsWarper),
        (config.epsilon_cutoff is not None and 0.0 < config.epsilon_cutoff < 1.0, EpsilonLogitsWarper),
        (config.eta_cutoff is not None and 0.0 < config.eta_cutoff < 1.0, EtaLogitsWarper),
    )
    always = (
        (config.watermarking_config is not None, LogitsProcessor),
        (config.renormalize_logits is True, LogitNormalization),
    )
    appended = (*sampling, *always) if config.do_sample else always
    return [kind for condition, kind in appended if condition]


def _names(types: Iterable[type[Any]]) -> str:
    return "[" + ", ".join(kind.__name__ for kind in types) + "]"
