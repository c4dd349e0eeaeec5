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


def test_the_trl_example_trains_two_steps_on_hot_tokens_that_end_no_completion_and_count_in_no_loss(
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
        losses.append(dict(inputs))
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
        mask = inputs["completion_mask"]
        assert mask[:, 0].all()
        assert not inputs["tool_mask"][:, 0].any()
        assert torch.equal((inputs["tool_mask"] * mask)[:, 1:], mask[:, 1:])
