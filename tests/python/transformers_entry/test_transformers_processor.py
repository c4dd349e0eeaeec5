"""`FireLogitsProcessor` in front of the real warpers of transformers."""

from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

import fire_sampling as fire
from fire_sampling.integrations.transformers import FireLogitsProcessor

REGULAR: dict[str, Any] = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.05}
WARPERS: Any = LogitsProcessorList(
    [TemperatureLogitsWarper(0.7), TopKLogitsWarper(20), TopPLogitsWarper(0.9), MinPLogitsWarper(0.05)]
)
CONFIG = fire.SamplingConfig(**REGULAR, hot_top_k=8, seed=4)
RECORDED: dict[str, Any] = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}


def logits(rows: int = 16) -> torch.Tensor:
    return torch.randn(rows, 300, generator=torch.Generator().manual_seed(1)) * 3


def width(tokens: int, rows: int = 16) -> Any:
    return torch.zeros(rows, tokens, dtype=torch.int64)


def test_the_warpers_of_transformers_turn_heated_logits_into_the_hot_distribution() -> None:
    heated = FireLogitsProcessor(CONFIG, prompt_length=5)(width(5), logits())
    ours = WARPERS(width(5), heated)
    exact = fire.process_logits(logits(), 0, CONFIG.replace(ties="keep_top_k"))
    variation = (ours.softmax(-1) - exact.softmax(-1)).abs().sum(-1) / 2
    assert variation.max() <= 2e-3  # their float32 cumulative sum
    assert (heated.isfinite().sum(-1) == 8).all()


def test_a_hot_phase_that_the_warpers_cannot_yield_becomes_the_drawn_token() -> None:
    config = CONFIG.replace(hot_top_k=40)
    heated = FireLogitsProcessor(config, prompt_length=5)(width(5), logits())
    drawn = fire.sample(logits(), 0, config.replace(ties="keep_top_k"))
    assert torch.equal(WARPERS(width(5), heated).argmax(-1), drawn)
    assert (heated.isfinite().sum(-1) == 1).all()


def test_steps_that_are_not_hot_return_the_very_scores() -> None:
    processor = FireLogitsProcessor(CONFIG.replace(hot_begin=1), prompt_length=5)
    for tokens, hot in [(5, False), (6, True), (7, False)]:
        scores = logits()
        assert (processor(width(tokens), scores) is not scores) == hot


def test_the_scores_that_came_are_not_changed() -> None:
    scores = logits()
    FireLogitsProcessor(CONFIG)(width(5), scores)
    assert torch.equal(scores, logits())


def hot_calls(processor: FireLogitsProcessor, shapes: list[tuple[int, int]]) -> list[bool]:
    scores = {rows: logits(rows) for rows, _ in shapes}
    return [processor(width(tokens, rows), scores[rows]) is not scores[rows] for rows, tokens in shapes]


def test_without_the_prompt_length_a_width_that_does_not_follow_starts_anew() -> None:
    processor = FireLogitsProcessor(CONFIG)
    shapes = [(4, 5), (4, 6), (4, 7), (4, 5), (4, 6), (4, 9), (4, 9)]
    assert hot_calls(processor, shapes) == [True, False, False, True, False, True, True]


def test_without_the_prompt_length_another_number_of_rows_starts_anew() -> None:
    assert hot_calls(FireLogitsProcessor(CONFIG), [(4, 5), (4, 6), (3, 7), (3, 8)]) == [
        True,
        False,
        True,
        False,
    ]


def test_the_prompt_length_tells_a_generation_that_only_looks_like_the_continuation_of_the_last() -> None:
    shapes = [(4, 7), (4, 8)]
    assert hot_calls(FireLogitsProcessor(CONFIG), shapes) == [True, False]
    long_prompt = FireLogitsProcessor(CONFIG, prompt_length=8)
    assert hot_calls(long_prompt, [(4, 8), (4, 9), (4, 8)]) == [True, False, True]


