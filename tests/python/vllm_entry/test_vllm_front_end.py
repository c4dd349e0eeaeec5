"""What the plugin does where vLLM makes an engine, without vLLM: one switch, and nothing silently off."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import fire_sampling_vllm as plugin
from fire_sampling_vllm import front_end
from fire_sampling_vllm.switch import PROCESSOR

ARGUMENTS, REQUESTS = "vllm.engine.arg_utils", "vllm.v1.engine.input_processor"


class InputProcessor:
    """Stands for vLLM's; notes what it takes in."""

    def __init__(self, config: Any) -> None:
        self.vllm_config = config

    def process_inputs(self, request_id: str, prompt: Any, params: Any, tasks: Any, priority: int = 0) -> Any:
        return request_id, params, tasks, priority


Make = Callable[..., Any]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Make:
    """Makes an engine's config where the plugin is, with what its user set; variables are those given."""
    for name in ("FIRE_VLLM", "FIRE_VLLM_DEFAULT"):
        monkeypatch.delenv(name, raising=False)

    class EngineArgs:
        def __init__(self, processors: Any, model: dict[str, Any], engine: dict[str, Any]) -> None:
            self.logits_processors = processors
            self.model, self.engine = model, engine

        def create_model_config(self) -> Any:
            kept = dict(runner_type="generate", return_sampling_mask=False)
            return SimpleNamespace(**{**kept, "logits_processors": self.logits_processors, **self.model})

        def create_engine_config(self, usage: str = "") -> Any:
            kept = dict(speculative_config=None, use_v2_model_runner=False)
            return SimpleNamespace(model_config=self.create_model_config(), **{**kept, **self.engine})

    requests = ModuleType(REQUESTS)
    monkeypatch.setattr(InputProcessor, "process_inputs", InputProcessor.process_inputs)
    requests.InputProcessor = InputProcessor  # type: ignore[attr-defined]
    arguments = ModuleType(ARGUMENTS)
    arguments.EngineArgs = EngineArgs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, ARGUMENTS, arguments)
    monkeypatch.setitem(sys.modules, REQUESTS, requests)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    front_end._warn_once.cache_clear()
    caplog.set_level(logging.INFO, "vllm.fire_sampling")

    def build(
        processors: Any = None, model: dict[str, Any] | None = None, engine: Any = None, **variables: str
    ) -> Any:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        plugin.register()
        plugin.register()
        return EngineArgs(processors, model or {}, engine or {}).create_engine_config(usage="test")

    return build


def ask(config: Any, extra_args: dict[str, Any] | None) -> Any:
    """Sends a request to an engine of that config."""
    params = SimpleNamespace(extra_args=extra_args)
    return InputProcessor(config).process_inputs("id", None, params, ("generate",), priority=3)


@pytest.mark.parametrize("others", [None, ["theirs:Processor"]])
def test_the_switch_alone_names_the_processor_behind_the_others_and_says_so(
    make: Make, caplog: pytest.LogCaptureFixture, others: list[str] | None
) -> None:
    config = make(others, FIRE_VLLM="1")
    assert config.model_config.logits_processors == [*(others or []), PROCESSOR]
    (line,) = caplog.messages
    assert line.startswith("fire_sampling: FIRE is on, by FIRE_VLLM=1: the fire_ keys of requests are read")
    assert line.endswith("those without are not hot")
    assert front_end.takes_groups(InputProcessor)


class Theirs:
    is_fire = True


@pytest.mark.parametrize("named", [[PROCESSOR], [Theirs], [f"{__name__}:Theirs"]])
def test_the_switch_beside_the_processor_or_a_class_made_from_it_does_not_heat_twice(
    make: Make, named: list[Any]
) -> None:
    assert make(named, FIRE_VLLM="1").model_config.logits_processors == named


