"""`fire_generate` inside the real loop of transformers: what it draws, and what it must leave as it was."""

import copy
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401
from transformers import StoppingCriteria, StoppingCriteriaList, StopStringCriteria
from transformers.generation import utils as generation_utils
from transformers.generation.logits_process import LogitsProcessor
from transformers.generation.streamers import BaseStreamer

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate

CONFIG = fire.SamplingConfig(hot_top_k=16)
RECORDED: dict[str, Any] = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
MODELS = [tiny_models.llama, tiny_models.gpt2, tiny_models.t5, tiny_models.bart, tiny_models.bigram]


def generate(model: Any, inputs: torch.Tensor | None = None, **arguments: Any) -> Any:
    if inputs is None and "inputs_embeds" not in arguments:
        inputs = tiny_models.prompts()
    defaults: dict[str, Any] = {
        "do_sample": True,
        "max_new_tokens": 6,
        "top_k": 5,
        "fire_config": CONFIG,
        "fire_seed": 3,
    }
    return model.generate(inputs, custom_generate=fire_generate, **{**defaults, **arguments})


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


class Watcher(StoppingCriteria):
    """Stops nothing; keeps a copy of what it was shown."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        self.shown.append(None if scores is None else [each.clone() for each in scores])
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


@pytest.mark.parametrize("settings", [{}, {"typical_p": 0.8}, {"do_sample": False}], ids=str)
def test_stopping_criteria_see_the_processed_logits_of_every_step_not_the_forced_ones(
    settings: dict[str, Any],
) -> None:
    watcher = Watcher()
    output = generate(
        tiny_models.gpt2(), stopping_criteria=StoppingCriteriaList([watcher]), **settings, **RECORDED
    )
    assert len(watcher.shown) == len(output.scores) == 6
    for step, shown in enumerate(watcher.shown):
        assert len(shown) == step + 1
        assert all(map(torch.equal, shown, output.scores))
    assert (torch.stack(output.scores).isfinite().sum(-1) > 1).any()


def test_without_recorded_scores_stopping_criteria_get_none_as_from_transformers() -> None:
    watcher = Watcher()
    generate(tiny_models.gpt2(), stopping_criteria=StoppingCriteriaList([watcher]))
    assert watcher.shown == [None] * 6


def test_a_stopping_criterion_ends_generation() -> None:
    class AfterThree(StoppingCriteria):
        def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> torch.Tensor:
            return torch.full((input_ids.shape[0],), input_ids.shape[1] >= 4 + 3)

    output = generate(
        tiny_models.llama(), stopping_criteria=StoppingCriteriaList([AfterThree()]), max_new_tokens=20
    )
    assert output.shape[1] == 4 + 3


def test_stop_strings_fail_in_generate_and_the_criterion_itself_works() -> None:
    model, tokenizer = tiny_models.llama(), tiny_models.tokenizer()
    inputs, endless = tiny_models.prompts(rows=1), {"max_new_tokens": 12, "min_new_tokens": 12}
    free = generate(model, inputs, **endless)[0, 4:].tolist()
    text = str(tokenizer.decode(free))
    with pytest.raises(ValueError, match="tokenizer"):
        generate(model, stop_strings=[text[4:6]], tokenizer=tokenizer)
    criteria = StoppingCriteriaList([StopStringCriteria(tokenizer, [text[4:6]])])
    stopped = generate(model, inputs, **endless, stopping_criteria=criteria)[0, 4:]
    assert tokenizer.decode(stopped) == text[: text.index(text[4:6]) + 2]


class Recorder(BaseStreamer):
    def __init__(self) -> None:
        self.received: list[torch.Tensor] = []
        self.ended = 0

    def put(self, value: torch.Tensor) -> None:
        self.received.append(value)

    def end(self) -> None:
        self.ended += 1


@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.t5])
def test_fire_streamer_receives_what_transformers_would_put_to_a_streamer(build: Any) -> None:
    ours, theirs = Recorder(), Recorder()
    sequences = generate(build(), fire_streamer=ours)
    build().generate(tiny_models.prompts(), do_sample=False, max_new_tokens=6, streamer=theirs)
    assert ours.ended == theirs.ended == 1
    assert torch.equal(ours.received[0], theirs.received[0])
    streamed = torch.cat([ours.received[0], *[tokens[:, None] for tokens in ours.received[1:]]], 1)
    assert torch.equal(streamed, sequences)


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


@pytest.mark.parametrize("build", MODELS)
def test_the_output_has_every_part_that_transformers_returns(build: Any) -> None:
    arguments: dict[str, Any] = {"do_sample": True, "max_new_tokens": 3, "min_new_tokens": 3, **RECORDED}
    if build is not tiny_models.bigram:
        arguments |= {"output_attentions": True, "output_hidden_states": True}
    theirs = build().generate(tiny_models.prompts(), **arguments)
    ours = generate(build(), **arguments)
    assert type(ours) is type(theirs)
    assert list(ours) == list(theirs)
    for name in set(ours) - {"past_key_values"}:
        if isinstance(ours[name], tuple):
            assert len(ours[name]) == len(theirs[name])
    if "past_key_values" in ours:
        assert ours.past_key_values.get_seq_length() == theirs.past_key_values.get_seq_length()


def test_num_return_sequences_draws_each_sequence_by_a_seed_of_its_own() -> None:
    inputs = tiny_models.prompts(rows=2)
    expanded = generate(tiny_models.bigram(), inputs, num_return_sequences=3, fire_seed=[1, 2, 3, 4, 5, 6])
    assert len({tuple(row) for row in expanded.tolist()}) == 6
    repeated = generate(tiny_models.bigram(), inputs.repeat_interleave(3, 0), fire_seed=[1, 2, 3, 4, 5, 6])
    assert torch.equal(expanded, repeated)


@pytest.mark.parametrize("build", ["bigram", "llama"])
def test_given_one_seed_a_sequence_a_batch_of_8_is_8_batches_of_1(build: str) -> None:
    # Llama in float64: what the batch does to its sums is far below the float32 logits that are sampled.
    model = tiny_models.bigram() if build == "bigram" else copy.deepcopy(tiny_models.llama()).double()
    inputs, seeds = tiny_models.prompts(rows=8), [2**63 + 5, -1, 2, 3, 4, 5, 6, 7]
    arguments: dict[str, Any] = {
        "top_p": 0.95,
        "top_k": 40,
        "eos_token_id": [tiny_models.VOCABULARY + 1],
        "max_new_tokens": 12,
    }
    together = generate(model, inputs, fire_seed=seeds, **arguments)
    alone = [generate(model, inputs[row : row + 1], fire_seed=[seeds[row]], **arguments) for row in range(8)]
    assert torch.equal(together, torch.cat(alone))
    reversed_ = generate(model, inputs.flip(0), fire_seed=seeds[::-1], **arguments)
    assert torch.equal(together, reversed_.flip(0))


def test_one_seed_is_spread_over_the_rows_as_pack_spreads_it() -> None:
    records = fire.pack(fire.SamplingConfig(seed=42), rows=4)
    low, high = records[:, 12:14].long().unbind(1)
    seeds = [int(a) % 2**32 + (int(b) % 2**32 << 32) for a, b in zip(low, high, strict=True)]
    inputs = tiny_models.prompts(rows=4)
    spread = generate(tiny_models.bigram(), inputs, fire_seed=42)
    assert torch.equal(spread, generate(tiny_models.bigram(), inputs, fire_seed=seeds))
    in_config = generate(tiny_models.bigram(), inputs, fire_seed=None, fire_config=CONFIG.replace(seed=42))
    assert torch.equal(spread, in_config)
    overridden = generate(tiny_models.bigram(), inputs, fire_seed=42, fire_config=CONFIG.replace(seed=1))
    assert torch.equal(spread, overridden)


def test_fire_first_row_continues_where_another_call_ended() -> None:
    inputs = tiny_models.prompts(rows=5)
    arguments: dict[str, Any] = {"eos_token_id": [tiny_models.VOCABULARY + 1]}
    together = generate(tiny_models.bigram(), inputs, **arguments)
    first = generate(tiny_models.bigram(), inputs[:2], **arguments)
    rest = generate(tiny_models.bigram(), inputs[2:], fire_first_row=2, **arguments)
    assert torch.equal(together, torch.cat([first, rest]))


def test_without_a_seed_manual_seed_reproduces_and_calls_differ() -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        runs.append([generate(tiny_models.bigram(), fire_seed=None) for _ in range(2)])
    assert torch.equal(torch.cat(runs[0]), torch.cat(runs[1]))
    assert not torch.equal(runs[0][0], runs[0][1])


def test_seeds_may_come_as_a_tensor() -> None:
    inputs = tiny_models.prompts(rows=2)
    assert torch.equal(
        generate(tiny_models.bigram(), inputs, fire_seed=torch.tensor([8, 9])),
        generate(tiny_models.bigram(), inputs, fire_seed=[8, 9]),
    )


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


def test_the_loop_is_the_one_of_the_models_type_and_is_told_not_to_sample() -> None:
    model, calls = copy.deepcopy(tiny_models.llama()), []
    own: Any = type(model)

    def loop(self: Any, input_ids: torch.Tensor, **arguments: Any) -> Any:
        calls.append(arguments)
        return own._sample(self, input_ids, **arguments)

    plain = generate(model)
    model.__class__ = type("WithOwnLoop", (own,), {"_sample": loop})
    model._sample = None  # generate looks it up on the type
    assert torch.equal(generate(model), plain)
    assert calls[0]["generation_config"].do_sample is False
    assert calls[0]["synced_gpus"] is False


@pytest.mark.parametrize("managed_by", ["is_fsdp_managed_module", "is_deepspeed_zero3_enabled"])
def test_synced_gpus_is_recomputed_because_generate_drops_it(
    managed_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, synced = copy.deepcopy(tiny_models.llama()), []
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(generation_utils, managed_by, lambda *_: True)
    monkeypatch.setattr(
        type(model), "_sample", lambda self, input_ids, synced_gpus, **_: synced.append(synced_gpus)
    )
    generate(model)
    generate(model, fire_synced_gpus=False)
    monkeypatch.setattr(generation_utils, managed_by, lambda *_: False)
    generate(model)
    generate(model, fire_synced_gpus=True)
    assert synced == [True, False, False, True]


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
