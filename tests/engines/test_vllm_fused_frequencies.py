"""How often the fused sampler's tokens come, beside the distribution that docs/semantics.md gives them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from engine import RUNNER, engine, model_runner
from frequencies import assert_drawn_from
from tiny_llama import VOCABULARY

import fire_sampling.numpy as fire
from fire_sampling import SamplingConfig
from fire_sampling.integrations.vllm import fused

# V2's kernels run in an interpreter here, at a hundredth of the speed.
DRAWS = {1: 20_000, 2: 2_000}[RUNNER]
PROMPT = {"prompt_token_ids": [5, 9, 30, 200, 41]}

REGULAR: dict[str, Any] = dict(temperature=0.8, top_k=40, top_p=0.95)
HOT: dict[str, Any] = dict(fire_temperature=10.0, fire_top_k=16)


@pytest.fixture(scope="module")
def llm(tiny_llama: Path) -> Iterator[Any]:
    with engine(str(tiny_llama)) as running:
        fused.install(model_runner(running))
        yield running


def draw_last(
    llm: Any, monkeypatch: pytest.MonkeyPatch, steps: int, **params: Any
) -> tuple[npt.NDArray[np.float32], list[int]]:
    """Logits of the last of `steps` tokens, float32 [1, V], and that token of many requests without a seed.

    Every token before the last must be certain.
    """
    from vllm import SamplingParams

    seen: list[torch.Tensor] = []
    model = model_runner(llm).model
    compute = model.compute_logits

    def compute_and_copy(*args: Any, **kwargs: Any) -> torch.Tensor:
        logits: torch.Tensor = compute(*args, **kwargs)
        seen.append(logits.clone())
        return logits

    of_all = SamplingParams(max_tokens=steps, ignore_eos=True, **params)
    with monkeypatch.context() as patch:
        patch.setattr(model, "compute_logits", compute_and_copy)
        llm.generate([PROMPT], [of_all], use_tqdm=False)
    outputs = llm.generate([PROMPT] * DRAWS, [of_all] * DRAWS, use_tqdm=False)
    return seen[-1].float().numpy(), [output.outputs[0].token_ids[-1] for output in outputs]


def distribution(
    logits: npt.NDArray[np.float32], step: int, config: SamplingConfig
) -> npt.NDArray[np.float64]:
    """float64 [V]: the probabilities with which `config` draws from logits [1, V] at `step`."""
    ties = {1: "keep_top_k", 2: "exact"}[RUNNER]
    processed = fire.process_logits(logits, step, config.replace(order="vllm", ties=ties, seed=0))[0]
    weights = np.exp(processed.astype(np.float64) - processed.max())
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


CASES: dict[str, tuple[int, dict[str, Any], SamplingConfig]] = {
    "a hot first token": (
        1,
        dict(**REGULAR, extra_args=HOT),
        SamplingConfig(**REGULAR, hot_temperature=10.0, hot_top_k=16),
    ),
    "a regular first token": (1, REGULAR, SamplingConfig(**REGULAR, hot_steps=0)),
    "a later token that is hot": (
        2,
        dict(temperature=0.8, top_k=1, extra_args={**HOT, "fire_begin": 1}),
        SamplingConfig(temperature=0.8, top_k=1, hot_temperature=10.0, hot_top_k=16, hot_begin=1),
    ),
    "a regular token behind a hot one": (
        2,
        dict(temperature=0.8, min_p=0.02, extra_args={"fire_top_k": 1}),
        SamplingConfig(temperature=0.8, min_p=0.02, hot_top_k=1),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_tokens_come_as_often_as_the_contract_says(
    llm: Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    steps, params, config = CASES[case]
    logits, tokens = draw_last(llm, monkeypatch, steps, **params)
    expected = distribution(logits, steps - 1, config)
    assert logits.shape == (1, VOCABULARY)
    assert np.count_nonzero(expected) > 10
    assert_drawn_from(tokens, expected)
    # The test can fail: at another temperature, the same tokens are found out.
    if RUNNER == 1:
        off = distribution(logits, steps - 1, config.replace(temperature=0.9, hot_temperature=5.0))
        with pytest.raises(AssertionError):
            assert_drawn_from(tokens, off)
