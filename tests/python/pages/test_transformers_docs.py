"""Every Python block of docs/huggingface.md, run in order as a reader would, against a tiny model."""

import copy
from typing import Any

import pytest
import tiny_models
import torch
import transformers
from pages import blocks
from tiny_models import one_thread  # noqa: F401

PAGE = "docs/huggingface.md"


@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.gpt2])
@pytest.mark.filterwarnings("error")
def test_the_code_of_the_page_runs(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _put_in_place_of_the_pages_model(copy.deepcopy(build()), monkeypatch)
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    programs = blocks(PAGE, "python")
    assert len(programs) >= 8
    for block in programs:
        exec(compile(block, PAGE, "exec"), names)
    assert names["sequences"].shape[0] == 2
    assert len(names["texts"]) == 2
    assert len(names["answers"]) == 8
    assert all(result.error is None and result.generated_tokens for result in names["results"].values())
    assert "generate" not in vars(names["model"])


def _put_in_place_of_the_pages_model(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_models.tokenizer()
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", lambda name: model)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda name, padding_side: tokenizer)


def test_the_log_probabilities_that_the_page_computes_are_those_of_the_draw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = copy.deepcopy(tiny_models.llama())
    _put_in_place_of_the_pages_model(model, monkeypatch)
    names: dict[str, Any] = {}
    programs = blocks(PAGE, "python")
    model.generation_config.eos_token_id = None
    for block in programs[:2]:
        exec(compile(block, PAGE, "exec"), names)
    assert "behaviour" in programs[1]
    behaviour = torch.stack(names["behaviour"])
    assert behaviour.isfinite().all()
    assert (behaviour <= 0).all()
