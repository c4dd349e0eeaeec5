"""The `GenerationConfig` of transformers: what it samples with, and what of it cannot be served."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig

from fire_sampling._messages import came
from fire_sampling.config import SamplingConfig

# What generate uses for a field that neither the model nor the caller sets.
_DEFAULTS = {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "min_p": 0.0}

_ASSISTED = "assisted generation verifies several tokens a step"
_BEAMS = "beam search ranks sequences instead of drawing them"
_TOP_H = "it filters between temperature and top-k, which are one pass here"


@dataclass(frozen=True)
class _Option:
    """An option of a `GenerationConfig` for which `SamplingConfig` has no field.

    Attributes:
        name: Its name.
        is_on: Whether a value, not None, asks for something.
        why: Why `fire_generate` cannot serve it; None where it can.
        instead: What to do besides leaving it out.
        when_sampling: Whether only `do_sample` gives it a meaning.
        is_heeded: Whether `generate` of transformers would heed it in this config, which asks for it.
    """

    name: str
    is_on: Callable[[Any], bool]
    why: str | None = None
    instead: str = ""
    when_sampling: bool = False
    is_heeded: Callable[[GenerationConfig], bool] = lambda config: True

    def asked_for(self, config: GenerationConfig) -> bool:
        value = getattr(config, self.name, None)
        return value is not None and self.is_on(value) and (bool(config.do_sample) or not self.when_sampling)


def _is_contrastive(config: GenerationConfig) -> bool:
    top_k = _DEFAULTS["top_k"] if config.top_k is None else config.top_k
    return not config.do_sample and bool(top_k > 1)


_OPTIONS = (
    _Option("num_beams", lambda value: value > 1, _BEAMS),
    _Option("num_beam_groups", lambda value: value > 1, _BEAMS),
    _Option("constraints", bool, _BEAMS),
    _Option("force_words_ids", bool, _BEAMS),
    _Option(
        "penalty_alpha",
        lambda value: value > 0,
        "contrastive search chooses its tokens by another rule",
        is_heeded=_is_contrastive,
    ),
    _Option("dola_layers", lambda value: True, "DoLa replaces the logits in a loop of its own"),
    _Option("prompt_lookup_num_tokens", bool, _ASSISTED),
    _Option("assistant_early_exit", bool, _ASSISTED),
    _Option("use_mtp", bool, _ASSISTED),
    _Option(
        "top_h",
        lambda value: True,
        _TOP_H,
        ", or pass a TopHLogitsWarper in logits_processor: it then sees the logits before the temperature",
        when_sampling=True,
    ),
    # Between the filters and the draw: `fire_generate` runs them.
    _Option("typical_p", lambda value: value < 1, when_sampling=True),
    _Option("epsilon_cutoff", lambda value: 0 < value < 1, when_sampling=True),
    _Option("eta_cutoff", lambda value: 0 < value < 1, when_sampling=True),
    _Option("watermarking_config", lambda value: True),
)


def from_generation_config(generation_config: GenerationConfig) -> SamplingConfig:
    """What `generate` would sample with, given its `GenerationConfig`.

    Fields that it leaves None become transformers' own defaults (top_k is 50 there), without `do_sample` the
    config is greedy, and order and ties are those of its warpers. What edits the logits before that, such as
    repetition_penalty, is not read.

    Raises:
        TypeError: It is no `GenerationConfig`; a dict of its fields is not one.
        ValueError: The configuration turns on a decoding mode, or a processor behind the filters, that no
            field expresses: beam or contrastive search, assisted generation, typical_p, a watermark.
    """
    if not hasattr(generation_config, "do_sample"):
        raise TypeError(
            f"generation_config {came(generation_config)}, expected transformers' GenerationConfig"
        )
    for option in _OPTIONS:
        if option.asked_for(generation_config) and option.is_heeded(generation_config):
            value = getattr(generation_config, option.name)
            raise ValueError(
                f"{option.name}: got {value!r}, expected it unset: SamplingConfig cannot express it"
            )
    if not generation_config.do_sample:
        return SamplingConfig(temperature=0.0, order="hf", ties="keep_top_k")
    given = {name: getattr(generation_config, name, None) for name in _DEFAULTS}
    fields: dict[str, Any] = {
        name: default if given[name] is None else given[name] for name, default in _DEFAULTS.items()
    }
    return SamplingConfig(**fields, order="hf", ties="keep_top_k")


def reject_other_modes(config: GenerationConfig) -> None:
    """Raises a ValueError that names an option of a loop, or a filter, that `fire_generate` cannot take over.

    Also one that generate itself would not heed: who set it expects something of it.
    """
    for option in _OPTIONS:
        if option.why is not None and option.asked_for(config):
            value = getattr(config, option.name)
            raise ValueError(
                f"fire_generate: {option.name}={value!r} is not supported: {option.why}. Leave it "
                f"out{option.instead}"
            )
