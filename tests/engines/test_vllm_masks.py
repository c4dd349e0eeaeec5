"""Sampling masks of the V2 runner: the fused sampler's supports, in an engine without logits processors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from child import run_child
from engine import Logits, engine, model_runner, watch_logits
from fused_requests import prompt
from tiny_llama import VOCABULARY

import fire_sampling.numpy as fire
import fire_sampling_vllm as plugin
from fire_sampling import SamplingConfig
from fire_sampling.integrations.vllm.fused import masks

Answer = tuple[list[int], list[list[int]]]  # the tokens, and the mask of each

MASKED: dict[str, Any] = dict(
    logits_processors=None, return_sampling_mask=True, logprobs_mode="processed_logprobs"
)
HOT = {"fire_temperature": 20.0, "fire_top_k": 40}
# Keys of a request → its config, of which the operator makes token and support once more.
KINDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (dict(temperature=0.8, top_k=7, top_p=0.9), dict(hot_steps=0)),
    (dict(temperature=1.3, top_k=300, min_p=0.05), dict(hot_steps=0)),
    (dict(temperature=0.8, top_k=7, extra_args=HOT), dict(hot_temperature=20.0, hot_top_k=40)),
    (
        dict(temperature=0.8, top_k=20, top_p=0.9, extra_args={**HOT, "fire_top_p": 0.7, "fire_top_k": 12}),
        dict(hot_temperature=20.0, hot_top_k=12, hot_top_p=0.7),
    ),
    (
        dict(temperature=0.8, top_k=5, extra_args={**HOT, "fire_begin": 2, "fire_steps": 2}),
        dict(hot_temperature=20.0, hot_top_k=40, hot_begin=2, hot_steps=2),
    ),
    (
        dict(temperature=0.8, top_k=5, extra_args={"fire_temperature": 0.0}),
        dict(hot_temperature=0.0),
    ),
]


@pytest.fixture(scope="module", autouse=True)
def _asked() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRE_VLLM", "1")
        plugin.register()
        yield


@pytest.fixture(scope="module")
def llm(_asked: None, tiny_llama: Path) -> Iterator[Any]:
    with engine(str(tiny_llama), **MASKED) as running:
        assert type(model_runner(running).sampler).__name__ == "FusedSampler"
        yield running


def params_of(number: int, **changes: Any) -> Any:
    from vllm import SamplingParams

    kind, _ = KINDS[number % len(KINDS)]
    return SamplingParams(**{"max_tokens": 5, "ignore_eos": True, "seed": 100 + number, **kind, **changes})


def config_of(number: int) -> SamplingConfig:
    kind, hot = KINDS[number % len(KINDS)]
    regular = {name: value for name, value in kind.items() if name != "extra_args"}
    return SamplingConfig(**regular, **hot, order="vllm", ties="exact", seed=100 + number)


def answers(llm: Any, prompts: list[Any], params: list[Any]) -> list[Answer]:
    found = []
    for output in llm.generate(prompts, params, use_tqdm=False):
        completion = output.outputs[0]
        found.append((list(completion.token_ids), completion.sampling_mask.token_ids))
        assert len(completion.sampling_mask.token_ids) == len(completion.token_ids)
    return found


@pytest.fixture
def logits_of(llm: Any, monkeypatch: pytest.MonkeyPatch) -> list[Logits]:
    """A copy of the logits of every step, as the engine's model makes them."""
    return watch_logits(llm, monkeypatch)


def support_of(logits: Logits, step: int, config: SamplingConfig) -> list[int]:
    """The ids of one row's kept set, by another operator than the one that fills masks."""
    ids: list[int] = np.flatnonzero(np.isfinite(fire.process_logits(logits, step, [config])[0])).tolist()
    return ids


