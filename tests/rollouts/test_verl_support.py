"""The module of docs/training.md that replays supports in verl, by verl's own code, for optimiser steps."""

from __future__ import annotations

# isort: off
import torchvision_operators  # noqa: F401
# isort: on

import copy
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from installed_sources import extracted, file_of
from pages import blocks
from tiny_models import one_thread  # noqa: F401
from torch import Tensor

import fire_sampling as fire

TEMPERATURE = 0.7
CONFIG = fire.SamplingConfig(temperature=TEMPERATURE, top_k=20, top_p=0.8, hot_top_k=16, seed=3)
PROMPTS = [[5, 9, 11], [7, 3, 40, 41, 8]]  # of several lengths: verl packs without padding
LENGTHS, SAMPLES = (6, 4, 1), 3  # of the completions of each prompt
SETTINGS = {"use_remove_padding": True, "pad_mode": "no_padding", "use_fused_kernels": False}


class Module:
    """A module in the place of a real one: its names are those that the extracted code looks up."""

    def __init__(self, scope: dict[str, Any]) -> None:
        vars(self)["scope"] = scope

    def __getattr__(self, name: str) -> Any:
        return self.scope[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self.scope[name] = value


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """verl's FSDP engine of a language model, with the page's module loaded and nothing distributed."""
    functional = extracted(
        "verl",
        "verl/utils/torch_functional.py",
        {"logprobs_from_logits", "logprobs_from_logits_v2"},
        os=SimpleNamespace(environ={}),
        FLAH_ATTN_CROSS_ENTROPY_LOSS_AVAILABLE=False,
        NPU_CROSS_ENTROPY_LOSS_AVAILABLE=False,
    )

    def settings(data: dict[str, Any], key: str, default: Any) -> Any:
        return data.get(key, default)

    scope = extracted(
        "verl",
        "verl/workers/engine/fsdp/transformer_impl.py",
        {"FSDPEngineWithLMHead", "_scale_logits_by_temperature"},
        FSDPEngine=object,
        EngineRegistry=SimpleNamespace(register=lambda **_: lambda made: made),
        DatasetPadMode=SimpleNamespace(NO_PADDING="no_padding"),
        DTensor=type("DTensor", (), {}),
        logprobs_from_logits=functional["logprobs_from_logits"],
        tu=SimpleNamespace(get_non_tensor_data=settings, get=lambda data, key: data.get(key)),
    )
    names = ("verl", "verl.workers", "verl.workers.engine", "verl.workers.engine.fsdp")
    modules = {name: ModuleType(name) for name in names}
    vars(modules[names[-1]])["transformer_impl"] = Module(scope)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    (program,) = blocks("docs/training.md", "py", containing="FSDPEngineWithLMHead")
    exec(program, {})
    made = scope["FSDPEngineWithLMHead"].__new__(scope["FSDPEngineWithLMHead"])
    vars(made)["_gather_and_unpad_packed"] = lambda tensor, pad_size: tensor
    return made


@pytest.fixture(scope="module")
def policy_loss() -> Any:
    functional = extracted("verl", "verl/utils/torch_functional.py", {"masked_sum", "masked_mean"})
    return extracted(
        "verl",
        "verl/trainer/ppo/core_algos.py",
        {"compute_policy_loss_vanilla", "agg_loss"},
        verl_F=SimpleNamespace(**functional),
        register_policy_loss=lambda _: lambda function: function,
        AlgoConfig=type("AlgoConfig", (), {}),
    )["compute_policy_loss_vanilla"]


class Rollout:
    """Sequences, drawn token by token, with what an engine's answers would carry in their extra fields."""

    def __init__(self, model: Any) -> None:
        self.sequences: list[list[int]] = []
        self.supports: list[Any] = []
        self.behaviour: list[list[float]] = []
        self.lengths: list[int] = []
        for row, (prompt, length) in enumerate(
            (prompt, length) for prompt in PROMPTS for length in LENGTHS[:SAMPLES]
        ):
            tokens, supports, behaviour = list(prompt), [], []
            for step in range(length):
                with torch.no_grad():
                    logits = model(torch.tensor([tokens])).logits[:, -1]
                drawn = fire.sample_with_support(logits, step, CONFIG.replace(seed=row), width=20)
                tokens.append(int(drawn.token))
                supports.append(drawn.support[0].numpy())
                behaviour.append(float(drawn.logprob))
            self.sequences.append(tokens)
            self.supports.append(np.stack(supports))
            self.behaviour.append(behaviour)
            self.lengths.append(length)

    def log_probs(self, engine: Any, model: Any, supports: bool = True) -> Tensor:
        """Float32 [B, T], 0 behind a completion: as verl's engine evaluates it."""
        input_ids = torch.nested.as_nested_tensor(
            [torch.tensor(tokens) for tokens in self.sequences], layout=torch.jagged
        )
        logits = torch.cat([model(torch.tensor([tokens])).logits[0] for tokens in self.sequences])
        packed = input_ids.values()
        batch: dict[str, Any] = {"input_ids": input_ids, **SETTINGS}
        if supports:
            batch["support"] = self.supports
        found = engine.prepare_model_outputs(
            output=SimpleNamespace(logits=logits[None]),
            output_args={
                "input_ids_rmpad_rolled": packed.roll(-1),
                "temperature_rmpad": torch.full((len(packed),), TEMPERATURE),
                "pad_size": 0,
            },
            micro_batch=batch,
            logits_processor_func=None,
        )["log_probs"]
        wide = torch.zeros(len(self.lengths), max(self.lengths))
        rows = [
            torch.cat([each[-1 - length : -1], wide[0, length:]])
            for each, length in zip(found.unbind(), self.lengths, strict=True)
        ]
        return torch.stack(rows)

    def padded(self, values: list[list[float]]) -> Tensor:
        return torch.tensor([each + [0.0] * (max(self.lengths) - len(each)) for each in values])


def test_verls_engine_with_the_module_on_the_page_evaluates_each_token_over_its_own_support(
    engine: Any,
) -> None:
    model = tiny_models.llama()
    rollout = Rollout(model)
    mask = rollout.padded([[1.0] * length for length in rollout.lengths]).bool()
    behaviour = rollout.padded(rollout.behaviour)
    log_probs = rollout.log_probs(engine, model).detach()
    later = mask.clone()
    later[:, 0] = False  # hot: its support is the hot one, its temperature is not
    torch.testing.assert_close(log_probs[later], behaviour[later], rtol=1e-4, atol=1e-4)
    assert (log_probs - behaviour)[:, 0].abs().max() > 0.1
    for tokens, support, length, found in zip(
        rollout.sequences, rollout.supports, rollout.lengths, log_probs, strict=True
    ):
        logits = model(torch.tensor([tokens])).logits[0, -1 - length : -1].detach()
        listed = torch.from_numpy(support).long()
        over = (logits / TEMPERATURE).gather(1, listed.clamp(min=0)).masked_fill(listed < 0, -torch.inf)
        drawn = (logits / TEMPERATURE).gather(1, torch.tensor(tokens[-length:])[:, None])[:, 0]
        torch.testing.assert_close(found[:length], drawn - over.logsumexp(1), rtol=1e-4, atol=1e-4)


def test_without_supports_in_the_batch_verl_evaluates_over_the_whole_softmax_as_ever(engine: Any) -> None:
    model = tiny_models.llama()
    rollout = Rollout(model)
    log_probs = rollout.log_probs(engine, model, supports=False).detach()
    for tokens, length, found in zip(rollout.sequences, rollout.lengths, log_probs, strict=True):
        logits = model(torch.tensor([tokens])).logits[0, -1 - length : -1].detach() / TEMPERATURE
        wanted = logits.log_softmax(-1).gather(1, torch.tensor(tokens[-length:])[:, None])[:, 0]
        torch.testing.assert_close(found[:length], wanted, rtol=1e-4, atol=1e-4)


def test_optimiser_steps_of_verls_loss_over_supports_begin_at_a_ratio_of_1_and_raise_what_is_rewarded(
    engine: Any, policy_loss: Any
) -> None:
    model = copy.deepcopy(tiny_models.llama())
    rollout = Rollout(model)
    mask = rollout.padded([[1.0] * length for length in rollout.lengths])
    advantages = rollout.padded([[(-1.0) ** row] * length for row, length in enumerate(rollout.lengths)])
    old = rollout.log_probs(engine, model).detach()
    settings = {"clip_ratio": 0.2, "clip_ratio_low": 0.2, "clip_ratio_high": 0.28, "clip_ratio_c": 3.0}

    class Config(SimpleNamespace):
        def get(self, name: str, default: Any) -> Any:
            return getattr(self, name, default)

    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    moved = []
    for _ in range(3):
        log_prob = rollout.log_probs(engine, model)
        moved.append(float(((log_prob.detach() - old) * advantages * mask).sum()))
        loss, metrics = policy_loss(
            old_log_prob=old,
            log_prob=log_prob,
            advantages=advantages,
            response_mask=mask,
            config=Config(global_batch_info={}, **settings),
        )
        assert metrics["actor/pg_clipfrac"] < 1
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert moved[0] == 0
    assert moved[2] > moved[1] > 0
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def test_verl_asks_no_engine_for_masks_and_carries_extra_fields_as_the_page_says() -> None:
    for path in (
        "verl/workers/rollout/vllm_rollout/vllm_async_server.py",
        "verl/workers/rollout/sglang_rollout/async_sglang_server.py",
    ):
        source = file_of("verl", path)
        assert "sampling_mask" not in source
        assert "extra_fields=extra_fields" in source
    assert "extra_fields=output.extra_fields" in file_of(
        "verl", "verl/experimental/agent_loop/single_turn_agent_loop.py"
    )
    assert "VERL_USE_EXTERNAL_MODULES" in file_of("verl", "verl/__init__.py")
