"""`fire_generate` against the real warpers and the real sampling loop of transformers."""

import math
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401
from transformers import LogitsProcessorList, WatermarkingConfig
from transformers.generation.logits_process import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate

COLD = fire.SamplingConfig(hot_steps=0)
RECORDED: dict[str, Any] = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}

SETTINGS = [
    {"top_k": 0},
    {"temperature": 0.3, "top_k": 0},
    {"top_k": 7},
    {"top_k": 1},
    {"top_k": 1000},
    {"top_k": 0, "top_p": 0.9},
    {"top_k": 0, "top_p": 0.0},
    {"top_k": 0, "min_p": 0.1},
    {"top_k": 0, "min_p": 1.0},
    {"temperature": 0.7, "top_p": 0.95},
    {"temperature": 1.5, "top_k": 20, "top_p": 0.6, "min_p": 0.05},
]


def generate(model: Any, rows: int = 8, **arguments: Any) -> Any:
    arguments = {
        "do_sample": True,
        "max_new_tokens": 6,
        "fire_config": COLD,
        "fire_seed": 11,
        **arguments,
    }
    return model.generate(tiny_models.prompts(rows), custom_generate=fire_generate, **RECORDED, **arguments)


def warped_by_transformers(warpers: list[LogitsProcessor], output: Any) -> list[torch.Tensor]:
    generated = len(output.logits)
    prefix = output.sequences.shape[1] - generated
    return [
        LogitsProcessorList(warpers)(output.sequences[:, : prefix + step], output.logits[step])
        for step in range(generated)
    ]


def warpers_of(settings: dict[str, Any]) -> list[LogitsProcessor]:
    warpers: list[LogitsProcessor] = []
    if settings.get("temperature", 1.0) != 1.0:
        warpers.append(TemperatureLogitsWarper(settings["temperature"]))
    if settings.get("top_k", 50) != 0:
        warpers.append(TopKLogitsWarper(settings.get("top_k", 50)))
    if settings.get("top_p", 1.0) < 1.0:
        warpers.append(TopPLogitsWarper(settings["top_p"]))
    if "min_p" in settings:
        warpers.append(MinPLogitsWarper(settings["min_p"]))
    return warpers


def assert_same_but_for_the_nucleus_edge(
    ours: torch.Tensor, theirs: torch.Tensor, logits: torch.Tensor
) -> None:
    """Rows keep the same tokens, or differ in equal logits only, or by a total variation ≤ 2e-3."""
    both = ours.isfinite() & theirs.isfinite()
    torch.testing.assert_close(ours[both], theirs[both], rtol=1e-6, atol=1e-6)
    variation = (ours.softmax(-1) - theirs.softmax(-1)).abs().sum(-1) / 2
    for row in (ours.isfinite() != theirs.isfinite()).any(-1).nonzero()[:, 0].tolist():
        only_ours = logits[row][ours[row].isfinite() & ~theirs[row].isfinite()].tolist()
        only_theirs = logits[row][theirs[row].isfinite() & ~ours[row].isfinite()].tolist()
        assert sorted(only_ours) == sorted(only_theirs) or variation[row] <= 2e-3


@pytest.mark.parametrize(
    "build",
    [tiny_models.llama, tiny_models.llama_bfloat16, tiny_models.gpt2, tiny_models.t5, tiny_models.bart],
)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_without_hot_steps_every_step_keeps_what_transformers_keeps(
    build: Any, settings: dict[str, Any]
) -> None:
    output = generate(build(), **settings)
    for step, theirs in enumerate(warped_by_transformers(warpers_of(settings), output)):
        assert_same_but_for_the_nucleus_edge(output.scores[step], theirs, output.logits[step])


@pytest.mark.parametrize("settings", [{"top_k": 5}, {"top_k": 20, "top_p": 0.7, "temperature": 0.8}], ids=str)
def test_a_tie_at_the_kth_place_keeps_every_equal_logit_as_transformers_does(
    settings: dict[str, Any],
) -> None:
    table = torch.randint(-3, 4, (96, 96), generator=torch.Generator().manual_seed(0)).float()
    output = generate(tiny_models.bigram(table), **settings)
    kth = torch.stack(output.logits).topk(settings["top_k"] + 1).values
    assert (kth[..., -1] == kth[..., -2]).any()
    for step, theirs in enumerate(warped_by_transformers(warpers_of(settings), output)):
        assert_same_but_for_the_nucleus_edge(output.scores[step], theirs, output.logits[step])


