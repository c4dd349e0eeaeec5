"""The mistakes of FIRE's port to verl of 2024, each as a test: rollouts must not make them again."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import EOS
from watched import Watched, contract, drawn_from, total_variation, watched_engine

import fire_sampling as fire

HOT = {"fire_temperature": 30.0, "fire_top_k": 6}


def test_hot_parameters_survive_the_engines_configuration(tiny_llama: Path) -> None:
    """A generation config of the engine's own sets the regular phase; it must not reach the hot one."""
    regular = {"temperature": 0.3, "top_k": 40, "top_p": 0.8}
    options = {
        "override_generation_config": regular,
        "logprobs_mode": "processed_logprobs",
        "max_logprobs": -1,
    }
    with watched_engine(str(tiny_llama), **options) as watched:
        defaults = watched.llm.get_default_sampling_params()
        assert (defaults.temperature, defaults.top_k, defaults.top_p) == (0.3, 40, 0.8)
        outputs, rows = watched.run([{**regular, "logprobs": -1, "fire": HOT}])
    config = fire.SamplingConfig(**regular, hot_temperature=30.0, hot_top_k=6)
    for row in rows:
        theirs = drawn_from(outputs[0].outputs[0].logprobs[row.generated])
        assert total_variation(theirs, contract(row, config)) <= 1e-6


@pytest.mark.parametrize("seed", [None, 5])
def test_with_n_above_1_every_first_token_goes_with_its_own_prompt(
    processed: Watched, seed: int | None
) -> None:
    """Each prompt allows tokens of its own, so that a first token with the wrong prompt shows."""
    allowed = [[20 + 10 * number + each for each in range(8)] for number in range(6)]
    requests = [
        {"n": 5, "seed": seed, "allowed_token_ids": each, "logprobs": 0, "fire": HOT} for each in allowed
    ]
    prompts = [[5, 9, 30 + number] for number in range(len(requests))]
    outputs, rows = processed.run(requests, prompts)
    first = defaultdict(list)
    for row in rows:
        assert row.changed == (row.generated == 0)
        if row.generated == 0:
            first[row.tag].append(row)
    for number, output in enumerate(outputs):
        assert output.prompt_token_ids == prompts[number]
        assert len(output.outputs) == len(first[str(number)]) == 5
        hot = contract(first[str(number)][0], fire.SamplingConfig(hot_temperature=30.0, hot_top_k=6))
        for completion in output.outputs:
            token = completion.token_ids[0]
            assert hot[token] > 0
            assert set(completion.token_ids) <= set(allowed[number])
            assert completion.logprobs[0][token].logprob == pytest.approx(float(hot[token].log()), abs=1e-5)
    assert any(len({each.token_ids[0] for each in output.outputs}) > 1 for output in outputs)


def test_eos_as_the_hot_first_token_ends_the_request(processed: Watched) -> None:
    outputs, _ = processed.run([{"logit_bias": {EOS: 100.0}, "max_tokens": 8, "fire": HOT}] * 32)
    ended = [output.outputs[0] for output in outputs if output.outputs[0].token_ids[0] == EOS]
    assert ended
    for completion in ended:
        assert list(completion.token_ids) == [EOS]
        assert completion.finish_reason == "stop"


def test_greedy_requests_are_untouched_by_a_default(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy() -> list[Any]:
        with watched_engine(str(tiny_llama)) as watched:
            outputs, rows = watched.run(
                [{"temperature": 0.0, "max_tokens": 8}] * 3, [[5], [6, 7], [8, 9, 10]]
            )
        assert not any(row.changed for row in rows)
        return [list(output.outputs[0].token_ids) for output in outputs]

    before = greedy()
    monkeypatch.setenv("FIRE_VLLM_DEFAULT", '{"fire_temperature": 30, "fire_top_k": 6, "fire_steps": 1}')
    assert greedy() == before


def test_the_first_token_after_the_prompt_is_the_hot_one_whatever_the_prompts_length(
    processed: Watched,
) -> None:
    prompts = [[3 + i % 300 for i in range(length)] for length in (1, 2, 31, 32, 33, 64, 200)]
    outputs, rows = processed.run([{"max_tokens": 4, "logprobs": -1, "fire": HOT}] * len(prompts), prompts)
    config = fire.SamplingConfig(hot_temperature=30.0, hot_top_k=6)
    for row in rows:
        theirs = drawn_from(outputs[int(row.tag)].outputs[0].logprobs[row.generated])
        assert total_variation(theirs, contract(row, config)) <= 1e-6
        assert int(theirs.count_nonzero()) == (6 if row.generated == 0 else 320)
