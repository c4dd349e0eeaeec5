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


def weights_as_drawn(logits: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    """min(policy / hot, 32) in float64: the whole softmax at 0.7, and the best 16 but ends at 30."""
    logits = logits.double()
    old = (logits / 0.7).softmax(-1)
    logits[:, ENDS] = -torch.inf
    best = logits.topk(16)
    hot = torch.zeros_like(old).scatter(1, best.indices, (best.values / 30).softmax(-1))
    return (old / hot).gather(1, token[:, None])[:, 0].clamp(max=32).float()


def test_the_trl_example_trains_two_steps_on_hot_tokens_that_end_no_completion_and_are_weighted_as_drawn(
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
