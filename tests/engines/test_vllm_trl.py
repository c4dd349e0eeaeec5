"""TRL's GRPO with vLLM in its process, as docs/training.md switches FIRE on: real optimiser steps.

After a step the trainer loads its weights into the engine. vLLM packs linear weights on a CPU and could not
load them again, so here it multiplies with the weights as they are.
"""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset
from engine import close_shared_engine
from pages import blocks
from tiny_llama import EOS, VOCABULARY
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.generation import vllm_generation
from vllm import _custom_ops

import fire_sampling as fire
from fire_sampling import rl

PROMPTS = ["What is it?", "And then three", "0", "Why!"]
SAMPLES, STEPS, LENGTH, TEMPERATURE, CAP = 4, 2, 5, 0.7, 32.0
STOPS = list(range(5, VOCABULARY, 4))
# What docs/training.md asks for; the filters of vLLM run in its order.
HOT = fire.SamplingConfig(
    temperature=TEMPERATURE, hot_temperature=30.0, hot_top_k=16, order="vllm", ties="exact", seed=0
)


@dataclass(frozen=True)
class Batch:
    """What a loss was computed from, and float32 [B, T, V], the logits of the weights of that time."""

    inputs: dict[str, Any]
    logits: torch.Tensor

    @property
    def mask(self) -> torch.Tensor:
        return self.inputs["completion_mask"].bool()

    def log_probs(self, config: fire.SamplingConfig) -> torch.Tensor:
        """Float32 [B, T]: of the completions' tokens, under `config`."""
        tokens = self.inputs["completion_ids"]
        columns = [
            fire.log_prob(self.logits[:, step].contiguous(), tokens[:, step], step, config)
            for step in range(tokens.shape[1])
        ]
        return torch.stack(columns, 1)


class Watching(trl.GRPOTrainer):
    """Remembers, of each loss, what it was computed from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batches: list[Batch] = []

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        self.batches.append(Batch(dict(inputs), logits_of(model, inputs)))
        return super()._compute_loss(model, inputs)


def logits_of(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """Float32 [B, T, V]: what the tokens of the completions are drawn from."""
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    tokens = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    position = (attention.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        logits = model(tokens, attention_mask=attention, position_ids=position).logits
    return logits[:, inputs["prompt_ids"].shape[1] - 1 : -1].float()


@pytest.fixture(scope="module")
def trained(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """A trainer after `STEPS` steps, set up by the page's own code."""
    close_shared_engine()
    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
    small: dict[str, Any] = dict(
        output_dir=str(tmp_path_factory.mktemp("out")),
        use_cpu=True,
        bf16=False,
        max_steps=STEPS,
        per_device_train_batch_size=len(PROMPTS) * SAMPLES,
        num_generations=SAMPLES,
        max_completion_length=LENGTH,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        vllm_max_model_length=64,
    )
    environment = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_custom_ops, "_supports_onednn", False)
        in_float32 = functools.partial(vllm_generation.LLM, dtype="float32", enforce_eager=True)
        patch.setattr(vllm_generation, "LLM", in_float32)  # which the page's code wraps
        configure = trl.GRPOConfig
        patch.setattr(trl, "GRPOConfig", lambda **settings: configure(**{**settings, **small}))
        names: dict[str, Any] = {}
        (program,) = blocks("docs/training.md", "py", containing="vllm_mode")
        exec(compile(program, "training.md", "exec"), names)
        arguments = names["arguments"]
        arguments.generation_kwargs["stop_token_ids"] = STOPS
        trainer = Watching(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"prompt": PROMPTS * STEPS}),
            reward_funcs=lambda completion_ids, **_: [float(sum(tokens) % 7) for tokens in completion_ids],
            processing_class=AutoTokenizer.from_pretrained(tiny_llama),
        )
        trainer.train()
    yield trainer
    trainer.vllm_generation.llm.llm_engine.engine_core.shutdown()
    del trainer.vllm_generation
    gc.collect()
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)


def test_each_step_trains_on_tokens_of_the_weights_that_the_step_before_it_left(
    trained: Watching, tiny_llama: Path
) -> None:
    assert trained.state.global_step == len(trained.batches) == STEPS
    assert all(parameter.isfinite().all() for parameter in trained.model.parameters())
    second = trained.batches[1]
    first_weights = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
    of_first_weights = Batch(second.inputs, logits_of(first_weights, second.inputs)).log_probs(HOT)
    arrived = second.inputs["sampling_per_token_logps"]
    assert (arrived - of_first_weights)[second.mask].abs().max() > 0.1


def test_the_engines_log_probabilities_are_those_of_hot_first_tokens_and_regular_later_ones(
    trained: Watching,
) -> None:
    for batch in trained.batches:
        theirs = batch.inputs["sampling_per_token_logps"]
        torch.testing.assert_close(theirs[batch.mask], batch.log_probs(HOT)[batch.mask], rtol=1e-3, atol=1e-3)


def test_trls_ratio_is_token_weights_at_the_cap_on_the_page(trained: Watching) -> None:
    for batch in trained.batches:
        inputs, mask = batch.inputs, batch.mask
        ours = rl.token_weights(
            mask, old=inputs["old_per_token_logps"], behaviour=inputs["sampling_per_token_logps"], cap=CAP
        )
        torch.testing.assert_close(inputs["importance_sampling_ratio"][mask], ours[mask])
        regular = HOT.replace(hot_steps=0)
        torch.testing.assert_close(
            inputs["old_per_token_logps"][mask], batch.log_probs(regular)[mask], rtol=1e-3, atol=1e-3
        )
        assert (ours[:, 0] - 1).abs().max() > 0.5
        torch.testing.assert_close(ours[:, 1:], mask[:, 1:].float(), rtol=1e-2, atol=1e-2)


def test_each_completion_begins_with_a_likely_token_of_its_own_prompt_and_they_differ(
    trained: Watching,
) -> None:
    """FIRE's 2024 port to verl paired first tokens with wrong prompts for n > 1."""
    for batch in trained.batches:
        first = batch.inputs["completion_ids"][:, 0]
        likely = batch.logits[:, 0].topk(16).indices
        assert (likely == first[:, None]).any(1).all()
        prompts = batch.inputs["prompt_ids"].tolist()
        firsts: dict[tuple[int, ...], set[int]] = {}
        for prompt, token in zip(prompts, first.tolist(), strict=True):
            firsts.setdefault(tuple(prompt), set()).add(token)
        assert all(len(tokens) > 1 for tokens in firsts.values())


def test_a_stop_token_as_hot_first_token_ends_the_completion(trained: Watching) -> None:
    ends = {*STOPS, EOS}
    short = 0
    for batch in trained.batches:
        for tokens, mask in zip(batch.inputs["completion_ids"].tolist(), batch.mask.tolist(), strict=True):
            kept = tokens[: sum(mask)]
            assert not ends & set(kept[:-1])
            short += len(kept) == 1
    assert 0 < short < STEPS * len(PROMPTS) * SAMPLES