@pytest.mark.parametrize("number", range(len(KINDS)))
@pytest.mark.parametrize("logprobs", [None, 0, 3])
def test_tokens_and_masks_are_the_operators_own_for_the_same_logits(
    llm: Any, logits_of: list[Logits], number: int, logprobs: int | None
) -> None:
    (output,) = llm.generate([prompt(number)], [params_of(number, logprobs=logprobs)], use_tqdm=False)
    completion, config = output.outputs[0], config_of(number)
    for step, logits in enumerate(logits_of):
        token = int(fire.sample(logits, step, [config])[0])
        assert completion.token_ids[step] == token
        assert completion.sampling_mask.token_ids[step] == support_of(logits, step, config)
        if logprobs is not None:
            drawn = fire.sample_with_logprobs(logits, step, [config.replace(ref_temperature=1.0)])
            greedy = config.hot_temperature == 0 and step == 0  # vLLM reports it among all
            expected = (drawn.ref_logprob if greedy else drawn.logprob)[0]
            assert completion.logprobs[step][token].logprob == pytest.approx(expected, abs=2e-5)
    assert len(logits_of) == 5


def test_a_request_gets_the_same_tokens_and_masks_alone_and_among_others(llm: Any) -> None:
    numbers = range(3 * len(KINDS))
    prompts, params = [prompt(number) for number in numbers], [params_of(number) for number in numbers]
    alone = [answers(llm, [each], [of])[0] for each, of in zip(prompts, params, strict=True)]
    assert answers(llm, prompts, params) == alone
    assert answers(llm, prompts[::-1], params[::-1])[::-1] == alone


def test_edited_logits_are_what_the_mask_is_of(llm: Any) -> None:
    allowed = [5, 9, 11, 200]
    params = [params_of(number, presence_penalty=0.5, allowed_token_ids=allowed) for number in (0, 2)]
    (_, regular), (_, hot) = answers(llm, [prompt(1)] * 2, params)
    assert all(mask and set(mask) <= set(allowed) for mask in regular)
    assert hot[0] == allowed
    assert all(mask and set(mask) <= set(allowed) for mask in hot)


def test_a_prompt_that_is_read_in_pieces_has_masks_for_its_tokens_alone(llm: Any) -> None:
    """A budget of 2,048 tokens a step: the last prompts are read in two pieces, beside others that draw."""
    params = [params_of(number) for number in range(20)]
    long = [prompt(number, length=240) for number in range(20)]
    together = answers(llm, long, params)
    assert together == [answers(llm, [each], [of])[0] for each, of in zip(long, params, strict=True)]


def test_supports_of_more_places_than_vllm_sends_as_ids_come_as_bits(
    llm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[torch.Size] = []
    pack = masks.support_mask

    def pack_and_note(support: torch.Tensor, vocabulary: int) -> torch.Tensor:
        packed.append(support.shape)
        return pack(support, vocabulary)

    numbers = range(len(KINDS))
    prompts, params = [prompt(number) for number in numbers], [params_of(number) for number in numbers]
    monkeypatch.setattr(masks, "support_mask", pack_and_note)
    as_ids = answers(llm, prompts, params)
    assert packed == []
    monkeypatch.setattr(masks.vllms, "MAX_COMPACT_SUPPORT", 4)
    assert answers(llm, prompts, params) == as_ids
    assert packed == [(len(KINDS), 300)] * 5


def test_the_samples_of_a_request_are_a_group_with_a_mask_each(llm: Any) -> None:
    keys = {**HOT, "fire_top_k": 16, "fire_design": "lattice"}
    (output,) = llm.generate([prompt(3)], params_of(0, n=8, extra_args=keys), use_tqdm=False)
    firsts = [completion.token_ids[0] for completion in output.outputs]
    found = [completion.sampling_mask.token_ids[0] for completion in output.outputs]
    assert len(set(firsts)) == 8
    assert all(mask == found[0] for mask in found)
    assert set(firsts) <= set(found[0])


def test_each_token_of_fire_after_opens_a_window_whose_masks_are_hot(llm: Any) -> None:
    after = list(range(0, VOCABULARY, 3))
    keys = {**HOT, "fire_steps": 2, "fire_after": after}
    ((tokens, found),) = answers(
        llm, [prompt(5)], [params_of(0, max_tokens=16, temperature=0.6, extra_args=keys)]
    )
    begin = 0
    for step, (token, mask) in enumerate(zip(tokens, found, strict=True)):
        hot = begin <= step < begin + 2
        assert (len(mask) > 7) == hot
        begin = step + 1 if token in after else begin
    assert any(token in after for token in tokens[2:-1]), "expected a window that opens in mid-sequence"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"fire_top_p": 3}, "fire_top_p: got 3.0, expected [0, 1]"),
        ({"fire_temp": 30}, "'fire_temp': no such key, expected one of fire_temperature"),
        ({"hot_temperature": 30.0}, "'hot_temperature': no such key, expected fire_temperature"),
        ({"fire_top_k": 0}, "fire_top_k: got 0, expected 1 or more: vLLM bounds a sampling mask by top-k"),
        ({"fire_group": [1, 2]}, "'fire_group': no such key, expected one of"),
        ({"fire_design": "lattice"}, "fire_group_size: got none with fire_design 'lattice' and n 1"),
    ],
)
def test_wrong_keys_are_refused_before_the_engine_sees_the_request(
    llm: Any, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], message: str
) -> None:
    from vllm.exceptions import VLLMValidationError

    came: list[Any] = []
    monkeypatch.setattr(llm.llm_engine.engine_core, "add_request", came.append)
    with pytest.raises(VLLMValidationError) as refused:
        llm.generate([prompt(1)], [params_of(0, extra_args=keys)], use_tqdm=False)
    assert message in str(refused.value)
    assert came == []


