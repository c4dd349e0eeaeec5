"""How the settings on docs/training.md reach the engines of verl and OpenRLHF, by their own code."""

from __future__ import annotations

import abc
import asyncio
import copy
import importlib.metadata
import itertools
import logging
import os
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import packaging.version
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from installed_sources import extracted, file_of
from pages import blocks

from fire_sampling.integrations import sglang
from fire_sampling.integrations.sglang import requests as sglang_requests
from fire_sampling.integrations.vllm import requests as vllm_requests
from fire_sampling_vllm import switch

PAGE = "docs/training.md"


def arguments(command: str) -> list[str]:
    """The words behind the ellipsis."""
    words = shlex.split(command.replace("\\\n", " "))
    return words[words.index("…") + 1 :]


def composed(engine: str) -> Any:
    """verl's configuration with the settings that the page has for an engine, composed as verl does it."""
    (command,) = blocks(PAGE, "sh", containing=f"rollout.name={engine}")
    (home,) = {
        str(file.locate().parent)
        for file in importlib.metadata.files("verl") or ()
        if str(file) == "verl/trainer/config/ppo_trainer.yaml"
    }
    with initialize_config_dir(home, version_base=None):
        return compose("ppo_trainer", overrides=arguments(command))


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_verls_own_files_take_the_settings_on_the_page(engine: str) -> None:
    config = composed(engine)
    assert config.actor_rollout_ref.rollout.name == engine
    assert config.actor_rollout_ref.rollout.calculate_log_probs is True
    assert config.actor_rollout_ref.rollout.logprobs_mode == "processed_logprobs"
    assert config.algorithm.rollout_correction.rollout_is == "token"
    assert config.algorithm.rollout_correction.rollout_is_threshold == 32.0
    assert config.algorithm.rollout_correction.rollout_rs is None
    assert config.algorithm.rollout_correction.bypass_mode is False


def test_verl_names_the_backend_to_sglang() -> None:
    kwargs = instantiate(composed("sglang").actor_rollout_ref.rollout.engine_kwargs, _convert_="partial")
    assert kwargs["sglang"] == {"sampling_backend": sglang.BACKEND}


@pytest.mark.parametrize("variable", ["FIRE_VLLM_DEFAULT", "FIRE_SGLANG_DEFAULT"])
def test_the_defaults_on_the_page_are_ones_that_the_engines_take(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = {
        line
        for block in blocks(PAGE, "sh", containing=variable)
        for line in block.splitlines()
        if line.startswith("export ") and f"{variable}=" in line
    }
    for word in shlex.split(line)[1:]:
        name, _, text = word.partition("=")
        monkeypatch.setenv(name, text)
    keys = {each.HOT_KEYS.variable: each.HOT_KEYS for each in (vllm_requests, sglang_requests)}[variable]
    assert switch.asked() == (variable == switch.DEFAULT)
    settings = keys.default()
    assert settings is not None
    assert (settings.phase.hot_temperature, settings.phase.hot_top_k) == (30.0, 16)


def test_the_flags_of_openrlhf_on_the_page_exist() -> None:
    source = file_of("openrlhf", "openrlhf/cli/train_ppo_ray.py")
    (command,) = blocks(PAGE, "sh", containing="train_ppo_ray")
    flags = [word for word in arguments(command) if word.startswith("--")]
    assert len(flags) >= 4
    for flag in flags:
        assert f'"{flag}"' in source, flag


class Engine:
    """In place of vLLM's engine; remembers what it was made from and asked for."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        self.is_asked_for_fire = switch.asked()
        self.asked: list[Any] = []
        self.answer: dict[str, Any] = {}

    @classmethod
    def from_engine_args(cls, arguments: dict[str, Any]) -> Engine:
        return cls(arguments)

    async def is_sleeping(self) -> bool:
        return False

    async def generate(self, prompt: list[int], params: Any, **_: Any) -> Any:
        self.asked.append(params)
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=[7], finish_reason="stop", logprobs=None)])


@pytest.fixture
def openrlhf_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    """The engine that OpenRLHF's rollout actor made, and asked for a sample, with the page's agent."""
    agents = extracted(
        "openrlhf",
        "openrlhf/utils/agent.py",
        {"AgentExecutorBase", "SingleTurnAgentExecutor"},
        ABC=abc.ABC,
        abstractmethod=abc.abstractmethod,
        asyncio=asyncio,
        cycle=itertools.cycle,
        deepcopy=copy.deepcopy,
        logger=logging.getLogger("openrlhf"),
    )
    modules = {name: ModuleType(name) for name in ("vllm", "openrlhf.utils.agent")}
    vars(modules["vllm"]).update(__version__="0.29.0", AsyncEngineArgs=dict, AsyncLLMEngine=Engine)
    vars(modules["openrlhf.utils.agent"]).update(agents)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    for variable in ("RAY_ADDRESS", "VLLM_ALLOW_INSECURE_SERIALIZATION"):  # the actor sets them
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv(switch.SWITCH, "0")  # the agent sets it
    actor = extracted(
        "openrlhf",
        "openrlhf/trainer/ray/vllm_engine.py",
        {"RolloutRayActor", "_load_agent_executor"},
        os=os,
        ray=SimpleNamespace(remote=lambda made: made),
        ray_noset_visible_devices=lambda: False,
        version=packaging.version,
        vllm=modules["vllm"],
        **agents,
    )["RolloutRayActor"]
    (program,) = blocks(PAGE, "py", containing="SingleTurnAgentExecutor")
    (tmp_path / "reward_func.py").write_text(
        "def reward_func(queries, prompts, labels): return {'rewards': [3.0]}\n"
    )
    agent = tmp_path / "fire_agent.py"
    agent.write_text(program.replace("reward_func.py", str(tmp_path / "reward_func.py")))

    def tokenizer(text: str, **_: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.tensor([[1, 2]])}

    tokenizer.decode = lambda *_, **__: ""  # type: ignore[attr-defined]

    async def sample() -> Engine:
        made = actor.__new__(actor)
        await made.__init__(model="model", num_gpus=1, agent_func_path=str(agent))
        params = SimpleNamespace(max_tokens=8, logprobs=None, temperature=1.0)
        made.llm.answer = await made.executor.execute(
            prompt="",
            label="",
            sampling_params=params,
            max_length=99,
            hf_tokenizer=tokenizer,
            llm_engine=made.llm,
        )
        return made.llm

    return asyncio.run(sample())


def test_the_agent_on_the_page_switches_fire_on_before_openrlhf_makes_its_engine(
    openrlhf_engine: Engine,
) -> None:
    assert openrlhf_engine.is_asked_for_fire
    assert openrlhf_engine.arguments["model"] == "model"


def test_the_agent_on_the_page_asks_for_a_hot_first_token_and_fetches_the_reward(
    openrlhf_engine: Engine,
) -> None:
    (params,) = openrlhf_engine.asked
    settings = vllm_requests.HOT_KEYS.read(params.extra_args)
    assert settings is not None
    assert (settings.phase.hot_temperature, settings.phase.hot_top_k) == (30.0, 16)
    assert openrlhf_engine.answer["reward"] == [3.0]