def test_the_processor_alone_is_said_to_be_on_with_its_default(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    default = '{"fire_temperature": 9}'
    make([PROCESSOR], FIRE_VLLM_DEFAULT=default)
    (line,) = caplog.messages
    assert "FIRE is on, by the logits processor alone" in line
    assert line.endswith(f"FIRE_VLLM_DEFAULT heats those without: {default}")


def test_a_default_that_nothing_reads_is_said(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    assert make(FIRE_VLLM_DEFAULT='{"fire_temperature": 30}').model_config.logits_processors is None
    (line,) = caplog.messages
    assert "FIRE_VLLM_DEFAULT is set, and nothing reads it: set FIRE_VLLM=1 or name" in line


@pytest.mark.parametrize("variables", [{}, {"FIRE_VLLM": "1"}, {"FIRE_VLLM": "0"}])
def test_a_wrong_default_ends_the_engine_whatever_is_on(make: Make, variables: dict[str, str]) -> None:
    with pytest.raises(
        ValueError, match=r"^FIRE_VLLM_DEFAULT: 'hot_temperature': no such key, expected fire_temperature$"
    ):
        make(FIRE_VLLM_DEFAULT='{"hot_temperature": 30}', **variables)


def test_a_variable_with_a_slip_in_its_name_is_said(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    make(FIRE_VLLM="1", FIRE_VLLM_DEFUALT="{}")
    assert (
        "FIRE_VLLM_DEFUALT is set, and nothing reads it: expected FIRE_VLLM or FIRE_VLLM_DEFAULT"
        in (caplog.messages[0])
    )


def test_keys_that_nothing_reads_are_said_at_the_first_request_that_has_some(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    config = make()
    for extra_args in (None, {}, {"theirs": 1}):
        assert ask(config, extra_args)[0] == "id"
    assert caplog.messages == []
    for _ in range(3):
        assert ask(config, {"fire_temperature": 30})[2:] == (("generate",), 3)
    (line,) = caplog.messages
    assert "FIRE is off, and nothing reads the fire_ keys of requests: set FIRE_VLLM=1 or name" in line


def test_an_engine_with_fire_beside_one_without_is_not_warned_of(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    make()
    caplog.clear()
    ask(make([PROCESSOR]), {"fire_temperature": 30})
    assert "nothing reads" not in caplog.text


OFF: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"speculative_config": object()}, "speculative decoding on the V1 runner"),
    ({"return_sampling_mask": True}, {}, "an engine that returns sampling masks"),
    (
        {"return_sampling_mask": True},
        {"use_v2_model_runner": True, "watermark_config": object()},
        "an engine",
    ),
    (
        {"return_sampling_mask": True},
        {"use_v2_model_runner": True, "speculative_config": object()},
        "an engine that returns sampling masks takes no logits processor, and the fused sampler draws "
        "alone on the V2 runner, without speculative decoding and watermarks",
    ),
]


@pytest.mark.parametrize(("model", "engine", "reason"), OFF)
def test_where_the_switch_can_do_nothing_the_engine_starts_says_so_and_refuses_the_keys(
    make: Make, caplog: pytest.LogCaptureFixture, model: dict[str, Any], engine: dict[str, Any], reason: str
) -> None:
    config = make(None, model, engine, FIRE_VLLM="1")
    assert config.model_config.logits_processors is None
    (line,) = caplog.messages
    assert f"FIRE is off, though FIRE_VLLM=1: {reason}" in line
    with pytest.raises(
        ValueError, match=f"^fire_top_k: got a key of FIRE, which is off in this engine: {reason}"
    ):
        ask(config, {"fire_top_k": 4})
    assert ask(config, {"theirs": 4})[0] == "id"


def test_speculative_decoding_on_v2_and_what_a_user_named_stay(make: Make) -> None:
    speculative = {"speculative_config": object()}
    v2 = make(None, {}, {**speculative, "use_v2_model_runner": True}, FIRE_VLLM="1")
    assert v2.model_config.logits_processors == [PROCESSOR]
    assert make([PROCESSOR], {}, speculative).model_config.logits_processors == [PROCESSOR]


def test_a_pooling_model_is_left_alone_without_a_word(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    config = make(None, {"runner_type": "pooling"}, FIRE_VLLM="1")
    assert config.model_config.logits_processors is None
    assert caplog.messages == []


def test_a_vllm_of_another_form_is_left_alone_which_is_said(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, ARGUMENTS, ModuleType(ARGUMENTS))
    make(FIRE_VLLM="1")
    assert "has no EngineArgs.create_engine_config: name the logits processor" in caplog.messages[0]


def test_arguments_imported_after_the_plugin_was_called_follow_the_switch(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("FIRE_VLLM", "1")
    monkeypatch.delitem(sys.modules, ARGUMENTS)
    folder = tmp_path / "vllm" / "engine"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()
    (folder / "arg_utils.py").write_text(
        "class EngineArgs:\n"
        "    def create_model_config(self): pass\n"
        "    def create_engine_config(self): pass\n"
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    plugin.register()
    module = importlib.import_module(ARGUMENTS)
    assert module.EngineArgs.create_engine_config.fire_sampling
