"""`from_generation_config` against what `generate` makes of the same `GenerationConfig`."""

from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401
from transformers import GenerationConfig, WatermarkingConfig
from transformers.generation.configuration_utils import GenerationMode
from transformers.generation.logits_process import (
    LogitNormalization,
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from fire_sampling import SamplingConfig
from fire_sampling.integrations.transformers import from_generation_config


def generation_config(**fields: Any) -> GenerationConfig:
    return GenerationConfig(**fields)  # type: ignore[no-untyped-call]


def test_a_generation_config_without_do_sample_is_greedy() -> None:
    config = from_generation_config(generation_config(temperature=0.7, top_k=5))
    assert config == SamplingConfig(temperature=0.0, order="hf", ties="keep_top_k")
    assert config.resolve().hot_steps == 0


def test_what_a_generation_config_leaves_unset_is_what_generate_itself_would_use() -> None:
    defaults = GenerationConfig._get_default_generation_params()
    config = from_generation_config(generation_config(do_sample=True))
    assert (config.temperature, config.top_k, config.top_p) == tuple(
        defaults[name] for name in ("temperature", "top_k", "top_p")
    )
    assert config.min_p == 0.0
    assert config.resolve().hot_top_k == 50


def test_the_fields_of_a_generation_config_are_taken_over() -> None:
    source = generation_config(do_sample=True, temperature=0.7, top_k=0, top_p=0.9, min_p=0.02)
    assert from_generation_config(source) == SamplingConfig(
        temperature=0.7, top_k=0, top_p=0.9, min_p=0.02, order="hf", ties="keep_top_k"
    )


SAMPLING: dict[str, Any] = {"do_sample": True}
GREEDY: dict[str, Any] = {"do_sample": False}
ON: list[tuple[str, dict[str, Any]]] = [
    ("typical_p", {**SAMPLING, "typical_p": 0.9}),
    ("epsilon_cutoff", {**SAMPLING, "epsilon_cutoff": 3e-4}),
    ("eta_cutoff", {**SAMPLING, "eta_cutoff": 3e-4}),
    ("top_h", {**SAMPLING, "top_h": 0.4}),
    ("num_beams", {**SAMPLING, "num_beams": 4}),
    ("num_beams", {**GREEDY, "num_beams": 4}),
    ("force_words_ids", {**GREEDY, "force_words_ids": [[5]]}),
    ("constraints", {**GREEDY, "constraints": ["any"]}),
    ("penalty_alpha", {**GREEDY, "penalty_alpha": 0.6}),
    ("penalty_alpha", {**GREEDY, "penalty_alpha": 0.6, "top_k": 4}),
    ("dola_layers", {**SAMPLING, "dola_layers": "high"}),
    ("dola_layers", {**GREEDY, "dola_layers": [0]}),
    ("watermarking_config", {**SAMPLING, "watermarking_config": WatermarkingConfig()}),
    ("watermarking_config", {**GREEDY, "watermarking_config": WatermarkingConfig()}),
]
OFF: list[dict[str, Any]] = [
    {**SAMPLING, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "num_beams": 1},
    {**SAMPLING, "epsilon_cutoff": 1.0},
    {**SAMPLING, "eta_cutoff": 1.0},
    {**SAMPLING, "penalty_alpha": 0.6},
    {**SAMPLING, "penalty_alpha": 0.0},
    {**GREEDY, "penalty_alpha": 0.6, "top_k": 1},
    {**GREEDY, "penalty_alpha": 0.0},
    {**SAMPLING, "renormalize_logits": True},
]
EXPRESSED = (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    MinPLogitsWarper,
    LogitNormalization,
)


def transformers_does_something_else(fields: dict[str, Any]) -> bool:
    """Whether generate has a processor, or a decoding loop, that a `SamplingConfig` has no words for."""
    seen: list[bool] = []

    def look(
        model: Any,
        input_ids: torch.Tensor,
        logits_processor: LogitsProcessorList,
        generation_config: GenerationConfig,
        **_: Any,
    ) -> torch.Tensor:
        mode = generation_config.get_generation_mode()
        other_mode = mode not in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE)
        seen.append(other_mode or not all(isinstance(each, EXPRESSED) for each in logits_processor))
        return input_ids

    tiny_models.bigram().generate(tiny_models.prompts(), custom_generate=look, max_new_tokens=1, **fields)
    return seen == [True]


@pytest.mark.parametrize(("name", "fields"), ON, ids=str)
def test_an_option_without_a_field_is_refused_by_name_rather_than_dropped(
    name: str, fields: dict[str, Any]
) -> None:
    assert transformers_does_something_else(fields)
    with pytest.raises(ValueError, match=f"^{name}: got .*expected it unset"):
        from_generation_config(generation_config(**fields))


# generate of transformers needs more than these to serve them, or has a release that ignores some.
ASSISTED_OR_GROUPED: list[dict[str, Any]] = [
    {"prompt_lookup_num_tokens": 3},
    {"assistant_early_exit": 2},
    {"num_beam_groups": 2},
    {"use_mtp": True},
]


@pytest.mark.parametrize("mode", [SAMPLING, GREEDY], ids=str)
@pytest.mark.parametrize("option", ASSISTED_OR_GROUPED, ids=str)
def test_a_loop_that_verifies_or_ranks_tokens_is_refused_by_name_rather_than_dropped(
    option: dict[str, Any], mode: dict[str, Any]
) -> None:
    config = generation_config(**mode)
    (name,) = option
    setattr(config, name, option[name])
    with pytest.raises(ValueError, match=f"^{name}: got {option[name]}, expected it unset"):
        from_generation_config(config)


@pytest.mark.parametrize("fields", OFF, ids=str)
def test_an_option_that_transformers_itself_ignores_is_not_refused(fields: dict[str, Any]) -> None:
    assert not transformers_does_something_else(fields)
    from_generation_config(generation_config(**fields))


@pytest.mark.parametrize("name", ["typical_p", "epsilon_cutoff", "eta_cutoff", "top_h"])
def test_a_filter_of_sampling_is_not_refused_when_decoding_is_greedy(name: str) -> None:
    assert not transformers_does_something_else({**GREEDY, name: 0.5})
    config = from_generation_config(generation_config(**GREEDY, **{name: 0.5}))
    assert config.temperature == 0.0
