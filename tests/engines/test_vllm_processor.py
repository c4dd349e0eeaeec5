"""What vLLM draws from when `FireLogitsProcessor` has prepared the logits, and what it refuses."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from engine import RUNNER
from vllm.exceptions import VLLMValidationError
from watched import Watched, contract, drawn_from, shared_watched_engine, total_variation, watched_engine

import fire_sampling as fire

# vLLM's float32 softmax and cumulative sums against exact ones.
TOLERANCE = 1e-6

HOT = {"fire_temperature": 30.0, "fire_top_k": 6}
WHOLE = {"logprobs": -1}


@pytest.fixture
def raw(tiny_llama: Path) -> Watched:
    return shared_watched_engine(str(tiny_llama))


def test_the_first_token_is_drawn_from_the_hot_distribution_and_the_others_from_the_regular_one(
    processed: Watched,
) -> None:
    cases = [
        dict(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
        for temperature, top_k, top_p, min_p in itertools.product(
            (0.5, 1.0), (0, 6, 20), (0.5, 0.7, 0.9, 1.0), (0.0, 0.2)
        )
    ]
    hot = [{**HOT, "fire_temperature": 2.0 + index % 7} for index in range(len(cases))]
    outputs, rows = processed.run(
        [{**case, **WHOLE, "fire": keys} for case, keys in zip(cases, hot, strict=True)]
    )
    assert len(rows) == 3 * len(cases)
    for row in rows:
        case, keys = cases[int(row.tag)], hot[int(row.tag)]
        config = fire.SamplingConfig(**case, hot_temperature=keys["fire_temperature"], hot_top_k=6)
        theirs = drawn_from(outputs[int(row.tag)].outputs[0].logprobs[row.generated])
        assert total_variation(theirs, contract(row, config)) <= TOLERANCE, (case, row.generated)
        assert row.changed == (row.generated == 0)


def test_a_window_further_on_is_hot_there_and_nowhere_else(processed: Watched) -> None:
    keys = {**HOT, "fire_begin": 2, "fire_steps": 3}
    outputs, rows = processed.run([{**WHOLE, "top_p": 0.9, "max_tokens": 7, "fire": keys}] * 3)
    config = fire.SamplingConfig(top_p=0.9, hot_temperature=30.0, hot_top_k=6, hot_begin=2, hot_steps=3)
    assert [row.generated for row in rows if row.changed] == [2] * 3 + [3] * 3 + [4] * 3
    for row in rows:
        theirs = drawn_from(outputs[int(row.tag)].outputs[0].logprobs[row.generated])
        assert total_variation(theirs, contract(row, config)) <= TOLERANCE


def test_rows_that_are_not_hot_keep_every_bit(processed: Watched) -> None:
    _, rows = processed.run([{"fire": HOT}, {}, {"temperature": 0.0}, {"fire": {"fire_steps": 0}}] * 3)
    assert {row.tag for row in rows if row.changed} == {"0", "4", "8"}
    for row in rows:
        assert row.changed == (int(row.tag) % 4 == 0 and row.generated == 0)


ONE_HOT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (dict(top_p=0.9), dict(fire_top_p=0.5)),
    (dict(min_p=0.1), dict(fire_min_p=0.0)),
    (dict(top_k=4), dict(fire_top_k=12)),
    (dict(top_k=4), dict(fire_top_k=0)),
    ({}, dict(fire_temperature=0)),
    ({}, dict(fire_temperature=float("inf"))),
    (dict(temperature=0.0), dict(fire_steps=1)),
]


@pytest.mark.parametrize(("regular", "keys"), ONE_HOT)
def test_what_no_rescaling_expresses_is_the_contracts_own_draw(
    raw: Watched, regular: dict[str, Any], keys: dict[str, Any]
) -> None:
    seeds = range(8)
    outputs, rows = raw.run([{**regular, "seed": seed, "logprobs": 0, "fire": keys} for seed in seeds])
    hot = {name.replace("fire_", "hot_"): value for name, value in keys.items()}
    if "fire_steps" not in keys:
        hot["hot_steps"] = 1
    for row in rows:
        if row.generated == 0:
            config = fire.SamplingConfig(**regular, **hot, seed=seeds[int(row.tag)], order="vllm")
            token = int(fire.sample(row.before[None], 0, [config])[0])
            assert outputs[int(row.tag)].outputs[0].token_ids[0] == token
            assert torch.isfinite(row.after).sum() == 1
        else:
            assert not row.changed


def test_seedless_draws_differ_between_requests_and_repeat_with_the_engine(tiny_llama: Path) -> None:
    # Equally likely: 64 requests drawing the same of 320 tokens would be a seed shared by all.
    requests = [{"fire": {"fire_temperature": float("inf"), "fire_top_k": 0}}] * 64

    def first_tokens(seed: int) -> list[int]:
        with watched_engine(str(tiny_llama), seed=seed) as watched:
            outputs, _ = watched.run(requests)
            return [output.outputs[0].token_ids[0] for output in outputs]

    tokens = first_tokens(seed=1)
    assert len(set(tokens)) > 32
    assert first_tokens(seed=1) == tokens
    assert first_tokens(seed=2) != tokens


@pytest.mark.parametrize(("regular", "keys"), ONE_HOT)
def test_logprobs_that_would_be_false_are_refused(
    processed: Watched, regular: dict[str, Any], keys: dict[str, Any]
) -> None:
    request = {**regular, "fire": {"fire_steps": 1, **keys}}
    with pytest.raises(
        VLLMValidationError, match=r"^logprobs: got 0 with .* under logprobs_mode=processed_logprobs"
    ):
        processed.run([{**request, "logprobs": 0}])
    processed.run([request])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"fire_temp": 30}, "'fire_temp': no such key, expected one of fire_temperature"),
        ({"fire_temperature": -3}, "fire_temperature: got -3.0, expected"),
        ({"fire_top_k": "16"}, "fire_top_k: got '16', expected an integer"),
    ],
)
def test_a_wrong_request_is_refused_and_the_engine_goes_on(
    raw: Watched, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(VLLMValidationError, match=f"^{message}"):
        raw.run([{"fire": keys}])
    outputs, _ = raw.run([{"fire": HOT}])
    assert len(outputs[0].outputs[0].token_ids) == 3


def test_v1_refuses_windows_after_tokens_and_v2_takes_them(processed: Watched) -> None:
    request = {"fire": {"fire_after": [10]}}
    if RUNNER == 1:
        with pytest.raises(
            VLLMValidationError, match=r"^fire_after: got token ids, .* needs vLLM's V2 runner"
        ):
            processed.run([request])
    else:
        processed.run([request])


def test_the_class_is_of_every_interface_that_vllm_has_and_is_made_once() -> None:
    from vllm.v1.sample.logits_processor import LogitsProcessor
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as LogitsProcessorV2

    from fire_sampling.integrations import vllm as package

    processor = package.FireLogitsProcessor
    assert issubclass(processor, LogitsProcessor)
    assert issubclass(processor, LogitsProcessorV2)
    assert processor is package.FireLogitsProcessor
    assert (
        f"{processor.__module__}:{processor.__qualname__}"
        == "fire_sampling.integrations.vllm:FireLogitsProcessor"
    )
