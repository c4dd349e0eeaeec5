"""docs/operators.md says what is so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from operator_inputs import OPERATORS, make_inputs, operator
from pages import blocks
from support_inputs import ORDER

import fire_sampling as fire

PAGE = (Path(__file__).resolve().parents[3] / "docs/operators.md").read_text()


@pytest.mark.parametrize("name", [*OPERATORS, *ORDER])
def test_the_schema_on_the_page_is_the_registered_one(name: str) -> None:
    page = " ".join(PAGE.split())
    assert str(operator(name)._schema).removeprefix("fire::") in page


@pytest.mark.parametrize("block", blocks("docs/operators.md", "python"))
def test_the_code_on_the_page_runs(block: str) -> None:
    exec(compile(block, "docs/operators.md", "exec"), {})


def test_the_config_of_the_first_example_prints_as_the_page_shows_it() -> None:
    config = fire.SamplingConfig(temperature=0.8, top_k=50, top_p=0.95, seed=7)
    assert f"`{config}`" in " ".join(PAGE.split())


def test_a_step_that_is_not_counted_up_draws_the_hot_token_for_ever_as_the_page_warns() -> None:
    logits, records = torch.randn(4, 1000), fire.pack(fire.SamplingConfig(seed=7), rows=4)
    first = fire.sample_with_logprobs(logits, 0, records)
    assert torch.equal(fire.sample(logits, 0, records), first.token)
    assert (first.status & fire.Status.HOT).all()
    assert not (fire.sample_with_logprobs(logits, 1, records).status & fire.Status.HOT).any()


def test_the_message_on_the_page_is_the_one_that_comes() -> None:
    logits, step, cfg = make_inputs(rows=4)
    with pytest.raises(RuntimeError) as caught:
        torch.ops.fire.sample(logits, step, cfg[:1])
    assert str(caught.value) in " ".join(PAGE.split())


def test_the_refusal_of_a_support_on_the_page_is_the_one_that_comes() -> None:
    support = torch.tensor([[1, 2], [31999, 12]], dtype=torch.int32)
    with pytest.raises(RuntimeError) as caught:
        fire.support_log_prob(torch.zeros(2, 32000), torch.zeros(2, dtype=torch.int64), support, 1.0)
    assert str(caught.value) in " ".join(PAGE.split())
