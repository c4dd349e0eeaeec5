"""examples/trl_grpo.py, started by its first line, over a tiny model."""

from __future__ import annotations

# isort: off
import torchvision_operators  # noqa: F401
# isort: on

import copy
import importlib.util
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread  # noqa: F401
from trl import GRPOTrainer

EXAMPLE = Path(__file__).parents[2] / "examples" / "trl_grpo.py"
ENDS = list(range(2, tiny_models.VOCABULARY, 2))


@pytest.fixture
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location(EXAMPLE.stem, EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """A model that takes every second token for the end of a text."""
    model = copy.deepcopy(tiny_models.llama())
    model.generation_config.eos_token_id = ENDS
    model.save_pretrained(tmp_path / "model")
    tiny_models.tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def first_logits(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """Float32 [B, V]: what each first token was drawn from, its prompt read without padding."""
    rows = []
    for tokens, mask in zip(inputs["prompt_ids"], inputs["prompt_mask"].bool(), strict=True):
        with torch.no_grad():
            rows.append(model(tokens[mask][None]).logits[0, -1])
    return torch.stack(rows)


def hot_chances(logits: torch.Tensor) -> torch.Tensor:
    """Float64 [B, V]: the best 16 tokens but ends, at temperature 30."""
    best = logits.double().index_fill(1, torch.tensor(ENDS), -torch.inf).topk(16)
    return torch.zeros_like(logits, dtype=torch.float64).scatter(
        1, best.indices, (best.values / 30).softmax(-1)
    )


def weights_as_drawn(logits: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """min(policy / hot, 32) in float64, the policy being the whole softmax at 0.7."""
    ratio = (logits.double() / 0.7).softmax(-1) / hot_chances(logits)
    return ratio.gather(1, token[:, None])[:, 0].clamp(max=32).float()


def one_of_each_stratum(chances: torch.Tensor, tokens: list[int]) -> bool:
    """Whether n tokens can come from one n-th of the mass [V] each, in the order of their ids."""
    ends, n = chances.cumsum(0), len(tokens)
    return all(
        float(ends[token] - chances[token]) < (stratum + 1) / n + 1e-6
        and float(ends[token]) > stratum / n - 1e-6
        for stratum, token in enumerate(sorted(tokens))
    )


def test_the_trl_example_trains_two_steps_on_stratified_hot_tokens_that_end_no_completion_and_weigh_as_drawn(
    example: ModuleType, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first_line = EXAMPLE.read_text().splitlines()[0].removeprefix("# ")
    python, script, flag, _ = shlex.split(first_line)
    assert (python, script, flag) == ("python", "examples/trl_grpo.py", "--model")
    monkeypatch.chdir(tiny_model.parent)
    monkeypatch.setattr("sys.argv", [script, flag, str(tiny_model)])
    completions: list[list[int]] = []
    reward = example.different_letters

    def different_letters(*, completion_ids: list[list[int]], **arguments: Any) -> Any:
        completions.extend(completion_ids)
        return reward(completion_ids=completion_ids, **arguments)

    monkeypatch.setattr(example, "different_letters", different_letters)
    drawn: list[tuple[torch.Tensor, list[int]]] = []
    generate = GRPOTrainer._generate_and_score_completions

    def generated(trainer: Any, inputs: Any) -> Any:
        batch = generate(trainer, inputs)
        chances, tokens = hot_chances(first_logits(trainer.model, batch)), batch["completion_ids"][:, 0]
        for first in range(0, len(tokens), example.COMPLETIONS):
            drawn.append((chances[first], tokens[first : first + example.COMPLETIONS].tolist()))
        return batch

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", generated)
    losses: list[dict[str, Any]] = []
    compute_loss = GRPOTrainer._compute_loss

    def watched(trainer: Any, model: Any, inputs: dict[str, Any]) -> Any:
        losses.append({**inputs, "logits": first_logits(model, inputs)})
        return compute_loss(trainer, model, inputs)

    monkeypatch.setattr(GRPOTrainer, "_compute_loss", watched)
    example.main()

    assert "trained for 2 steps" in capsys.readouterr().out
    assert len(completions) == 2 * len(example.PROMPTS) * example.COMPLETIONS
    assert len({tokens[0] for tokens in completions}) > len(example.PROMPTS)
    assert not {tokens[0] for tokens in completions} & set(ENDS)
    assert any(tokens[-1] in ENDS for tokens in completions)
    assert len(drawn) == 2 * len(example.PROMPTS)
    assert all(one_of_each_stratum(chances, tokens) for chances, tokens in drawn)
    assert len(losses) == 2
    for inputs in losses:
        mask, advantages = inputs["completion_mask"].bool(), inputs["advantages"]
        assert mask[:, 0].all()
        weights = weights_as_drawn(inputs["logits"], inputs["completion_ids"][:, 0])
        assert weights.max() > 2 * weights.min()
        # The advantage of each sequence, as its second token has it, where there is one.
        longer = mask[:, 1]
        assert longer.any()
        torch.testing.assert_close(
            advantages[longer, 0], (weights * advantages[:, 1])[longer], rtol=1e-4, atol=1e-6
        )
        for row in range(len(mask)):
            assert len(set(advantages[row, 1:][mask[row, 1:]].tolist())) <= 1
