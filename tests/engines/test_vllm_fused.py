"""The fused sampler in a real engine: a token depends on its own request, and on nothing else there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from engine import RUNNER, TIES, Logits, engine, model_runner, watch_logits
from fused_requests import generate, prompt, requests
from tiny_llama import VOCABULARY

import fire_sampling.numpy as fire
from fire_sampling import SamplingConfig
from fire_sampling.integrations.vllm import fused


@pytest.fixture(scope="module")
def llm(tiny_llama: Path) -> Iterator[Any]:
    with engine(str(tiny_llama)) as running:
        fused.install(model_runner(running))
        yield running


@pytest.fixture
def logits_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[Logits]]:
    """Has the engine's model leave a copy of the logits of every step."""

    return functools.partial(watch_logits, patch=monkeypatch)


def test_a_token_is_the_operators_own_draw_for_its_logits_step_and_settings(
    llm: Any, logits_of: Callable[[Any], list[Logits]]
) -> None:
    from vllm import SamplingParams

    hot = dict(fire_temperature=20.0, fire_top_k=12, fire_top_p=0.95, fire_begin=1, fire_steps=2)
    params = SamplingParams(
        temperature=0.7,
        top_k=30,
        top_p=0.9,
        min_p=0.01,
        seed=2**63 - 5,
        max_tokens=5,
        ignore_eos=True,
        extra_args=hot,
    )
    config = SamplingConfig(
        temperature=0.7,
        top_k=30,
        top_p=0.9,
        min_p=0.01,
        hot_temperature=20.0,
        hot_top_k=12,
        hot_top_p=0.95,
        hot_begin=1,
        hot_steps=2,
        seed=2**63 - 5,
        order="vllm",
        ties=TIES,
    )
    seen = logits_of(llm)
    (tokens,) = generate(llm, [prompt(1)], [params])
    drawn = [int(fire.sample(logits, step, [config])[0]) for step, logits in enumerate(seen)]
    assert tokens == drawn
    assert len(tokens) == 5


def test_a_seeded_request_gives_the_same_tokens_alone_and_in_any_batch(llm: Any) -> None:
    params = requests()
    prompts = [prompt(number) for number in range(len(params))]
    together = generate(llm, prompts, params)
    alone = [generate(llm, [each], [of])[0] for each, of in zip(prompts, params, strict=True)]
    assert together == alone
    # Every request twice, in another order, beside requests that have no seed.
    from vllm import SamplingParams

    order = np.random.default_rng(0).permutation(2 * len(params)) % len(params)
    others = [SamplingParams(max_tokens=3 + i % 5) for i in range(len(order))]
    mixed = [each for row, other in zip(order, others, strict=True) for each in (params[row], other)]
    mixed_prompts = [each for row in order for each in (prompts[row], prompt(50))]
    assert generate(llm, mixed_prompts, mixed)[::2] == [alone[row] for row in order]


def test_requests_without_a_seed_are_drawn_from_the_engines_seed_and_from_no_global_generator(
    llm: Any, logits_of: Callable[[Any], list[Logits]]
) -> None:
    from vllm import SamplingParams

    params = [SamplingParams(max_tokens=4, ignore_eos=True) for _ in range(16)]
    generators = torch.get_rng_state()
    tokens = generate(llm, [prompt(2)] * 16, params)
    assert torch.equal(torch.get_rng_state(), generators)
    assert len({tuple(each) for each in tokens}) > 8, "requests without a seed must not draw alike"


