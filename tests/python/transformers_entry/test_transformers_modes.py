"""What `fire_generate` takes over, what it leaves alone, what it refuses, and what it warns of."""

import re
import warnings
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopHLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate, from_generation_config

CONFIG = fire.SamplingConfig(hot_top_k=16)
COLD = fire.SamplingConfig(hot_steps=0)
RECORDED: dict[str, Any] = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}


def generate(model: Any = None, **arguments: Any) -> Any:
    model = model or tiny_models.llama()
    defaults: dict[str, Any] = {"do_sample": True, "max_new_tokens": 3, "fire_config": CONFIG, "fire_seed": 0}
    return model.generate(tiny_models.prompts(), custom_generate=fire_generate, **{**defaults, **arguments})


REGULAR: dict[str, Any] = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.05}


@pytest.mark.parametrize("field", REGULAR)
def test_a_regular_field_that_contradicts_generate_is_refused_by_name(field: str) -> None:
    other = {"temperature": 0.8, "top_k": 21, "top_p": 0.95, "min_p": 0.06}[field]
    with pytest.raises(ValueError, match=rf"{field} is {other} in fire_config, but {REGULAR[field]} in"):
        generate(**REGULAR, fire_config=CONFIG.replace(**{field: other}))


@pytest.mark.parametrize("field", REGULAR)
def test_a_regular_field_that_generate_leaves_off_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is .* in fire_config"):
        generate(top_k=0, fire_config=CONFIG.replace(**{field: REGULAR[field]}))


@pytest.mark.parametrize("field", REGULAR)
def test_a_regular_field_for_a_greedy_call_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is .* in fire_config.*greedy"):
        generate(do_sample=False, fire_config=CONFIG.replace(**{field: REGULAR[field]}))


def test_regular_fields_that_agree_with_generate_are_accepted() -> None:
    assert torch.equal(generate(**REGULAR, fire_config=CONFIG.replace(**REGULAR)), generate(**REGULAR))
    off = {"temperature": 1.0, "top_k": -1, "top_p": 1.0, "min_p": 0.0}
    assert torch.equal(generate(top_k=0, fire_config=CONFIG.replace(**off)), generate(top_k=0))


@pytest.mark.parametrize("do_sample", [True, False])
def test_the_config_read_from_a_generation_config_is_accepted_with_that_generation_config(
    do_sample: bool,
) -> None:
    model = tiny_models.llama()
    settings = REGULAR if do_sample else {}
    generation_config = model.generation_config.from_dict({**model.generation_config.to_dict(), **settings})
    generation_config.do_sample = do_sample
    generate(
        model,
        **settings,
        do_sample=do_sample,
        fire_config=from_generation_config(generation_config),
    )


def test_a_warper_that_the_caller_passed_stays_before_the_draw() -> None:
    # generate appends no temperature here, only its default top-k of 50.
    output = generate(
        logits_processor=LogitsProcessorList([TemperatureLogitsWarper(0.5)]), fire_config=COLD, **RECORDED
    )
    expected = generate(temperature=0.5, fire_config=COLD, **RECORDED)
    assert torch.equal(output.sequences, expected.sequences)
    assert all(map(torch.equal, output.scores, expected.scores))


def test_a_warper_of_the_caller_is_applied_besides_generates_own_of_the_same_type() -> None:
    callers = LogitsProcessorList([TemperatureLogitsWarper(0.5), TopKLogitsWarper(30), TopPLogitsWarper(0.9)])
    output = generate(logits_processor=callers, temperature=0.5, top_k=10, fire_config=COLD, **RECORDED)
    for step, logits in enumerate(output.logits):
        theirs = LogitsProcessorList([*callers, TemperatureLogitsWarper(0.5), TopKLogitsWarper(10)])(
            output.sequences, logits
        )
        assert torch.equal(output.scores[step], theirs)


def test_a_warper_of_the_caller_stays_when_decoding_is_greedy() -> None:
    callers = LogitsProcessorList([TopKLogitsWarper(4)])
    output = generate(do_sample=False, logits_processor=callers, fire_config=None, **RECORDED)
    assert (torch.stack(output.scores).isfinite().sum(-1) == 4).all()


def test_a_top_h_warper_of_the_caller_acts_before_the_temperature() -> None:
    callers = LogitsProcessorList([TopHLogitsWarper(0.5)])
    output = generate(logits_processor=callers, fire_config=COLD, top_k=0, **RECORDED)
    for step, logits in enumerate(output.logits):
        assert torch.equal(output.scores[step], callers(output.sequences, logits))