def test_log_probabilities_of_one_hot_rows_are_no_reason_to_refuse_where_the_operator_draws(llm: Any) -> None:
    # A hot top-k above the regular one could not be handed over to vLLM's own sampler.
    (output,) = llm.generate([prompt(2)], [params_of(2, logprobs=0)], use_tqdm=False)
    first = output.outputs[0]
    assert len(first.sampling_mask.token_ids[0]) == 40
    assert -6 < first.logprobs[0][first.token_ids[0]].logprob < -2


def test_regular_masks_are_those_of_vllms_own_sampler(llm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [0, 1]
    prompts = [prompt(number) for number in numbers]
    params = [params_of(number, max_tokens=1) for number in numbers]
    fused = answers(llm, prompts, params)
    sampler = model_runner(llm).sampler
    monkeypatch.setattr(sampler, "__class__", type(sampler).__mro__[1])
    theirs = answers(llm, prompts, params)
    assert [mask for _, mask in theirs] == [mask for _, mask in fused]


_ENGINE = """
from fire_sampling import selftest
{before}
with engine({model!r}, logits_processors=None, return_sampling_mask=True,
            logprobs_mode="processed_logprobs") as llm:
    params = SamplingParams(temperature=0.8, top_k=5, seed=1, max_tokens=3, ignore_eos=True)
    (output,) = llm.generate([{{"prompt_token_ids": [5, 9, 30]}}], params, use_tqdm=False)
    result = [len(mask) for mask in output.outputs[0].sampling_mask.token_ids]
"""


def test_the_default_heats_the_requests_of_an_engine_that_returns_masks(tiny_llama: Path) -> None:
    program = _ENGINE.format(model=str(tiny_llama), before="")
    default = '{"fire_temperature": 30, "fire_top_k": 4}'
    _, result, log = run_child(program, FIRE_VLLM="1", FIRE_VLLM_DEFAULT=default, VLLM_LOGGING_LEVEL="INFO")
    assert result == [4, 5, 5], log
    assert f"FIRE_VLLM_DEFAULT heats those without: {default}" in log
    assert "the fused sampler draws the tokens, hot steps too" in log


def test_an_engine_whose_fused_sampler_cannot_be_installed_ends_instead_of_drawing_hot_requests_cold(
    tiny_llama: Path,
) -> None:
    broken = "selftest.mismatches = lambda draw, dtypes: ['bell float32: got 1, expected 2']"
    program = _ENGINE.format(model=str(tiny_llama), before=broken)
    status, result, log = run_child(program, FIRE_VLLM="1")
    assert status != 0
    assert result is None
    assert "FIRE_VLLM=1 with sampling masks needs the fused sampler" in log
    assert "bell float32: got 1, expected 2" in log
    status, result, log = run_child(program, FIRE_VLLM="0")
    assert (status, result) == (0, [5, 5, 5]), log
