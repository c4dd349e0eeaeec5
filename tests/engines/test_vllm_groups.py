"""Groups in a real engine: each sample is drawn as the member that it is, however requests are scheduled."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine import TIES, Logits, engine, model_runner, watch_logits
from fused_requests import generate, prompt
from vllm.exceptions import VLLMValidationError

import fire_sampling.numpy as fire
from fire_sampling import SamplingConfig
from fire_sampling.integrations.vllm import fused

N, SEED, TOKENS = 6, 41, 3
DESIGNS = ("iid", "stratified", "lattice", "enumerated")
HOT = {"fire_temperature": 20.0, "fire_top_k": 12}
REGULAR: dict[str, Any] = dict(temperature=0.7, top_k=30, max_tokens=TOKENS, ignore_eos=True)


def samples(design: str, **fields: Any) -> Any:
    """One request of N samples."""
    from vllm import SamplingParams

    return SamplingParams(
        **{"n": N, "seed": SEED, **REGULAR, **fields}, extra_args={**HOT, "fire_design": design}
    )


def named(design: str, member: int, **fields: Any) -> Any:
    """The request of one member."""
    from vllm import SamplingParams

    group = {"fire_design": design, "fire_group_size": N, "fire_member": member}
    return SamplingParams(**{"seed": SEED, **REGULAR, **fields}, extra_args={**HOT, **group})


def config(design: Any, member: int, seed: int = SEED) -> SamplingConfig:
    """A member's config, written out by hand."""
    return SamplingConfig(
        temperature=0.7,
        top_k=30,
        hot_temperature=20.0,
        hot_top_k=12,
        order="vllm",
        ties=TIES,
        seed=seed,
        design=design,
        group_size=N,
        member=member,
    )


def completions(llm: Any, params: Any) -> list[list[int]]:
    """The tokens of each sample of one request."""
    (output,) = llm.generate([prompt(1)], [params], use_tqdm=False)
    return [list(sample.token_ids) for sample in output.outputs]


@dataclass(frozen=True)
class Together:
    """What an engine whose samples run side by side put out."""

    fused: dict[str, list[list[int]]]  # by design: the tokens of each of N samples
    first: dict[str, list[int]]  # the first tokens of the same samples where vLLM's own sampler draws


@pytest.fixture(scope="module")
def together(tiny_llama: Path) -> Together:
    with engine(str(tiny_llama)) as llm:
        first = {
            design: [token for (token,) in completions(llm, samples(design, max_tokens=1))]
            for design in DESIGNS
        }
        fused.install(model_runner(llm))
        by_design = {design: completions(llm, samples(design)) for design in DESIGNS}
        for design in DESIGNS:
            order = [4, 0, 5, 1, 3, 2]
            neighbours = [samples("iid", n=2, seed=7 + member) for member in order]
            params = [
                each
                for pair in zip([named(design, m) for m in order], neighbours, strict=True)
                for each in pair
            ]
            apart = generate(llm, [prompt(1), prompt(9)] * N, params)[::2]
            assert apart == [by_design[design][member] for member in order], (
                "n requests that name their member"
            )
    return Together(by_design, first)


@pytest.fixture(scope="module")
def one_by_one(tiny_llama: Path, together: Together) -> Iterator[Any]:
    """An engine that ends one sample before it begins another; two engines cannot live at once."""
    with engine(str(tiny_llama), max_num_seqs=1) as llm:
        fused.install(model_runner(llm))
        yield llm


@pytest.fixture
def seen(one_by_one: Any, monkeypatch: pytest.MonkeyPatch) -> list[Logits]:
    """The logits [1, V] of every step of `one_by_one`."""
    return watch_logits(one_by_one, monkeypatch)


@pytest.mark.parametrize("design", DESIGNS)
def test_each_sample_is_drawn_as_the_member_of_its_number_whenever_it_runs(
    design: str, together: Together, one_by_one: Any, seen: list[Logits]
) -> None:
    tokens = completions(one_by_one, samples(design))
    assert len(seen) == N * TOKENS
    drawn = [
        [
            int(fire.sample(seen[member * TOKENS + step], step, [config(design, member)])[0])
            for step in range(TOKENS)
        ]
        for member in range(N)
    ]
    assert tokens == drawn
    assert tokens == together.fused[design], "the same samples side by side"
    if design == "iid":  # handed over: vLLM draws those, by seeds of its own
        return
    assert together.first[design] == [own[0] for own in tokens], (
        "the processor alone draws the same first tokens"
    )
    first = Counter(own[0] for own in tokens)
    if design == "lattice":
        shares = np.exp(fire.process_logits(seen[0], 0, [config(design, 0)])[0].astype(np.float64))
        shares /= shares.sum()
        for token, share in enumerate(shares):
            assert np.floor(N * share) <= first[token] <= np.ceil(N * share)
        assert len(first) == N
    if design == "enumerated":
        assert list(first) == np.argsort(-seen[0][0], kind="stable")[:N].tolist()


def test_samples_without_a_seed_are_groups_of_their_own(one_by_one: Any, seen: list[Logits]) -> None:
    params = samples("lattice", seed=None, max_tokens=1)
    groups = [completions(one_by_one, params) for _ in range(6)]
    assert all(len({own[0] for own in group}) == N for group in groups)
    assert len({tuple(own[0] for own in group) for group in groups}) > 1
    assert params.seed is None
    assert params.extra_args == {**HOT, "fire_design": "lattice"}


def test_a_request_used_again_with_another_n_is_the_group_that_it_then_is(
    one_by_one: Any, seen: list[Logits]
) -> None:
    params = samples("stratified", max_tokens=1)
    completions(one_by_one, params)
    params.n, params.seed = 3, 8
    seen.clear()
    tokens = completions(one_by_one, params)
    drawn = [
        [
            int(
                fire.sample(
                    seen[0], 0, [config("stratified", member, seed=8).replace(group_size=3, member=member)]
                )[0]
            )
        ]
        for member in range(3)
    ]
    assert tokens == drawn


def test_a_request_that_is_no_group_is_refused_and_the_engine_goes_on(
    one_by_one: Any, together: Together
) -> None:
    from vllm import SamplingParams

    for params, message in (
        (samples("lattice", n=1), "fire_group_size: got none with fire_design 'lattice' and n 1"),
        (named("lattice", 2, n=2), "fire_group_size: got 6 with n 2, expected none, or n 1"),
        (named("lattice", N), "fire_member: got 6, expected 0 to 5 with fire_group_size 6"),
        (named("lattice", 2, seed=None), "seed: got none with fire_group_size 6, expected the group's"),
        (SamplingParams(n=2, extra_args={"fire_group": [0, 2]}), "'fire_group': no such key"),
    ):
        with pytest.raises(VLLMValidationError, match=f"^{message}"):
            completions(one_by_one, params)
    assert completions(one_by_one, samples("lattice")) == together.fused["lattice"]


def test_a_design_by_default_is_for_requests_of_several_samples(
    tiny_llama: Path, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm import SamplingParams

    monkeypatch.setenv("FIRE_VLLM_DEFAULT", json.dumps({**HOT, "fire_design": "lattice"}))
    with engine(str(tiny_llama)) as llm:
        fused.install(model_runner(llm))
        plain = SamplingParams(n=N, seed=SEED, **REGULAR)
        assert completions(llm, plain) == together.fused["lattice"]
        (alone,) = completions(llm, SamplingParams(seed=SEED, **REGULAR))
        assert len(alone) == TOKENS