OTHER_MODES: list[tuple[str, dict[str, Any]]] = [
    ("num_beams", {"num_beams": 2}),
    ("num_beams", {"num_beams": 2, "do_sample": False}),
    ("num_beam", {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0, "do_sample": False}),
    ("force_words_ids", {"force_words_ids": [[5]]}),
    ("constraints", {"constraints": ["any"]}),
    ("penalty_alpha", {"penalty_alpha": 0.6, "do_sample": False}),
    ("penalty_alpha", {"penalty_alpha": 0.6}),
    ("dola_layers", {"dola_layers": "high"}),
    ("dola_layers", {"dola_layers": [0]}),
    ("prompt_lookup_num_tokens", {"prompt_lookup_num_tokens": 3}),
    ("assistant_early_exit", {"assistant_early_exit": 1}),
    ("top_h", {"top_h": 0.4}),
]
if hasattr(tiny_models.bigram().generation_config, "use_mtp"):  # younger than transformers 5.0
    OTHER_MODES.append(("use_mtp", {"use_mtp": True}))


@pytest.mark.parametrize(("option", "arguments"), OTHER_MODES, ids=str)
def test_other_decoding_modes_are_refused_by_the_name_of_their_option(
    option: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=f"fire_generate: {option}.* is not supported: "):
        generate(**arguments)


def test_an_arrangement_of_warpers_that_generate_does_not_make_is_refused() -> None:
    model: Any = tiny_models.llama()

    def rearrange(self: Any, **arguments: Any) -> LogitsProcessorList:
        processors = type(model)._get_logits_processor(self, **arguments)
        return LogitsProcessorList([*processors, TemperatureLogitsWarper(0.5)])

    rearranged: Any = type("Rearranged", (type(model),), {"_get_logits_processor": rearrange})
    with pytest.raises(
        ValueError, match=re.escape("[TopKLogitsWarper], but are [TopKLogitsWarper, Temperature")
    ):
        generate(rearranged(model.config).eval())


@pytest.mark.parametrize("seeds", [[1, 2], [1, 2, 3, 4], []])
def test_a_list_of_seeds_of_another_length_is_refused(seeds: list[int]) -> None:
    with pytest.raises(ValueError, match=f"fire_seed: got {len(seeds)} integers, expected one integer or 3"):
        generate(fire_seed=seeds)


def test_a_first_row_makes_no_sense_with_one_seed_a_sequence() -> None:
    with pytest.raises(ValueError, match="fire_first_row: got 2, expected 0"):
        generate(fire_seed=[1, 2, 3], fire_first_row=2)


def test_a_config_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="fire_config: got dict, expected a SamplingConfig"):
        generate(fire_config={"hot_top_k": 16})


def test_a_typing_error_in_a_fire_argument_is_not_swallowed() -> None:
    with pytest.raises(ValueError, match="fire_sead"):
        generate(fire_sead=1)


def test_a_forced_first_token_warns_and_names_hot_begin() -> None:
    with pytest.warns(UserWarning, match="opens at step 0.*hot_begin"):
        generate(tiny_models.bart(), forced_bos_token_id=tiny_models.BOS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        output = generate(
            tiny_models.bart(),
            forced_bos_token_id=tiny_models.BOS,
            fire_config=CONFIG.replace(hot_begin=1),
            top_k=5,
            **RECORDED,
        )
    assert torch.stack(output.scores).isfinite().sum(-1)[:, 0].tolist() == [1, 16, 5]


def test_an_opener_that_the_model_always_emits_warns_and_names_hot_begin() -> None:
    table = torch.randn(96, 96, generator=torch.Generator().manual_seed(0))
    table[:, 50] += 30.0
    table[50, 50] -= 60.0  # an opener opens once
    with pytest.warns(UserWarning, match="opens at step 0.*<think>.*hot_begin"):
        generate(tiny_models.bigram(table))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generate(tiny_models.bigram(table), fire_config=CONFIG.replace(hot_begin=1))
        generate(tiny_models.bigram(table), fire_config=COLD)


def test_a_few_certain_rows_among_others_warn_with_their_number() -> None:
    table = torch.randn(96, 96, generator=torch.Generator().manual_seed(0))
    table[50, 51] += 30.0
    inputs = torch.tensor([[5], [50], [6], [50], [7]])
    said = r"step 0, where the next token of 2 of 5 sequences is all but certain"
    with pytest.warns(UserWarning, match=said):
        tiny_models.generate(tiny_models.bigram(table), inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny_models.generate(tiny_models.bigram(table), inputs[::2])


@pytest.mark.parametrize(
    ("config", "top_k", "said"),
    [
        (fire.SamplingConfig(), 101, "hot_top_k is 101"),
        (fire.SamplingConfig(hot_top_k=300), 50, "hot_top_k is 300"),
        (fire.SamplingConfig(hot_top_k=0), 50, "hot_top_k is off"),
    ],
)
def test_a_hot_step_among_too_many_tokens_warns(config: fire.SamplingConfig, top_k: int, said: str) -> None:
    with pytest.warns(UserWarning, match=said):
        generate(fire_config=config, top_k=top_k)


@pytest.mark.parametrize(
    ("config", "top_k"),
    [
        (fire.SamplingConfig(), 100),
        (fire.SamplingConfig(), 0),
        (fire.SamplingConfig(hot_top_k=16), 5000),
        (fire.SamplingConfig(hot_steps=0), 5000),
    ],
)
def test_a_usual_call_warns_of_nothing(config: fire.SamplingConfig, top_k: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generate(fire_config=config, top_k=top_k)
