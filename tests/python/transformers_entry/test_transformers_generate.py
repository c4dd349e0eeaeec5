"""`fire_generate` inside the real loop of transformers: what it draws, at which steps, from which logits."""

import copy
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import CONFIG, RECORDED, generate, one_thread  # noqa: F401
from transformers.generation.logits_process import LogitsProcessor

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate

MODELS = [tiny_models.llama, tiny_models.gpt2, tiny_models.t5, tiny_models.bart, tiny_models.bigram]


def kept(output: Any) -> torch.Tensor:
    """[steps, R]: how many tokens each draw chose from."""
    return torch.stack(output.scores).isfinite().sum(-1)


@pytest.mark.parametrize("build", MODELS)
def test_step_0_is_hot_for_every_row_exactly_once(build: Any) -> None:
    inputs = tiny_models.prompts(rows=6)
    mask = torch.ones_like(inputs)
    mask[::2, :2] = 0
    output = generate(build(), inputs, attention_mask=mask, num_return_sequences=2, **RECORDED)
    assert kept(output).tolist() == [[16] * 12] + [[5] * 12] * (len(output.scores) - 1)


def test_the_hot_window_opens_mid_sequence_at_hot_begin() -> None:
    output = generate(tiny_models.llama(), fire_config=CONFIG.replace(hot_begin=2, hot_steps=2), **RECORDED)
    assert kept(output)[:, 0].tolist() == [5, 5, 16, 16, 5, 5]


@pytest.mark.parametrize("build", MODELS)
@pytest.mark.parametrize("recorded", [{}, RECORDED], ids=["plain", "recorded"])
def test_every_token_is_the_one_that_sample_draws_from_the_raw_logits(
    build: Any, recorded: dict[str, Any]
) -> None:
    settings: dict[str, Any] = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.01}
    model = build()
    output = generate(model, **settings, **RECORDED)
    sequences = output.sequences if recorded else generate(model, **settings)
    records = fire.pack(CONFIG.replace(**settings, order="hf", ties="keep_top_k", seed=3), rows=3)
    generated = sequences[:, -len(output.logits) :]
    for step, logits in enumerate(output.logits):
        unfinished = generated[:, step] != tiny_models.PAD
        assert torch.equal(fire.sample(logits, step, records)[unfinished], generated[:, step][unfinished])
        assert torch.equal(fire.process_logits(logits, step, records), output.scores[step])


class Bias(LogitsProcessor):
    """Favours one token, out of place, as processors should."""

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        favoured = torch.zeros_like(scores)
        favoured[:, 7] = 3.0
        return scores + favoured


@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.t5])
@pytest.mark.parametrize("processors", [[], [Bias()]], ids=["none", "bias"])
def test_output_logits_stay_the_models_own(build: Any, processors: list[LogitsProcessor]) -> None:
    model, prompts = build(), tiny_models.prompts()
    output = generate(model, prompts, logits_processor=processors, typical_p=0.9, **RECORDED)
    generated = output.sequences[:, -6:]
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            logits = model(input_ids=prompts, decoder_input_ids=output.sequences).logits
        else:
            logits = model(input_ids=output.sequences).logits
    for step in range(6):
        unfinished = (generated[:, :step] != tiny_models.EOS).all(1)
        theirs = logits[:, output.sequences.shape[1] - 7 + step]
        torch.testing.assert_close(output.logits[step][unfinished], theirs[unfinished], rtol=1e-4, atol=1e-4)


def test_the_processors_of_the_caller_act_before_the_temperature_and_the_filters() -> None:
    output = generate(tiny_models.llama(), logits_processor=[Bias()], temperature=0.5, **RECORDED)
    records = fire.pack(CONFIG.replace(temperature=0.5, top_k=5, ties="keep_top_k", seed=3), rows=3)
    for step, logits in enumerate(output.logits):
        biased = Bias()(output.sequences, logits)
        assert torch.equal(output.scores[step], fire.process_logits(biased, step, records))


def test_a_processor_may_return_any_float_type_and_memory_layout() -> None:
    class Odd(LogitsProcessor):
        def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
            return scores.double().t().contiguous().t()

    output = generate(tiny_models.llama(), logits_processor=[Odd()], **RECORDED)
    plain = generate(tiny_models.llama(), **RECORDED)
    assert torch.equal(output.sequences, plain.sequences)
    assert all(map(torch.equal, output.scores, plain.scores))