def test_a_prompt_of_another_length_than_said_is_refused_rather_than_never_hot() -> None:
    processor = FireLogitsProcessor(CONFIG, prompt_length=5)
    assert hot_calls(processor, [(4, 5), (4, 6), (4, 7)]) == [True, False, False]
    said = r"got shape \[4, 9\], expected width prompt_length=5, .* or \[4, 8\], which continues"
    with pytest.raises(ValueError, match=said):
        processor(width(9, 4), logits(4))
    assert hot_calls(processor, [(4, 8), (4, 5), (4, 6)]) == [False, True, False]


def test_a_first_call_that_is_not_of_the_said_length_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"got shape \[4, 6\], expected width prompt_length=5, which starts a gen"
    ):
        FireLogitsProcessor(CONFIG, prompt_length=5)(width(6, 4), logits(4))


def test_another_number_of_rows_within_a_generation_is_refused_by_its_shape() -> None:
    processor = FireLogitsProcessor(CONFIG.replace(hot_steps=4), prompt_length=5)
    processor(width(5, 4), logits(4))
    with pytest.raises(ValueError, match=r"got shape \[3, 6\], expected .* or \[4, 6\]"):
        processor(width(6, 3), logits(3))
    assert hot_calls(processor, [(3, 5), (3, 6)]) == [True, True]


def test_with_a_seed_of_its_own_a_processor_leaves_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    FireLogitsProcessor(CONFIG.replace(seed=0), prompt_length=5)(width(5), logits())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seedless_config_draws_new_seeds_for_every_generation() -> None:
    one_hot = FireLogitsProcessor(CONFIG.replace(hot_top_k=40, seed=None), prompt_length=5)
    torch.manual_seed(0)
    first, second = (one_hot(width(5), logits()).argmax(-1) for _ in range(2))
    torch.manual_seed(0)
    assert not torch.equal(first, second)
    assert torch.equal(first, one_hot(width(5), logits()).argmax(-1))


@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.t5])
def test_inside_generate_the_first_token_of_every_sequence_is_hot(build: Any) -> None:
    model, inputs = build(), tiny_models.prompts()
    prompt_length = 1 if model.config.is_encoder_decoder else inputs.shape[1]
    for processor in (FireLogitsProcessor(CONFIG), FireLogitsProcessor(CONFIG, prompt_length=prompt_length)):
        for _ in range(2):
            output = model.generate(
                inputs, do_sample=True, max_new_tokens=4, logits_processor=[processor], **REGULAR, **RECORDED
            )
            exact = fire.process_logits(output.logits[0], 0, CONFIG.replace(ties="keep_top_k")).softmax(-1)
            variation = (output.scores[0].softmax(-1) - exact).abs().sum(-1) / 2
            assert variation.max() <= 2e-3
            for step in range(1, len(output.scores)):
                assert torch.equal(output.scores[step], WARPERS(output.sequences, output.logits[step]))


def test_inside_a_greedy_generate_the_hot_token_is_the_drawn_one() -> None:
    config = fire.SamplingConfig(temperature=0.0, hot_steps=1, seed=4)
    model, inputs = tiny_models.llama(), tiny_models.prompts()
    output = model.generate(
        inputs, max_new_tokens=4, logits_processor=[FireLogitsProcessor(config)], **RECORDED
    )
    drawn = fire.sample(output.logits[0], 0, config.replace(ties="keep_top_k"))
    assert torch.equal(output.sequences[:, 4], drawn)
    rest = model.generate(output.sequences[:, :5], max_new_tokens=3)
    assert torch.equal(output.sequences, rest)


def test_a_large_inherited_top_k_warns() -> None:
    with pytest.warns(UserWarning, match="hot_top_k is 500"):
        FireLogitsProcessor(fire.SamplingConfig(top_k=500))


def test_wrong_arguments_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="config: got dict, expected a SamplingConfig"):
        FireLogitsProcessor({"temperature": 1.0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="prompt_length: got -1"):
        FireLogitsProcessor(CONFIG, prompt_length=-1)
    with pytest.raises(ValueError, match=r"input_ids: got shape \[16, 4\], expected width prompt_length=5"):
        FireLogitsProcessor(CONFIG, prompt_length=5)(width(4), logits())