def test_ties_and_order_given_in_fire_config_go_before_those_of_transformers() -> None:
    table = torch.zeros(96, 96)
    exact = generate(
        tiny_models.bigram(table), top_k=5, fire_config=COLD.replace(ties="exact", order="joint")
    )
    assert (torch.stack(exact.scores).isfinite().sum(-1) == 5).all()


TAILS: list[tuple[dict[str, Any], list[LogitsProcessor]]] = [
    ({"typical_p": 0.6}, [TypicalLogitsWarper(0.6)]),
    ({"epsilon_cutoff": 0.02}, [EpsilonLogitsWarper(0.02)]),
    ({"eta_cutoff": 0.02}, [EtaLogitsWarper(0.02)]),
    (
        {"typical_p": 0.9, "epsilon_cutoff": 0.01, "eta_cutoff": 0.01},
        [TypicalLogitsWarper(0.9), EpsilonLogitsWarper(0.01), EtaLogitsWarper(0.01)],
    ),
    (
        {"watermarking_config": WatermarkingConfig(bias=2.5)},
        [WatermarkingConfig(bias=2.5).construct_processor(tiny_models.VOCABULARY, "cpu")],
    ),
]


@pytest.mark.parametrize(("tail", "warpers"), TAILS, ids=[str(list(tail)) for tail, _ in TAILS])
@pytest.mark.parametrize("hot_steps", [0, 3])
def test_warpers_after_min_p_are_applied_and_drawn_from(
    tail: dict[str, Any], warpers: list[LogitsProcessor], hot_steps: int
) -> None:
    settings: dict[str, Any] = {"temperature": 0.8, "top_k": 30, "top_p": 0.95, "min_p": 0.01}
    hot: dict[str, Any] = {"temperature": 10.0, "top_k": 12, "top_p": 0.95, "min_p": 0.01}
    config = fire.SamplingConfig(hot_steps=hot_steps, hot_temperature=10.0, hot_top_k=12, stream=3)
    seeds = list(range(100, 108))
    output = generate(tiny_models.llama(), **settings, **tail, fire_config=config, fire_seed=seeds)
    neutral = fire.pack([fire.SamplingConfig(hot_steps=0, seed=seed, stream=3) for seed in seeds])
    cold_chain = warped_by_transformers(warpers_of(settings) + warpers, output)
    hot_chain = warped_by_transformers(warpers_of(hot) + warpers, output)
    for step, scores in enumerate(output.scores):
        theirs = hot_chain[step] if step < hot_steps else cold_chain[step]
        torch.testing.assert_close(scores, theirs, rtol=1e-5, atol=1e-5)
        tokens = output.sequences[:, 4 + step]
        unfinished = tokens != tiny_models.PAD
        assert torch.equal(fire.sample(scores, step, neutral)[unfinished], tokens[unfinished])


def test_renormalised_scores_change_no_token_and_come_out_as_log_probabilities() -> None:
    plain = generate(tiny_models.llama(), top_p=0.9, temperature=0.7)
    normal = generate(tiny_models.llama(), top_p=0.9, temperature=0.7, renormalize_logits=True)
    assert torch.equal(plain.sequences, normal.sequences)
    for ours, theirs in zip(plain.scores, normal.scores, strict=True):
        torch.testing.assert_close(ours.log_softmax(-1), theirs)


@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.t5])
@pytest.mark.parametrize("watermark", [None, WatermarkingConfig(bias=2.5)], ids=["plain", "watermark"])
def test_do_sample_false_is_greedy_decoding_to_the_last_score(build: Any, watermark: Any) -> None:
    model, prompts = build(), tiny_models.prompts()
    arguments = {
        "do_sample": False,
        "max_new_tokens": 8,
        "repetition_penalty": 1.3,
        "watermarking_config": watermark,
    }
    theirs = model.generate(prompts, **arguments, **RECORDED)
    ours = model.generate(prompts, custom_generate=fire_generate, **arguments, **RECORDED)
    assert torch.equal(ours.sequences, theirs.sequences)
    for name in ("scores", "logits"):
        assert all(map(torch.equal, ours[name], theirs[name]))