@pytest.mark.parametrize("build", MODELS)
def test_a_row_that_has_emitted_eos_is_padded_and_does_not_disturb_the_others(build: Any) -> None:
    model = build()
    free = generate(model, tiny_models.prompts(rows=8), eos_token_id=[tiny_models.VOCABULARY + 1])
    stop = free[0, -4].item()
    stopped = generate(model, tiny_models.prompts(rows=8), eos_token_id=[stop])
    begin = free.shape[1] - 6
    assert (stopped[0] == tiny_models.PAD).any()
    for ours, theirs in zip(stopped[:, begin:].tolist(), free[:, begin:].tolist(), strict=True):
        length = theirs.index(stop) + 1 if stop in theirs else len(ours)
        assert ours == (theirs[:length] + [tiny_models.PAD] * 6)[: len(ours)]


def test_left_padding_changes_no_token() -> None:
    model = copy.deepcopy(
        tiny_models.llama()
    ).double()  # so that masked positions cannot show in a float32 logit
    inputs = tiny_models.prompts(rows=2)
    padded = torch.cat([torch.full((2, 3), tiny_models.PAD), inputs], 1)
    mask = (torch.arange(7) >= 3).long().expand(2, 7)
    ours = generate(model, padded, attention_mask=mask)
    assert torch.equal(ours[:, 7:], generate(model, inputs, attention_mask=torch.ones_like(inputs))[:, 4:])


def test_inputs_embeds_count_steps_from_the_first_emitted_token() -> None:
    model, inputs = tiny_models.llama(), tiny_models.prompts()
    embeds = model.get_input_embeddings()(inputs)
    output = generate(model, inputs_embeds=embeds, **RECORDED)
    assert kept(output)[:, 0].tolist() == [16, 5, 5, 5, 5, 5]
    assert torch.equal(output.sequences, generate(model, inputs)[:, 4:])


def test_a_decoder_prompt_is_not_counted_as_emitted() -> None:
    decoder_prompt = torch.tensor([[tiny_models.PAD, 9, 10]] * 3)
    output = generate(tiny_models.t5(), decoder_input_ids=decoder_prompt, **RECORDED)
    assert kept(output)[:, 0].tolist()[:2] == [16, 5]


def test_a_greedy_request_stays_greedy_unless_it_asks() -> None:
    model, inputs = tiny_models.llama(), tiny_models.prompts()
    greedy = model.generate(inputs, do_sample=False, max_new_tokens=6)
    arguments: dict[str, Any] = {"do_sample": False, "top_k": None}
    assert torch.equal(generate(model, inputs, fire_config=fire.SamplingConfig(), **arguments), greedy)
    hot = generate(model, inputs, fire_config=CONFIG.replace(hot_steps=1), **arguments, **RECORDED)
    assert kept(hot)[:, 0].tolist() == [16] + [tiny_models.VOCABULARY] * 5
    continued = model.generate(hot.sequences[:, :5], do_sample=False, max_new_tokens=5)
    assert torch.equal(hot.sequences, continued)


def test_fire_config_may_be_left_out_and_is_hot_by_default() -> None:
    output = generate(tiny_models.llama(), fire_config=None, top_k=50, **RECORDED)
    records = fire.pack(fire.SamplingConfig(top_k=50, ties="keep_top_k", seed=3), rows=3)
    assert torch.equal(output.scores[0], fire.process_logits(output.logits[0], 0, records))
    assert kept(output)[0].tolist() == [50] * 3


def test_the_callers_generation_config_is_left_as_it_was() -> None:
    model = tiny_models.llama()
    config = copy.deepcopy(model.generation_config)
    config.update(do_sample=True, top_k=5, max_new_tokens=3)
    before = config.to_dict()
    model.generate(
        tiny_models.prompts(), generation_config=config, custom_generate=fire_generate, fire_config=CONFIG
    )
    assert config.to_dict() == before


def test_min_new_tokens_keeps_eos_out_of_the_hot_tokens() -> None:
    table = torch.zeros(96, 96)
    table[:, tiny_models.EOS] = 9.0
    model = tiny_models.bigram(table)
    output = generate(model, tiny_models.prompts(rows=16), min_new_tokens=1, **RECORDED)
    assert output.scores[0][:, tiny_models.EOS].isneginf().all()
    assert (
        generate(model, tiny_models.prompts(rows=16), **RECORDED)
        .scores[0][:, tiny_models.EOS]
        .isfinite()
        .all()
    )


def test_integrations_are_reached_as_an_attribute_of_the_package() -> None:
    assert fire.integrations.transformers.fire_generate is fire_generate
