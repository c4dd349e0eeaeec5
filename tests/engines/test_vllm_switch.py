"""FIRE_VLLM=1, the one switch: what it turns on, and what is said where FIRE is off. Engines of their own."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from child import run_child
from engine import PROCESSOR, RUNNER

HOT = {"fire_temperature": 30.0, "fire_top_k": 16}
SEEDED: dict[str, Any] = dict(temperature=0.1, seed=0, max_tokens=2, ignore_eos=True)
REQUESTS: dict[str, dict[str, Any]] = {
    "regular": SEEDED,
    "hot": {**SEEDED, "extra_args": HOT},
    "wrong": {**SEEDED, "extra_args": {"fire_top_p": 3}},
    "field": {**SEEDED, "extra_args": {"hot_temperature": 30.0, "hot_top_k": 16}},
    "greedy": {**SEEDED, "temperature": 0.0, "extra_args": HOT},
}
PROGRAM = """
def tokens(kind):
    try:
        (output,) = llm.generate([{{"prompt_token_ids": [5, 9, 30]}}], SamplingParams(**kind), use_tqdm=False)
    except Exception as error:
        return str(error)
    return list(output.outputs[0].token_ids)

with engine({model!r}, logits_processors={processors!r}) as llm:
    sampler = type(model_runner(llm).sampler).__name__
    result = [sampler, {{name: tokens(kind) for name, kind in {requests!r}.items()}}]
"""


class Engine(NamedTuple):
    sampler: str
    answers: dict[str, Any]  # of `REQUESTS`: tokens, or the message of what was raised
    log: str


@functools.cache
def engine_with(model: Path, named: bool = False, **variables: str) -> Engine:
    """What an engine does with `REQUESTS` where the environment has these variables."""
    processors = [PROCESSOR] if named else None
    program = PROGRAM.format(model=str(model), processors=processors, requests=REQUESTS)
    status, result, log = run_child(program, VLLM_LOGGING_LEVEL="INFO", **variables)
    assert status == 0, log
    return Engine(*result, log)


def test_the_switch_alone_reads_checks_heats_and_draws(tiny_llama: Path) -> None:
    engine = engine_with(tiny_llama, FIRE_VLLM="1")
    assert engine.sampler == "FusedSampler"
    assert engine.answers["hot"] != engine.answers["regular"]
    assert engine.answers["wrong"] == "fire_top_p: got 3.0, expected [0, 1]"
    assert engine.answers["field"] == "'hot_temperature': no such key, expected fire_temperature"
    assert engine.answers["greedy"].startswith(
        "fire_steps: got none with temperature 0, expected 1 for a hot"
    )
    assert "FIRE is on, by FIRE_VLLM=1: the fire_ keys of requests are read and checked" in engine.log
    assert "the fused sampler draws the tokens, hot steps too" in engine.log


def test_the_switch_applies_the_default(tiny_llama: Path) -> None:
    default = '{"fire_temperature": 30, "fire_top_k": 16}'
    engine = engine_with(tiny_llama, FIRE_VLLM="1", FIRE_VLLM_DEFAULT=default)
    by_key = engine_with(tiny_llama, FIRE_VLLM="1").answers
    assert engine.answers == {**by_key, "regular": by_key["hot"]}
    assert f"FIRE_VLLM_DEFAULT heats those without: {default}" in engine.log


# What V2 would say again, and more slowly.
if RUNNER == 1:

    def test_the_switch_beside_the_processor_draws_the_same_tokens(tiny_llama: Path) -> None:
        both, alone = engine_with(tiny_llama, True, FIRE_VLLM="1"), engine_with(tiny_llama, FIRE_VLLM="1")
        assert both[:2] == alone[:2]

    def test_where_nothing_reads_the_keys_and_the_default_the_log_says_so(tiny_llama: Path) -> None:
        engine = engine_with(tiny_llama, FIRE_VLLM_DEFAULT='{"fire_temperature": 30}')
        assert engine.sampler == "Sampler"
        assert engine.answers["hot"] == engine.answers["regular"]
        assert engine.log.count("FIRE_VLLM_DEFAULT is set, and nothing reads it") == 1
        assert engine.log.count("FIRE is off, and nothing reads the fire_ keys of requests") == 1

    def test_the_processor_alone_says_that_it_is_on_and_refuses_the_same(tiny_llama: Path) -> None:
        engine, fused = engine_with(tiny_llama, True), engine_with(tiny_llama, FIRE_VLLM="1")
        assert engine.sampler == "Sampler"
        assert engine.answers["hot"] != engine.answers["regular"]
        refused = ("wrong", "field", "greedy")
        assert [engine.answers[name] for name in refused] == [fused.answers[name] for name in refused]
        assert "FIRE is on, by the logits processor alone" in engine.log

    @pytest.mark.parametrize("switch", ["", "1"])
    def test_a_wrong_default_ends_the_engine_whether_or_not_something_reads_it(
        tiny_llama: Path, switch: str
    ) -> None:
        program = PROGRAM.format(model=str(tiny_llama), processors=None, requests={})
        status, result, log = run_child(
            program, FIRE_VLLM=switch, FIRE_VLLM_DEFAULT='{"hot_temperature": 30}'
        )
        assert status != 0
        assert result is None
        expected = "FIRE_VLLM_DEFAULT: 'hot_temperature': no such key, expected fire_temperature"
        assert log.splitlines()[-1] == f"ValueError: {expected}"
