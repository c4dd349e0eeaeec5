"""The trainer of docs/training.md that replays supports, for real optimiser steps of TRL's GRPO."""

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
from pages import blocks
from test_trl import HOT, PROMPTS, SAMPLES, STEPS, Watching, train
from tiny_models import one_thread  # noqa: F401
from trl import GRPOTrainer

import fire_sampling as fire
from fire_sampling.integrations.transformers import install

TEMPERATURE = 0.7  # that of `train`
FILTERS = {"top_p": 0.8, "top_k": 20}


@pytest.fixture(scope="module")
def trainer_on_the_page() -> Any:
    (program,) = blocks("docs/training.md", "py", containing="class SupportGRPOTrainer")
    names: dict[str, Any] = {}
    exec(program, names)
    return names["SupportGRPOTrainer"]


@pytest.fixture
def model() -> Any:
    model = copy.deepcopy(tiny_models.llama())
    model.generation_config.eos_token_id = None
    return model


class Evaluating(Watching):
    """Remembers the log-probabilities of each loss too, and of each rollout the engine's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.evaluated: list[torch.Tensor] = []

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self.evaluated.append(found[0].detach())
        return found


def before_any_update(inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Float32 [B, T, V] and bool [B, T]: the rows that completions were drawn from, and which tokens are."""
    rows = []
    for prompt, mask, tokens in zip(
        inputs["prompt_ids"], inputs["prompt_mask"].bool(), inputs["completion_ids"], strict=True
    ):
        ids = torch.cat([prompt[mask], tokens])
        with torch.no_grad():
            rows.append(tiny_models.llama()(ids[None]).logits[0, -len(tokens) - 1 : -1])
    return torch.stack(rows), inputs["completion_mask"].bool()


def test_the_trainer_on_the_page_normalises_over_the_sets_that_top_p_and_the_hot_step_kept(
    trainer_on_the_page: Any, model: Any, tmp_path: Path
) -> None:
    class Both(Evaluating, trainer_on_the_page):  # type: ignore[misc]
        pass

    with install(model, HOT):
        _, replayed = train(model, tmp_path / "support", Both, rate=0.0, **FILTERS)
        _, plain = train(model, tmp_path / "plain", Evaluating, rate=0.0, **FILTERS)
    assert len(replayed.seen) == STEPS
    outside = []
    for inputs, log_probs in zip(replayed.seen, replayed.evaluated, strict=True):
        rows, drawn = before_any_update(inputs)
        token, support = inputs["completion_ids"], inputs["support"]
        assert (support == token[..., None]).any(2)[drawn].all(), "a token of each support is its own"
        for step in range(token.shape[1]):
            config = HOT.replace(temperature=TEMPERATURE, **FILTERS)
            kept = fire.process_logits(rows[:, step], step, config).isfinite()
            told = torch.zeros_like(kept).scatter(1, support[:, step].clamp(min=0).long(), True)
            listed = kept.gather(1, support[:, step].clamp(min=0).long()) | (support[:, step] < 0)
            assert listed[drawn[:, step]].all()
            assert (told | ~kept)[drawn[:, step]].all()
            over = (rows[:, step] / TEMPERATURE).masked_fill(~kept, -torch.inf).log_softmax(-1)
            wanted = over.gather(1, token[:, step : step + 1])[:, 0]
            torch.testing.assert_close(
                log_probs[:, step][drawn[:, step]], wanted[drawn[:, step]], rtol=1e-4, atol=1e-4
            )
        whole = (rows / TEMPERATURE).log_softmax(-1).gather(2, token[..., None])[..., 0]
        ratio = (whole - log_probs).exp()[:, 1:][drawn[:, 1:]]
        outside.append((ratio < 0.9).float().mean())
    assert min(outside) > 0.2, "else the whole softmax would do"
    for inputs, log_probs in zip(plain.seen, plain.evaluated, strict=True):
        rows, drawn = before_any_update(inputs)
        whole = (rows / TEMPERATURE).log_softmax(-1).gather(2, inputs["completion_ids"][..., None])[..., 0]
        torch.testing.assert_close(log_probs[drawn], whole[drawn], rtol=1e-4, atol=1e-4)


def test_the_trainer_on_the_page_takes_optimiser_steps_with_a_ratio_of_1_at_the_first_of_two_updates(
    trainer_on_the_page: Any, model: Any, tmp_path: Path
) -> None:
    class Both(Evaluating, trainer_on_the_page):  # type: ignore[misc]
        pass

    before = copy.deepcopy(model.state_dict())
    with install(model, HOT):
        rollouts, trainer = train(model, tmp_path, Both, num_iterations=2, **FILTERS)
    assert trainer.state.global_step == STEPS
    assert len(rollouts.tokens) == len(PROMPTS) * SAMPLES, "one rollout, two updates"
    assert any(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    (_, *updates), seen = trainer.evaluated, trainer.seen
    moved = []
    for inputs, log_probs in zip(seen, updates, strict=True):
        drawn = inputs["completion_mask"].bool()
        moved.append(float((log_probs - inputs["old_per_token_logps"])[drawn].abs().max()))
    assert moved[0] < 1e-5 < moved[1]


def test_supports_keep_to_their_own_completions_through_trls_shuffles_and_smaller_batches(
    trainer_on_the_page: Any, model: Any, tmp_path: Path
) -> None:
    class Both(Watching, trainer_on_the_page):  # type: ignore[misc]
        pass

    with install(model, HOT):
        _, trainer = train(
            model,
            tmp_path,
            Both,
            rate=0.0,
            per_device_train_batch_size=SAMPLES,
            steps_per_generation=2,
            max_steps=4,
            **FILTERS,
        )
    assert len(trainer.seen) == 4
    for inputs in trainer.seen:
        drawn = inputs["completion_mask"].bool()
        assert (inputs["support"] == inputs["completion_ids"][..., None]).any(2)[drawn].all()


def test_trl_has_no_place_for_supports_itself_as_the_page_says() -> None:
    source = Path(GRPOTrainer.__init__.__code__.co_filename).parent.parent
    texts = [path.read_text() for path in source.rglob("*.py")]
    assert len(texts) > 50
    assert not any("sampling_mask" in text for text in texts)
