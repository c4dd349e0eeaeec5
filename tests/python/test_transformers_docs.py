"""Every Python block of docs/huggingface.md, run in order as a reader would, against a tiny model."""

import copy
from typing import Any

import pytest
import tiny_models
import torch
from pages import blocks
from tiny_models import one_thread  # noqa: F401

PAGE = "docs/huggingface.md"


@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.gpt2])
@pytest.mark.filterwarnings("error")
def test_the_code_of_the_page_runs(build: Any) -> None:
    tokenizer = tiny_models.tokenizer()
    prompts = ["WhatIsTwoPlusThree?", "AndTwoTimesThree?"]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    inputs.pop("token_type_ids", None)
    torch.manual_seed(0)
    names = {"model": copy.deepcopy(build()), "tokenizer": tokenizer, "prompts": prompts, "inputs": inputs}
    programs = blocks(PAGE, "python")
    assert len(programs) >= 8
    for block in programs:
        exec(compile(block, PAGE, "exec"), names)
    assert names["sequences"].shape[0] == 2
    assert len(names["texts"]) == 2
    assert len(names["answers"]) == 8
    assert all(result.error is None and result.generated_tokens for result in names["results"].values())
    assert "generate" not in vars(names["model"])


def test_the_log_probabilities_that_the_page_computes_are_those_of_the_draw() -> None:
    tokenizer = tiny_models.tokenizer()
    model = copy.deepcopy(tiny_models.llama())
    names: dict[str, Any] = {"model": model, "tokenizer": tokenizer, "prompts": ["WhatIsTwo?", "AndThree?"]}
    programs = blocks(PAGE, "python")
    model.generation_config.eos_token_id = None
    for block in programs[:3]:
        exec(compile(block, PAGE, "exec"), names)
    assert "behaviour" in programs[2]
    behaviour = torch.stack(names["behaviour"])
    assert behaviour.isfinite().all()
    assert (behaviour <= 0).all()
