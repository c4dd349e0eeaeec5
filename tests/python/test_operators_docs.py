"""docs/operators.md says what is so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from operator_inputs import OPERATORS, make_inputs, operator
from pages import blocks

PAGE = (Path(__file__).resolve().parents[2] / "docs/operators.md").read_text()


@pytest.mark.parametrize("name", OPERATORS)
def test_the_schema_on_the_page_is_the_registered_one(name: str) -> None:
    page = " ".join(PAGE.split())
    assert str(operator(name)._schema).removeprefix("fire::") in page


@pytest.mark.parametrize("block", blocks("docs/operators.md", "python"))
def test_the_code_on_the_page_runs(block: str) -> None:
    exec(compile(block, "docs/operators.md", "exec"), {})


def test_the_message_on_the_page_is_the_one_that_comes() -> None:
    logits, step, cfg = make_inputs(rows=4)
    with pytest.raises(RuntimeError) as caught:
        torch.ops.fire.sample(logits, step, cfg[:1])
    assert str(caught.value) in " ".join(PAGE.split())
