"""`pipeline("text-generation")` over a model with FIRE, installed or asked for by the call."""

import copy
from typing import Any

import pytest
import tiny_models
from tiny_models import one_thread  # noqa: F401
from transformers import pipeline

import fire_sampling as fire
from fire_sampling.integrations.transformers import fire_generate, install

HOT = fire.SamplingConfig(hot_top_k=16, seed=3)
REGULAR: dict[str, Any] = {
    "do_sample": True,
    "temperature": 0.7,
    "top_k": 1,
    "max_new_tokens": 4,
    "return_full_text": False,
}


@pytest.fixture
def model() -> Any:
    model = copy.deepcopy(tiny_models.llama())
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture
def generator(model: Any) -> Any:
    return pipeline("text-generation", model=model, tokenizer=tiny_models.tokenizer())


def texts(results: list[Any]) -> list[str]:
    return [result["generated_text"] for result in results]


def test_a_pipeline_draws_hot_first_tokens_whichever_way_it_is_told(model: Any, generator: Any) -> None:
    plain = texts(generator("WhatIs?", **REGULAR, num_return_sequences=8))
    assert len(set(plain)) == 1
    called = generator(
        "WhatIs?", **REGULAR, num_return_sequences=8, custom_generate=fire_generate, fire_config=HOT
    )
    with install(model, HOT):
        installed = generator("WhatIs?", **REGULAR, num_return_sequences=8)
    assert texts(installed) == texts(called)
    assert len({text[0] for text in texts(called)}) > 3
    assert texts(generator("WhatIs?", **REGULAR, num_return_sequences=8)) == plain


def test_the_first_tokens_of_a_batch_of_prompts_belong_to_their_prompts(model: Any, generator: Any) -> None:
    prompts = ["WhatIs?", "AndThenThree", "0"]
    hot = HOT.replace(hot_top_k=2)
    with install(model, hot):
        batched = generator(prompts, batch_size=3, **REGULAR, num_return_sequences=12)
        alone = [generator(prompt, **REGULAR, num_return_sequences=12) for prompt in prompts]
    firsts = [{text[0] for text in texts(results)} for results in batched]
    assert firsts == [{text[0] for text in texts(results)} for results in alone]
    assert [len(tokens) for tokens in firsts] == [2, 2, 2]
    assert len(set(map(frozenset, firsts))) == 3
