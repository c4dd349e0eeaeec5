"""A vLLM of another form than known: it goes on, asked for FIRE or not, and the log says what failed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import fire_sampling_vllm as plugin
from fire_sampling_vllm import front_end
from fire_sampling_vllm.switch import PROCESSOR

ARGUMENTS, WORKERS = "vllm.engine.arg_utils", "vllm.v1.worker.worker_base"
REQUESTS = "vllm.v1.engine.input_processor"
GENERATES = dict(runner_type="generate", logits_processors=None)
MASKED = dict(GENERATES, return_sampling_mask=True)  # takes no logits processor


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    for name in ("FIRE_VLLM", "FIRE_VLLM_DEFAULT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    front_end._warn_once.cache_clear()
    caplog.set_level(logging.INFO, "vllm.fire_sampling")
    return caplog


@pytest.fixture(params=["unasked", "asked"])
def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether FIRE_VLLM=1."""
    if request.param == "asked":
        monkeypatch.setenv("FIRE_VLLM", "1")
    return bool(request.param == "asked")


def processor_of(take: Callable[..., Any]) -> Any:
    """A class of input processors that takes in requests so."""

    class InputProcessor:
        process_inputs = take

        def __init__(self, config: Any) -> None:
            self.vllm_config = config

    return InputProcessor


def known(self: Any, request_id: str, prompt: Any, params: Any) -> Any:
    return request_id, params


Make = Callable[..., Any]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes an engine's config, where the plugin is, of a model and an engine with these attributes alone."""

    def build(model: Any, engine: dict[str, Any], processor: Any = None) -> Any:
        class EngineArgs:
            def create_model_config(self) -> Any:
                return None if model is None else SimpleNamespace(**model)

            def create_engine_config(self) -> Any:
                return SimpleNamespace(model_config=self.create_model_config(), **engine)

        arguments, requests = ModuleType(ARGUMENTS), ModuleType(REQUESTS)
        arguments.EngineArgs = EngineArgs  # type: ignore[attr-defined]
        requests.InputProcessor = processor or processor_of(known)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, ARGUMENTS, arguments)
        monkeypatch.setitem(sys.modules, REQUESTS, requests)
        plugin.register()
        return EngineArgs().create_engine_config()

    return build


def test_an_engine_whose_arguments_have_no_logits_processors_starts(make: Make, asked: bool) -> None:
    config = make(GENERATES, {"speculative_config": None})
    assert config.model_config.logits_processors == ([PROCESSOR] if asked else None)


@pytest.mark.parametrize(
    "model",
    [
        None,
        {},
        {"runner_type": "generate"},
        {"logits_processors": None},
        dict(GENERATES, logits_processors=3),
    ],
    ids=["no model", "nothing", "no processors", "no runner", "a number for processors"],
)
def test_a_model_of_another_form_ends_no_engine_and_no_request_and_the_log_says_so(
    make: Make, asked: bool, model: Any, log: pytest.LogCaptureFixture
) -> None:
    config = make(model, {"speculative_config": None})
    failed = [record for record in log.records if record.exc_info]
    assert all(record.levelno == logging.ERROR for record in failed)
    if asked:
        assert "naming the logits processor failed: name the logits processor" in log.text
        assert "what is on of FIRE is unknown" in log.text or "FIRE is off, though FIRE_VLLM=1" in log.text
    elif model != {"logits_processors": None}:  # there nothing has to be known of the runner
        assert "what is on of FIRE is unknown, because looking at the engine failed" in log.text
    log.clear()
    processor = sys.modules[REQUESTS].InputProcessor(config)
    for _ in range(2):
        params = SimpleNamespace(extra_args={"theirs": 1})
        assert processor.process_inputs("id", None, params) == ("id", params)
    assert log.messages == []
    params = SimpleNamespace(extra_args={"fire_top_k": 4})
    if asked and model == {"logits_processors": None}:
        with pytest.raises(
            ValueError, match=r"^fire_top_k: got a key of FIRE, which is off in this engine: the"
        ):
            processor.process_inputs("id", None, params)
        return
    assert processor.process_inputs("id", None, params) == ("id", params)
    (line,) = log.messages
    assert "nothing reads the fire_ keys" in line or "whether anything reads the fire_ keys" in line


def test_an_engine_without_a_speculative_config_starts_and_keeps_its_processor(
    make: Make, asked: bool, log: pytest.LogCaptureFixture
) -> None:
    config = make(GENERATES, {})
    assert config.model_config.logits_processors == ([PROCESSOR] if asked else None)
    assert ("what is on of FIRE is unknown" in log.text) == asked
    params = SimpleNamespace(extra_args={"fire_top_k": 4})
    assert sys.modules[REQUESTS].InputProcessor(config).process_inputs("id", None, params) == ("id", params)


