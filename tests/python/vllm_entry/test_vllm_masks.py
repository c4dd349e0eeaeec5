"""An engine that returns sampling masks, without vLLM: FIRE is on, and no logits processor reads requests."""

from __future__ import annotations

import functools
import logging
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from vllm_stand_ins import sampling_params

import fire_sampling_vllm as plugin
from fire_sampling.integrations.vllm import fused
from fire_sampling.integrations.vllm.admission import Engine, engine_of, refusal
from fire_sampling.integrations.vllm.requests import GROUP, HOT_KEYS, fire_request
from fire_sampling_vllm import front_end, workers
from fire_sampling_vllm.switch import draws_alone

REQUESTS = "vllm.v1.engine.input_processor"
HOT = {"fire_temperature": 30.0, "fire_top_k": 16}


def config_of(model: dict[str, Any] | None = None, **engine: Any) -> Any:
    """Stands for the `VllmConfig` of an engine on V2 that returns masks."""
    masked = dict(
        runner_type="generate",
        logits_processors=None,
        return_sampling_mask=True,
        logprobs_mode="processed_logprobs",
        seed=0,
        get_vocab_size=lambda: 320,
    )
    kept = dict(speculative_config=None, use_v2_model_runner=True, watermark_config=None)
    return SimpleNamespace(model_config=SimpleNamespace(**{**masked, **(model or {})}), **{**kept, **engine})


params_of = functools.partial(sampling_params, temperature=0.8, top_k=5, logprobs=0)


@pytest.fixture(autouse=True)
def _asked(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("FIRE_VLLM", "1")
    monkeypatch.delenv("FIRE_VLLM_DEFAULT", raising=False)
    front_end._warn_once.cache_clear()
    caplog.set_level(logging.INFO, "vllm.fire_sampling")


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sends a request to an engine of a config; returns it as the engine sees it."""

    class InputProcessor:
        def __init__(self, config: Any) -> None:
            self.vllm_config = config

        def process_inputs(self, request_id: str, prompt: Any, params: Any) -> Any:
            return SimpleNamespace(request_id=request_id, sampling_params=params)

    requests = ModuleType(REQUESTS)
    requests.InputProcessor = InputProcessor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, REQUESTS, requests)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    plugin.register()
    front_end._watch_requests()
    return lambda config, params: InputProcessor(config).process_inputs("id", None, params)


def test_the_engine_is_said_to_have_fire_and_gets_no_processor(caplog: pytest.LogCaptureFixture) -> None:
    config = config_of()
    front_end._name_processor(config.model_config)
    front_end._follow_engine(config, SimpleNamespace(logits_processors=None))
    assert config.model_config.logits_processors is None
    assert "FIRE is on, by FIRE_VLLM=1: the fire_ keys of requests are read and checked" in caplog.messages[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(extra_args={"fire_top_p": 3}), "fire_top_p: got 3.0, expected [0, 1]"),
        (dict(extra_args={"fire_heat": 3}), "'fire_heat': no such key, expected one of fire_temperature"),
        (dict(extra_args={"hot_top_k": 3}), "'hot_top_k': no such key, expected fire_top_k"),
        (dict(extra_args={GROUP: [1, 2]}), "'fire_group': no such key, expected one of"),
        (dict(extra_args=HOT, temperature=0.0), "fire_steps: got none with temperature 0, expected 1"),
        (dict(extra_args={**HOT, "fire_top_k": -1}), "fire_top_k: got -1, expected 1 or more: vLLM bounds"),
        (dict(extra_args={"fire_after": [320]}), "fire_after: got token id 320, expected ids below 320"),
        (
            dict(extra_args={**HOT, "fire_design": "lattice"}),
            "fire_group_size: got none with fire_design 'lattice' and n 1",
        ),
    ],
)
def test_the_front_end_refuses_what_a_logits_processor_would(
    ask: Any, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        ask(config_of(), params_of(**fields))


def test_what_is_right_is_let_in_and_the_samples_of_a_request_note_their_group(ask: Any) -> None:
    for extra_args in (HOT, {"theirs": 1}, {}, None):
        params = params_of(extra_args=extra_args)
        assert ask(config_of(), params).sampling_params is params
    group = ask(config_of(), params_of(extra_args={**HOT, "fire_design": "lattice"}, n=4, seed=7))
    assert group.sampling_params.extra_args[GROUP] == [7, 4]


def test_without_the_switch_keys_are_not_looked_at_and_said_to_be_read_by_nothing(
    ask: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FIRE_VLLM", "0")
    ask(config_of(), params_of(extra_args={"fire_top_p": 3}))
    (line,) = caplog.messages
    assert "FIRE is off, and nothing reads the fire_ keys of requests" in line


@pytest.mark.parametrize(
    ("config", "alone"),
    [
        (config_of(), True),
        (config_of(dict(return_sampling_mask=False)), False),
        (config_of(use_v2_model_runner=False), False),
        (config_of(speculative_config=object()), False),
        (config_of(watermark_config=object()), False),
        (SimpleNamespace(), False),
    ],
)
def test_the_fused_sampler_is_alone_where_masks_forbid_a_processor_and_nothing_else_draws(
    config: Any, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert draws_alone(config) == alone
    monkeypatch.setenv("FIRE_VLLM", "0")
    assert not draws_alone(config)


def test_log_probabilities_of_any_hot_token_are_true_where_the_operator_draws_alone() -> None:
    # Its hot top-k is above the regular one, which vLLM's own sampler could not be handed.
    params = params_of(extra_args=HOT)
    settings = HOT_KEYS.read(HOT)
    assert settings is not None
    request = fire_request(params, settings)
    alone = engine_of(config_of())
    assert alone == Engine(2, "processed_logprobs", False, 320, draws_alone=True)
    assert refusal(params, request, alone) is None
    beside = refusal(params, request, Engine(2, "processed_logprobs", False, 320))
    assert beside is not None
    assert beside.startswith("logprobs: got 0 with fire_temperature 30.0, fire_top_k 16")


def worker(config: Any, sampler: Any = "theirs") -> Any:
    runner = SimpleNamespace(vllm_config=config, sampler=sampler)
    return SimpleNamespace(worker=SimpleNamespace(model_runner=runner))


@pytest.mark.parametrize("error", [fused.UnfitError("of another form"), ValueError("unforeseen")])
def test_an_engine_ends_where_hot_requests_would_be_drawn_cold(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(model_runner: Any) -> None:
        raise error

    monkeypatch.setattr(fused, "install", fail)
    expected = f"FIRE_VLLM=1 with sampling masks needs the fused sampler.*cannot be installed: {error}"
    with pytest.raises(workers.HeatlessError, match=expected):
        workers._install(worker(config_of()))
    assert caplog.messages == []
    others = [worker(config_of(), sampler=None), worker(config_of(dict(return_sampling_mask=False)))]
    for other in others:
        workers._install(other)
    assert len(caplog.messages) == 2
    assert all("vLLM's own sampler stays" in message for message in caplog.messages)