def test_top_k_does_with_equal_logits_what_the_engines_own_filter_does(
    llm: Any, logits_of: Callable[[Any], list[Logits]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm import SamplingParams

    model = model_runner(llm).model
    compute = model.compute_logits
    monkeypatch.setattr(model, "compute_logits", lambda *args: (compute(*args) / 4).round())
    seen = logits_of(llm)
    generate(llm, [prompt(4)], [SamplingParams(max_tokens=1)])
    (row,) = seen[0]
    order = np.argsort(-row, kind="stable")  # equal logits by id
    top_k = next(k for k in range(3, row.size) if row[order[k - 1]] == row[order[k]])
    draws = {1: 600, 2: 60}[RUNNER]
    params = [SamplingParams(max_tokens=1, top_k=top_k, temperature=2.0, seed=seed) for seed in range(draws)]
    drawn = {tokens[0] for tokens in generate(llm, [prompt(4)] * draws, params)}
    if TIES == "exact":
        assert drawn == set(order[:top_k].tolist())
    else:
        assert drawn == set(np.flatnonzero(row >= row[order[top_k]]).tolist())


@pytest.mark.parametrize("mode", ["raw_logprobs", "processed_logprobs", "processed_logits", "raw_logits"])
@pytest.mark.parametrize("number", [0, 3])
def test_logprobs_are_those_that_the_mode_names_for_the_token_that_was_drawn(
    llm: Any,
    logits_of: Callable[[Any], list[Logits]],
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    number: int,
) -> None:
    from vllm import SamplingParams

    sampler = model_runner(llm).sampler
    monkeypatch.setattr(sampler, "logprobs_mode", mode)
    hot = dict(fire_temperature=20.0, fire_top_k=12, fire_steps=1)
    plain = SamplingConfig(temperature=0.7, top_k=30, top_p=0.9, hot_steps=0, order="vllm", ties=TIES)  # type: ignore[arg-type]
    heated = plain.replace(hot_temperature=20.0, hot_top_k=12, hot_steps=None)
    cases = [
        (plain, SamplingParams(temperature=0.7, top_k=30, top_p=0.9, seed=5, max_tokens=2, logprobs=number)),
        (SamplingConfig(temperature=0.0), SamplingParams(temperature=0.0, max_tokens=2, logprobs=number)),
        (
            heated,
            SamplingParams(
                temperature=0.7, top_k=30, top_p=0.9, seed=5, max_tokens=2, logprobs=number, extra_args=hot
            ),
        ),
    ]
    seen = logits_of(llm)
    for config, params in cases:
        seen.clear()
        (output,) = llm.generate([prompt(3)], [params], use_tqdm=False)
        for step, (token, logprobs) in enumerate(
            zip(output.outputs[0].token_ids, output.outputs[0].logprobs, strict=True)
        ):
            expected = reported(mode, config, seen[step], step)
            assert logprobs[token].logprob == pytest.approx(expected[token], abs=2e-5)
            assert logprobs[token].rank == int((expected >= expected[token]).sum())
            top = np.argsort(-expected, kind="stable")[:number]
            assert set(logprobs) == {token, *top.tolist()}


def reported(mode: str, config: SamplingConfig, logits: Logits, step: int) -> npt.NDArray[np.float64]:
    """What vLLM documents for a mode: float64 [V], of logits [1, V]."""
    row: npt.NDArray[np.float64] = logits[0].astype(np.float64)
    if mode.startswith("processed") and config.temperature != 0:
        row = fire.process_logits(logits, step, config.replace(seed=0))[0].astype(np.float64)
    if mode.endswith("logits"):
        return row
    below = row - row.max()
    logprobs: npt.NDArray[np.float64] = below - np.log(np.exp(below).sum())
    return logprobs


if RUNNER == 2:  # V1 refuses fire_after

    def test_each_token_of_fire_after_opens_a_window_that_the_operator_draws_hot(
        llm: Any, logits_of: Callable[[Any], list[Logits]]
    ) -> None:
        from vllm import SamplingParams

        after = list(range(0, VOCABULARY, 3))
        hot = {"fire_temperature": 20.0, "fire_top_k": 12, "fire_steps": 2, "fire_after": after}
        others = {"fire_temperature": 20.0, "fire_top_k": 12, "fire_steps": 2}
        # Fills every slot with requests that have fire_after, then runs one without in a slot of theirs.
        fill = SamplingParams(max_tokens=1, extra_args=hot)
        generate(llm, [prompt(5)] * 8, [fill] * 8)
        for extra_args, opens in ((hot, set(after)), (others, set())):
            params = SamplingParams(
                max_tokens=12, ignore_eos=True, temperature=0.6, seed=3, extra_args=extra_args
            )
            beside = SamplingParams(max_tokens=12, ignore_eos=True, extra_args=hot)
            seen = logits_of(llm)
            tokens, _ = generate(llm, [prompt(5), prompt(6)], [params, beside])
            begin = 0
            for step, logits in enumerate(seen):
                config = SamplingConfig(
                    temperature=0.6,
                    hot_temperature=20.0,
                    hot_top_k=12,
                    hot_begin=begin,
                    hot_steps=2,
                    seed=3,
                    order="vllm",
                    ties="exact",
                )
                assert tokens[step] in {int(fire.sample(row[None], step, [config])[0]) for row in logits}
                begin = step + 1 if tokens[step] in opens else begin