@pytest.mark.parametrize("renormalize", [False, True])
def test_the_heat_of_a_greedy_calls_hot_step_does_not_cool_the_watermark(renormalize: bool) -> None:
    watermark = WatermarkingConfig(bias=40.0, greenlist_ratio=0.5)
    config = fire.SamplingConfig(hot_steps=2, hot_temperature=30.0, hot_top_k=12)
    arguments = {"do_sample": False, "watermarking_config": watermark, "renormalize_logits": renormalize}
    endless = {"eos_token_id": [tiny_models.VOCABULARY + 1]}
    output = generate(tiny_models.llama(), 64, **arguments, **endless, fire_config=config)
    bias = watermark.construct_processor(tiny_models.VOCABULARY, "cpu")
    for step, (scores, logits) in enumerate(zip(output.scores, output.logits, strict=True)):
        prefix, drawn = output.sequences[:, : 4 + step], output.sequences[:, 4 + step]
        warped = fire.process_logits(logits, step, config) if step < 2 else logits
        expected = bias(prefix, warped)
        torch.testing.assert_close(scores, expected.log_softmax(-1) if renormalize else expected)
        if step >= 2:
            assert torch.equal(drawn, scores.argmax(-1))
        green = bias(prefix, torch.zeros_like(logits)) > 0
        may_be_green = (green & warped.isfinite()).any(-1)
        assert may_be_green.any()
        if step < 2:  # a kept red token has e^-40 of the weight of a green one
            assert torch.equal(green.gather(1, drawn[:, None])[:, 0], may_be_green)


def two_sample_bound(bins: int, tail: float = 1e-9) -> float:
    """Exceeded with probability ≤ `tail` by a chi-square of bins − 1 degrees (Laurent and Massart 2000)."""
    degrees, nats = bins - 1, -math.log(tail)
    return degrees + 2 * math.sqrt(degrees * nats) + 2 * nats


def assert_same_frequencies(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Chi-square test of homogeneity of two equally long lists of outcomes; rare outcomes share a bin."""
    counts = torch.stack([torch.bincount(outcomes, minlength=10_000) for outcomes in (ours, theirs)]).double()
    assert counts.shape[1] == 10_000
    frequent = counts.sum(0) >= 40
    counts = torch.cat([counts[:, frequent], counts[:, ~frequent].sum(1, keepdim=True)], 1)
    counts = counts[:, counts.sum(0) > 0]
    assert counts.shape[1] >= 10
    statistic = ((counts[0] - counts[1]) ** 2 / counts.sum(0)).sum().item()
    assert statistic <= two_sample_bound(counts.shape[1])


SEQUENCES = 20_000


@pytest.mark.parametrize(
    "settings",
    [
        {"top_k": 0},
        {"temperature": 0.7, "top_k": 12, "top_p": 0.9},
        {"temperature": 1.3, "top_k": 0, "min_p": 0.03},
    ],
    ids=str,
)
def test_token_frequencies_over_20000_sequences_match_do_sample(settings: dict[str, Any]) -> None:
    vocabulary = 100
    table = torch.randn(vocabulary, vocabulary, generator=torch.Generator().manual_seed(7)) * 1.5
    model = tiny_models.bigram(table, pad_token_id=0, eos_token_id=None)
    prompt = torch.full((SEQUENCES, 1), 5)
    arguments = {
        "do_sample": True,
        "max_new_tokens": 3,
        "attention_mask": torch.ones_like(prompt),
        **settings,
    }
    torch.manual_seed(0)
    theirs = model.generate(prompt, **arguments)
    ours = model.generate(prompt, **arguments, custom_generate=fire_generate, fire_config=COLD, fire_seed=0)
    pairs = [(sequences[:, 1:3] * torch.tensor([vocabulary, 1])).sum(1) for sequences in (ours, theirs)]
    for step in (1, 2, 3):
        assert_same_frequencies(ours[:, step], theirs[:, step])
    assert_same_frequencies(*pairs)  # consecutive steps of a sequence, together


def test_hot_token_frequencies_match_do_sample_at_the_hot_settings() -> None:
    model = tiny_models.bigram(eos_token_id=None)
    prompt = torch.full((SEQUENCES, 1), 5)
    arguments = {
        "do_sample": True,
        "max_new_tokens": 1,
        "attention_mask": torch.ones_like(prompt),
        "top_p": 0.9,
    }
    torch.manual_seed(0)
    theirs = model.generate(prompt, **arguments, temperature=4.0, top_k=16)
    config = fire.SamplingConfig(hot_temperature=4.0, hot_top_k=16)
    ours = model.generate(
        prompt, **arguments, temperature=0.7, custom_generate=fire_generate, fire_config=config, fire_seed=1
    )
    assert_same_frequencies(ours[:, 1], theirs[:, 1])