@pytest.mark.parametrize(
    "model", [None, {}, {"runner_type": "generate"}], ids=["no model", "nothing", "other"]
)
def test_a_wrong_default_ends_an_engine_of_another_form_too(
    make: Make, asked: bool, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRE_VLLM_DEFAULT", '{"hot_temperature": 30}')
    with pytest.raises(ValueError, match=r"^FIRE_VLLM_DEFAULT: 'hot_temperature': no such key"):
        make(model, {})


def renamed(self: Any, internal_id: str, parts: Any, params: Any = None) -> Any:
    return internal_id, params


def keywords(self: Any, *, params: Any, request: str) -> Any:
    return request, params


def first(self: Any, params: Any, request: str) -> Any:
    return request, params


@pytest.mark.parametrize(
    ("take", "positional", "named"),
    [
        (renamed, ("id", None), ["params"]),
        (renamed, (), ["params", "internal_id", "parts"]),
        (renamed, ("id", None, "params"), []),
        (keywords, (), ["params", "request"]),
        (first, ("params", "id"), []),
        (first, ("params",), ["request"]),
    ],
)
def test_a_release_that_names_or_orders_a_request_otherwise_takes_it_in_and_its_params_are_seen(
    make: Make, log: pytest.LogCaptureFixture, take: Any, positional: tuple[Any, ...], named: list[str]
) -> None:
    config = make(GENERATES, {"speculative_config": None}, processor_of(take))
    processor = sys.modules[REQUESTS].InputProcessor(config)
    params = SimpleNamespace(extra_args={"fire_top_k": 4})
    values = {"params": params, "internal_id": "id", "request": "id", "parts": None}
    args = [params if each == "params" else each for each in positional]
    assert processor.process_inputs(*args, **{name: values[name] for name in named}) == ("id", params)
    (line,) = log.messages
    assert "FIRE is off, and nothing reads the fire_ keys of requests" in line


def test_a_request_without_its_params_is_the_business_of_vllm(make: Make) -> None:
    config = make(GENERATES, {"speculative_config": None})
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'params'"):
        sys.modules[REQUESTS].InputProcessor(config).process_inputs("id", None)
    config = make(GENERATES, {"speculative_config": None}, processor_of(renamed))
    assert sys.modules[REQUESTS].InputProcessor(config).process_inputs("id", None) == ("id", None)


def other(self: Any, request_id: str, prompt: Any, sampling: Any) -> Any:
    return request_id, sampling


def test_requests_whose_params_are_not_found_are_not_watched_which_is_said(
    make: Make, asked: bool, log: pytest.LogCaptureFixture
) -> None:
    config = make(MASKED, {"speculative_config": None}, processor_of(other))
    record = log.records[-1]
    assert record.getMessage().startswith("fire_sampling: requests are not watched for fire_ keys")
    assert record.levelno == (logging.WARNING if asked else logging.INFO)
    params = SimpleNamespace(extra_args={"fire_top_k": 4})
    assert sys.modules[REQUESTS].InputProcessor(config).process_inputs("id", None, params) == ("id", params)


def test_a_processor_without_the_config_takes_in_requests_and_says_what_is_unknown(
    make: Make, asked: bool, log: pytest.LogCaptureFixture
) -> None:
    config = make(MASKED, {"speculative_config": None})
    processor = sys.modules[REQUESTS].InputProcessor(config)
    del processor.vllm_config
    log.clear()
    for _ in range(2):
        params = SimpleNamespace(extra_args={"fire_top_k": 4})
        assert processor.process_inputs("id", None, params) == ("id", params)
    (line,) = log.messages
    assert "whether anything reads the fire_ keys of requests is unknown in this version of vLLM" in line


def test_what_fails_while_a_module_is_followed_ends_no_import(
    asked: bool, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    def refuse(name: str) -> Any:
        raise RuntimeError(name)

    module = ModuleType(ARGUMENTS)
    module.__getattr__ = refuse  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, ARGUMENTS, module)
    plugin.register()
    assert f"{ARGUMENTS} is left as it is, because following it failed" in log.text


def test_a_maker_of_engines_that_is_no_method_is_left_alone(
    asked: bool, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    class EngineArgs:
        @classmethod
        def create_model_config(cls) -> Any:
            return "model"

        @classmethod
        def create_engine_config(cls) -> Any:
            return cls.create_model_config()

    module = ModuleType(ARGUMENTS)
    module.EngineArgs = EngineArgs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, ARGUMENTS, module)
    plugin.register()
    assert EngineArgs.create_engine_config() == "model"
    assert ("has no EngineArgs.create_engine_config" in log.text) == asked


def test_a_wrapper_without_a_worker_goes_on_which_is_logged(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    class WorkerWrapperBase:
        def initialize_from_config(self, configs: Any) -> Any:
            return configs

    module = ModuleType(WORKERS)
    module.WorkerWrapperBase = WorkerWrapperBase  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, WORKERS, module)
    monkeypatch.setenv("FIRE_VLLM", "1")
    plugin.register()
    assert WorkerWrapperBase().initialize_from_config("configs") == "configs"
    (record,) = log.records
    assert "vLLM's own sampler stays, because installing another failed" in record.getMessage()
    assert record.exc_info is not None
