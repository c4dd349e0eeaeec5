"""The engine's default, and an engine without one, in which FIRE must change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine import engine
from vllm.exceptions import VLLMValidationError
from watched import PROMPT, Watched, watched_engine

# With steps given: where they are not, a greedy request has none anyway.
DEFAULT = '{"fire_temperature": 30, "fire_top_k": 6, "fire_steps": 1}'


def test_an_engine_without_a_default_gives_the_tokens_of_one_without_the_processor(tiny_llama: Path) -> None:
    from vllm import SamplingParams

    kinds: list[dict[str, Any]] = [
        {},
        dict(temperature=0.7, top_k=20, top_p=0.9),
        dict(temperature=0.0),
        dict(min_p=0.1, presence_penalty=1.0, repetition_penalty=1.3),
    ]
    params = [
        SamplingParams(max_tokens=8, seed=seed, logprobs=2, **kinds[seed % 4])
        if seed < 32
        else SamplingParams(max_tokens=8, **kinds[seed % 4])
        for seed in range(40)
    ]
    prompts = [{"prompt_token_ids": [*PROMPT, number]} for number in range(len(params))]

    def run(llm: Any) -> list[Any]:
        outputs = llm.generate(prompts, params, use_tqdm=False)
        # Seedless requests too: nobody else may draw from the engine's own random state.
        return [(list(output.outputs[0].token_ids), output.outputs[0].logprobs) for output in outputs]

    with engine(str(tiny_llama), logits_processors=None, seed=7) as llm:
        without = run(llm)
    with engine(str(tiny_llama), seed=7) as llm:
        assert run(llm) == without


@pytest.fixture
def by_default(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FIRE_VLLM_DEFAULT", DEFAULT)
    with watched_engine(str(tiny_llama), logprobs_mode="processed_logprobs", max_logprobs=-1) as watched:
        yield watched


def test_the_default_heats_the_requests_that_say_nothing_and_no_others(by_default: Watched) -> None:
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"top_k": 3, "logprobs": 0}, True),
        ({"temperature": 0.0}, False),
        ({"max_tokens": 1}, False),
        ({"fire": {"fire_steps": 0}}, False),
        ({"temperature": 0.0, "fire": {"fire_steps": 1}}, True),
        ({"max_tokens": 1, "fire": {"fire_steps": 1}}, True),
        ({"n": 2}, True),
    ]
    _, rows = by_default.run([case for case, _ in cases])
    for row in rows:
        assert row.changed == (row.generated == 0 and cases[int(row.tag)][1]), cases[int(row.tag)]
    kept = {int(row.tag): int(row.after.isfinite().sum()) for row in rows if row.generated == 0}
    assert (kept[0], kept[1]) == (6, 3)


def test_a_default_that_cannot_be_served_leaves_the_request_regular(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRE_VLLM_DEFAULT", '{"fire_temperature": 0}')
    with watched_engine(str(tiny_llama), logprobs_mode="processed_logprobs") as watched:
        outputs, rows = watched.run([{"logprobs": 0}, {}])
        assert {row.tag for row in rows if row.changed} == {"1"}
        assert outputs[0].outputs[0].logprobs[0]
        with pytest.raises(VLLMValidationError, match=r"^logprobs: got 0"):
            watched.run([{"logprobs": 0, "fire": {"fire_temperature": 0}}])


def test_beam_search_is_the_same_with_a_default(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.sampling_params import BeamSearchParams

    def beams() -> list[Any]:
        with engine(str(tiny_llama)) as llm:
            outputs = llm.beam_search(
                [{"prompt_token_ids": PROMPT}], BeamSearchParams(beam_width=3, max_tokens=4)
            )
        return [sequence.tokens for sequence in outputs[0].sequences]

    regular = beams()
    monkeypatch.setenv("FIRE_VLLM_DEFAULT", DEFAULT)
    assert beams() == regular


def test_a_wrong_default_stops_the_engine_and_names_the_variable(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRE_VLLM_DEFAULT", '{"fire_temp": 30}')
    with (
        pytest.raises(ValueError, match=r"^FIRE_VLLM_DEFAULT: 'fire_temp': no such key"),
        engine(str(tiny_llama)),
    ):
        pass
