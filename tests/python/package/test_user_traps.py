"""What a first user stumbled over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tiny_models
import torch

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate, from_generation_config, install

STATUS_HEADER = Path(__file__).resolve().parents[3] / "csrc/include/fire/status.h"


def test_an_empty_batch_gives_empty_results() -> None:
    logits, token = torch.randn(0, 7), torch.empty(0, dtype=torch.long)
    config = fire.SamplingConfig(seed=1)
    assert fire.sample(logits, 0, config).shape == (0,)
    assert fire.log_prob(logits, token, 0, config).shape == (0,)
    meta = [tensor.to("meta") for tensor in (logits, token, fire.pack(config, 0))]
    assert torch.ops.fire.sample(*meta).shape == (0,)


@pytest.mark.parametrize("many", [False, True])
def test_functions_that_draw_nothing_leave_the_generator_alone(many: bool) -> None:
    logits = torch.randn(2, 7)
    config = [fire.SamplingConfig(), fire.SamplingConfig()] if many else fire.SamplingConfig()
    before = torch.get_rng_state()
    fire.log_prob(logits, torch.zeros(2, dtype=torch.long), 0, config)
    fire.process_logits(logits, 0, config)
    assert torch.equal(torch.get_rng_state(), before)
    fire.sample(logits, 0, config)
    assert not torch.equal(torch.get_rng_state(), before)


def test_status_names_the_bits_of_the_header() -> None:
    header = re.findall(r"kStatus(\w+) = 1 << (\d)", STATUS_HEADER.read_text(encoding="utf-8"))
    assert {name.lower(): 1 << int(bit) for name, bit in header} == {
        member.name.replace("_", "").lower(): member.value for member in fire.Status if member.name
    }


def test_a_dict_is_not_taken_for_a_greedy_generation_config() -> None:
    with pytest.raises(TypeError, match="generation_config is"):
        from_generation_config({"do_sample": True, "top_p": 0.9})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (fire.SamplingConfig(), "SamplingConfig(step 0 is hot: temperature 30, top_k 16)"),
        (
            fire.SamplingConfig(top_k=5, order="vllm"),
            "SamplingConfig(top_k=5, order='vllm'; step 0 is hot: temperature 30, top_k 5)",
        ),
        (
            fire.SamplingConfig(hot_begin=2, hot_steps=3, hot_top_p=0.5, hot_top_k=0),
            "SamplingConfig(hot_top_k=0, hot_top_p=0.5, hot_begin=2, hot_steps=3; steps 2 to 4 are hot: "
            "temperature 30, top_p 0.5)",
        ),
        (fire.SamplingConfig(hot_steps=0), "SamplingConfig(hot_steps=0; no step is hot)"),
        (fire.SamplingConfig(temperature=0), "SamplingConfig(temperature=0.0; no step is hot)"),
    ],
)
def test_a_config_prints_what_was_given_and_the_hot_phase_that_comes_of_it(
    config: fire.SamplingConfig, shown: str
) -> None:
    assert repr(config) == shown


def test_forgetting_do_sample_does_not_put_the_fire_out_silently() -> None:
    model, prompts = tiny_models.llama(), tiny_models.prompts()
    with pytest.warns(UserWarning, match="do_sample=False makes every step greedy"):
        model.generate(
            prompts, max_new_tokens=2, do_sample=False, custom_generate=fire_generate,
            fire_config=fire.SamplingConfig(hot_top_k=16),
        )  # fmt: skip


@pytest.mark.parametrize("wrong", [type(tiny_models.llama()), object()])
def test_install_refuses_what_is_no_model(wrong: object) -> None:
    with pytest.raises(TypeError, match="install: model: got"):
        install(wrong, fire.SamplingConfig())
