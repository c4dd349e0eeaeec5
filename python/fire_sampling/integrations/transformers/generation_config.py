"""The `GenerationConfig` of transformers: what it samples with, and what of it cannot be served."""

from collections.abc import Callable
from typing import Any

from transformers import GenerationConfig

from fire_sampling._messages import came
from fire_sampling.config import SamplingConfig

# What generate uses for a field that neither the model nor the caller sets.
_DEFAULTS = {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "min_p": 0.0}

_ASSISTED = "assisted generation verifies several tokens a step"
_BEAMS = "beam search ranks sequences instead of drawing them"

# What asks generate for another decoding loop: option, when it does, why it cannot be combined.
_OTHER_MODES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("num_beams", lambda value: value > 1, _BEAMS),
    ("num_beam_groups", lambda value: value > 1, _BEAMS),
    ("constraints", bool, _BEAMS),
    ("force_words_ids", bool, _BEAMS),
    ("penalty_alpha", lambda value: value > 0, "contrastive search chooses its tokens by another rule"),
    ("dola_layers", lambda value: True, "DoLa replaces the logits in a loop of its own"),
    ("prompt_lookup_num_tokens", bool, _ASSISTED),
    ("assistant_early_exit", bool, _ASSISTED),
    ("use_mtp", bool, _ASSISTED),
)


def from_generation_config(generation_config: GenerationConfig) -> SamplingConfig:
    """What `generate` would sample with, given its `GenerationConfig`.

    Fields that it leaves None become transformers' own defaults (top_k is 50 there), without `do_sample` the
    config is greedy, and order and ties are those of its warpers. What edits the logits before that, such as
    repetition_penalty, is not read.

    Raises:
        TypeError: It is no `GenerationConfig`; a dict of its fields is not one.
        ValueError: The configuration turns on a decoding mode, or a processor behind the filters, that no
            field expresses: beam or contrastive search, typical_p, a watermark.
    """
    if not hasattr(generation_config, "do_sample"):
        raise TypeError(
            f"generation_config {came(generation_config)}, expected transformers' GenerationConfig"
        )
    for name, on in _options_without_a_field(generation_config):
        if on:
            value = getattr(generation_config, name)
            raise ValueError(f"{name}: got {value!r}, expected it unset: SamplingConfig cannot express it")
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
    for option, asked_for, why in _OTHER_MODES:
        value = getattr(config, option, None)
        if value is not None and asked_for(value):
            raise ValueError(f"fire_generate: {option}={value!r} is not supported: {why}. Leave it out")
    if config.do_sample and config.top_h is not None:
        raise ValueError(
            f"fire_generate: top_h={config.top_h!r} is not supported: it filters between temperature and "
            "top-k, which are one pass here. Leave it out, or pass a TopHLogitsWarper in logits_processor: "
            "it then sees the logits before the temperature"
        )


def _options_without_a_field(generation_config: GenerationConfig) -> tuple[tuple[str, bool], ...]:
    """Options of a `GenerationConfig`, each with whether `generate` of transformers would heed it."""

    def option(name: str, default: Any = None) -> Any:
        value = getattr(generation_config, name, None)
        return default if value is None else value

    sampling = bool(option("do_sample"))
    contrastive = option("penalty_alpha", 0.0) > 0 and option("top_k", _DEFAULTS["top_k"]) > 1
    return (
        ("num_beams", option("num_beams", 1) != 1),
        ("constraints", option("constraints") is not None),
        ("force_words_ids", option("force_words_ids") is not None),
        ("penalty_alpha", not sampling and contrastive),
        ("dola_layers", option("dola_layers") is not None),
        ("top_h", sampling and option("top_h") is not None),
        ("typical_p", sampling and option("typical_p", 1.0) < 1),
        ("epsilon_cutoff", sampling and 0 < option("epsilon_cutoff", 0.0) < 1),
        ("eta_cutoff", sampling and 0 < option("eta_cutoff", 0.0) < 1),
        ("watermarking_config", option("watermarking_config") is not None),
    )
