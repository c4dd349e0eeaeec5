"""TRL's GRPO over a model with FIRE: real optimiser steps, with both ways in which it generates by itself."""

from __future__ import annotations

# isort: off
import torchvision_operators  # noqa: F401
# isort: on

import copy
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from datasets import Dataset
from pages import blocks
from tiny_models import one_thread  # noqa: F401
from trl import GRPOConfig, GRPOTrainer

import fire_sampling as fire
from fire_sampling.integrations.transformers import install

HOT = fire.SamplingConfig(hot_temperature=30.0, hot_top_k=16, seed=7)
PROMPTS = ["WhatIs?", "AndThenThree", "0", "Why!"]
SAMPLES = 4
STEPS = 2


class Rollouts:
    """A reward that remembers what it was asked to reward."""

    __name__ = "rollouts"

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.tokens: list[list[int]] = []

    def __call__(self, prompts: list[str], completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        self.prompts += prompts
        self.tokens += completion_ids
        return [float(sum(tokens) % 7) for tokens in completion_ids]


@pytest.fixture
def model() -> Any:
    model = copy.deepcopy(tiny_models.llama())
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture(params=["generate", "continuous batching"])
def paths(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The arguments of GRPOConfig that choose how it generates."""
    if request.param == "generate":
        return {}
    small = {"num_blocks": 32, "max_batch_tokens": 64}
    return {"use_transformers_continuous_batching": True, "transformers_continuous_batching_config": small}


def train(
    model: Any, folder: Path, trainer: type[GRPOTrainer] = GRPOTrainer, rate: float = 1e-3, **arguments: Any
) -> tuple[Rollouts, GRPOTrainer]:
    rollouts = Rollouts()
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "max_steps": STEPS,
        "per_device_train_batch_size": len(PROMPTS) * SAMPLES,
        "num_generations": SAMPLES,
        "max_completion_length": 5,
        "temperature": 0.7,
        "learning_rate": rate,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 1,
    }
    made = trainer(
        model=model,
        args=GRPOConfig(**{**settings, **arguments}),
        train_dataset=Dataset.from_dict({"prompt": PROMPTS * STEPS}),
        reward_funcs=rollouts,
        processing_class=tiny_models.tokenizer(),
    )
    made.train()
    return rollouts, made


def logits_of(prompt: str, tokens: list[int]) -> torch.Tensor:
    """Float32 [T, V]: what the tokens of a completion are drawn from before any update."""
    ids = tiny_models.tokenizer()(prompt)["input_ids"]
    with torch.no_grad():
        return tiny_models.llama()(torch.tensor([ids + tokens])).logits[0, len(ids) - 1 : -1]


def test_training_steps_on_hot_rollouts_change_the_model_and_stay_finite(
    model: Any, tmp_path: Path, paths: dict[str, Any]
) -> None:
    before = copy.deepcopy(model.state_dict())
    with install(model, HOT):
        rollouts, trainer = train(model, tmp_path, **paths)
    assert len(rollouts.tokens) == STEPS * len(PROMPTS) * SAMPLES
    assert trainer.state.global_step == STEPS
    assert any(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def test_the_hot_parameters_are_not_overwritten_by_the_trainers_own(
    model: Any, tmp_path: Path, paths: dict[str, Any]
) -> None:
    """The 2024 port to verl did that. Only the first token after each prompt is hot."""
    with install(model, HOT):
        rollouts, _ = train(model, tmp_path, rate=0.0, generation_kwargs={"top_k": 1}, **paths)
    hot = 0
    for prompt, tokens in zip(rollouts.prompts, rollouts.tokens, strict=True):
        best = logits_of(prompt, tokens).argmax(-1).tolist()
        hot += tokens[0] != best[0]
        assert tokens[1:] == best[1:]
    assert hot > len(rollouts.tokens) / 2


def test_each_of_n_completions_is_rewarded_with_a_first_token_of_its_own_prompt(
    model: Any, tmp_path: Path, paths: dict[str, Any]
) -> None:
    """The 2024 port to verl paired first tokens with wrong prompts for n > 1."""
    with install(model, HOT.replace(hot_top_k=3)):
        rollouts, _ = train(model, tmp_path, rate=0.0, **paths)
    kept = {prompt: frozenset(logits_of(prompt, [5])[0].topk(3).indices.tolist()) for prompt in PROMPTS}
    assert len(set(kept.values())) == len(PROMPTS)
    for prompt, tokens in zip(rollouts.prompts, rollouts.tokens, strict=True):
        assert tokens[0] in kept[prompt]
    for prompt in PROMPTS:
        firsts = {
            tokens[0] for own, tokens in zip(rollouts.prompts, rollouts.tokens, strict=True) if own == prompt
        }
        assert len(firsts) > 1


def test_an_end_of_sequence_as_hot_first_token_ends_the_completion(
    model: Any, tmp_path: Path, paths: dict[str, Any]
) -> None:
    ends = list(range(0, tiny_models.VOCABULARY, 2))
    model.generation_config.eos_token_id = ends
    with install(model, HOT):
        rollouts, _ = train(model, tmp_path, rate=0.0, generation_kwargs={"eos_token_id": ends}, **paths)
    ended = [tokens[0] in ends for tokens in rollouts.tokens]
    assert 0 < sum(ended) < len(ended)
    assert ended == [len(tokens) == 1 for tokens in rollouts.tokens]


class Watching(GRPOTrainer):
    """Remembers, of each loss, what it was computed from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[dict[str, Any]] = []

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        self.seen.append(dict(inputs))
        return super()._compute_loss(model, inputs)


def test_no_behaviour_log_probability_arrives_and_the_ratio_at_token_0_is_that_of_the_update_alone(
    model: Any, tmp_path: Path, paths: dict[str, Any]
) -> None:
    """As docs/training.md says."""
    with install(model, HOT):
        _, twice = train(model, tmp_path / "twice", Watching, num_iterations=2, rate=0.0, **paths)
        _, once = train(model, tmp_path / "once", Watching, **paths)
    for inputs in once.seen:
        assert "old_per_token_logps" not in inputs
        assert "sampling_per_token_logps" not in inputs
        assert "importance_sampling_ratio" not in inputs
    assert all(log["clip_ratio/region_mean"] == 0 for log in once.state.log_history if "loss" in log)
    for inputs in twice.seen:
        old, tokens = inputs["old_per_token_logps"], inputs["completion_ids"]
        for row in range(tokens.shape[0]):
            prompt = inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()]
            with torch.no_grad():
                logits = tiny_models.llama()(torch.cat([prompt, tokens[row]])[None]).logits[
                    0, len(prompt) - 1
                ]
            plain = fire.SamplingConfig(temperature=0.7, hot_steps=0)
            wanted = fire.log_prob(logits[None], tokens[row, :1], 0, plain)
            torch.testing.assert_close(old[row, :1], wanted, rtol=1e-4, atol=1e-4)


def test_the_trainer_on_the_page_leaves_hot_tokens_out_of_the_loss_but_in_the_context(
    model: Any, tmp_path: Path
) -> None:
    begin, masked, _ = blocks("docs/training.md", "py", containing="GRPOTrainer")
    names: dict[str, Any] = {"model": model}
    exec(begin[: begin.index("trainer = ")] + masked, names)
    assert names["config"].group_size == SAMPLES

    class Both(names["MaskedGRPOTrainer"], Watching):  # type: ignore[misc]
        pass

    with names["installation"]:
        _, trainer = train(model, tmp_path, Both)
    for inputs in trainer.seen:
        mask = inputs["completion_mask"]
        assert mask[:, 0].all()
        assert not inputs["tool_mask"][:, 0].any()
        assert torch.equal(inputs["tool_mask"][:, 1:], mask[:, 1:].to(inputs["tool_mask"].dtype))


def test_the_trainer_on_the_page_compares_each_completion_with_the_other_block_of_its_prompt(
    model: Any, tmp_path: Path
) -> None:
    *_, program = blocks("docs/training.md", "py", containing="class BlockGRPOTrainer")
    config = HOT.replace(design="stratified", group_size=SAMPLES // 2)
    names: dict[str, Any] = {"config": config}
    exec(program, names)
    scored: list[torch.Tensor] = []

    class Scoring(names["BlockGRPOTrainer"]):  # type: ignore[misc, name-defined]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            batch = super()._generate_and_score_completions(inputs)
            scored.append(batch["advantages"])
            return batch

    with install(model, config):
        rollouts, _ = train(model, tmp_path, Scoring, scale_rewards="none")
    reward = torch.tensor([float(sum(tokens) % 7) for tokens in rollouts.tokens]).view(-1, 2, SAMPLES // 2)
    wanted = reward - reward.mean(2, keepdim=True).flip(1)
    torch.testing.assert_close(torch.cat(scored), wanted.flatten(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [SAMPLES * 2, 3])
def test_a_group_that_would_hold_completions_of_several_prompts_is_refused_by_the_trainer(
    model: Any, tmp_path: Path, size: int
) -> None:
    refused = pytest.raises(ValueError, match=f"group_size: got {size}")
    with install(model, HOT.replace(design="lattice", group_size=size)), refused:
        train(model, tmp_path)
