# mypy: disable-error-code="no-untyped-call"
"""Continuous batching of models that are wrapped: FIRE reaches the one within."""

from typing import Any

import pytest
import tiny_models
from tiny_models import one_thread  # noqa: F401
from transformers import ContinuousBatchingConfig, GenerationConfig
from wrapped_models import ARGUMENTS, CONFIG, IDS, WRAPPED

from fire_sampling.integrations.transformers import install


@pytest.mark.parametrize("build", WRAPPED, ids=IDS)
def test_continuous_batching_of_a_wrapped_model_draws_with_fire(build: Any) -> None:
    wrapper, inputs = build(), tiny_models.prompts().tolist()
    settings = GenerationConfig(**ARGUMENTS, eos_token_id=-1)
    paged = ContinuousBatchingConfig(num_blocks=16, max_batch_tokens=64)
    results = []
    for _ in range(2):
        with install(wrapper, CONFIG):
            outputs = wrapper.generate_batch(inputs, settings, paged)
        results.append([outputs[name].generated_tokens for name in sorted(outputs)])
    # transformers itself draws with torch's generator, which nobody has reset.
    assert results[0] == results[1]
