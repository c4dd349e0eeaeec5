"""The backend `fire` in SGLang's own classes: plugin loader, batches of settings, sampler, requests.

What no test reaches without a GPU is listed in docs/sglang.md.
"""

from __future__ import annotations

# isort: off
import sglang_batches  # first: SGLang wants torchvision's operators
# isort: on

import array
import json
from typing import Any

import pytest
import sglang.srt.layers.sampler as stock
import torch
from sglang.srt.plugins import GENERAL_PLUGINS_GROUP, load_plugins_by_group
from sglang.srt.plugins.hook_registry import HookRegistry
from sglang.srt.sampling import sampling_batch_info
from sglang_batches import HOT, Batch, StockBatchInfo, contract, last_positions, logits_of, request, run

import fire_sampling as fire
from fire_sampling.integrations import sglang as backend

configured = sglang_batches.configured


def test_the_entry_point_registers_the_backend_and_looks_at_requests_and_changes_nothing_else() -> None:
    before = set(stock._CUSTOM_SAMPLER_FACTORIES)
    plugins = load_plugins_by_group(GENERAL_PLUGINS_GROUP)
    function, _ = plugins["fire_sampling"]
    assert function is backend.register
    function()
    assert set(stock._CUSTOM_SAMPLER_FACTORIES) - before == {"fire"}
    assert sampling_batch_info.SamplingBatchInfo is StockBatchInfo
    assert list(HookRegistry._hooks) == ["sglang.srt.sampling.sampling_params.SamplingParams.verify"]
    HookRegistry.reset()
    stock._CUSTOM_SAMPLER_FACTORIES.pop("fire")


def test_every_row_is_drawn_by_its_own_request_through_merges_filters_and_steps(configured: Any) -> None:
    sampler = configured()
    first = [
        request("a", 5, sampling_seed=1, custom_params=HOT),
        request("b", 9, sampling_seed=2),
        request("c", 2, sampling_seed=3, custom_params={**HOT, "fire_steps": 3}, temperature=1.5),
    ]
    second = [request("d", 3, sampling_seed=4, custom_params=HOT), request("e", 1, sampling_seed=5, top_k=-1)]
    running, joining = Batch(*first), Batch(*second)
    info = running.info()
    info.merge_batch(joining.info())
    requests = first + second
    for step in range(4):
        if step == 2:
            keep = [4, 0, 2]
            info.filter_batch(keep, torch.tensor(keep))
            requests = [requests[index] for index in keep]
        for each in requests:
            each.output_ids = array.array("q", range(step))
        logits = logits_of(len(requests), step)
        forward = info.copy_for_forward()  # what the overlapped scheduler hands to the model runner
        tokens, _ = run(sampler, forward, logits, last_positions(requests))
        assert tokens == fire.sample(logits, step, contract(requests)).tolist()


def test_the_first_token_after_prefill_is_the_hot_one_even_after_a_retraction(configured: Any) -> None:
    sampler = configured()
    rows = 64
    logits = logits_of(1).expand(rows, -1)
    for output, hot in ((0, True), (1, False), (6, False)):
        # A retracted request is prefilled again with its output behind its prompt.
        requests = [request(f"{row}", 4, output, custom_params=HOT, top_k=2) for row in range(rows)]
        tokens, _ = run(sampler, Batch(*requests).info(), logits, last_positions(requests))
        assert (len(set(tokens)) > 8) == hot
        if not hot:
            assert set(tokens) <= set(logits[0].topk(2).indices.tolist())


def test_the_hot_parameters_are_not_overwritten_by_the_regular_ones(configured: Any) -> None:
    """The 2024 port to verl did that."""
    sampler = configured()
    requests = [
        request(f"{r}", custom_params={**HOT, "fire_top_p": 1.0}, temperature=0.1, top_k=3) for r in range(64)
    ]
    logits = logits_of(1).expand(64, -1)
    tokens, _ = run(sampler, Batch(*requests).info(), logits, last_positions(requests))
    likely = set(logits[0].topk(16).indices.tolist())
    assert set(tokens) <= likely
    # Each of 16 tokens is missed by 64 draws with a probability near (15/16)^64 = 0.016.
    assert len(set(tokens)) > 12


def test_each_of_n_samples_gets_a_first_token_of_its_own_prompt(configured: Any) -> None:
    """The 2024 port to verl paired first tokens with wrong prompts for n > 1."""
    sampler = configured()
    prompts, n = 4, 8
    requests = [
        request(f"{p}/{sample}", prompt=3 + p, custom_params={**HOT, "fire_top_k": 4, "fire_top_p": 1.0})
        for p in range(prompts)
        for sample in range(n)
    ]
    logits = logits_of(prompts).repeat_interleave(n, 0)
    order = torch.randperm(prompts * n, generator=torch.Generator().manual_seed(1))
    shuffled = [requests[index] for index in order]
    tokens, _ = run(sampler, Batch(*shuffled).info(), logits[order], last_positions(shuffled))
    for index, token in zip(order.tolist(), tokens, strict=True):
        assert token in logits[index].topk(4).indices.tolist()
    by_rid = {each.rid: token for each, token in zip(shuffled, tokens, strict=True)}
    again, _ = run(sampler, Batch(*requests).info(), logits, last_positions(requests))
    assert again == [by_rid[each.rid] for each in requests]
    assert all(len(set(again[n * p : n * p + n])) > 1 for p in range(prompts))


@pytest.mark.parametrize("design", ["iid", "stratified", "lattice", "enumerated"])
def test_requests_that_name_their_member_are_drawn_as_its_group_in_any_batch(
    configured: Any, design: Any
) -> None:
    sampler, n = configured(), 8
    group = {**HOT, "fire_top_p": 1.0, "fire_design": design, "fire_group_size": n}
    requests = [
        request(f"{member}", sampling_seed=5, custom_params={**group, "fire_member": member})
        for member in range(n)
    ]
    others = [request(f"other {row}", sampling_seed=5, custom_params=HOT) for row in range(n)]
    mixed = [each for pair in zip(reversed(requests), others, strict=True) for each in pair]
    logits = logits_of(1)
    tokens, _ = run(sampler, Batch(*mixed).info(), logits.expand(2 * n, -1), last_positions(mixed))
    hot = contract([request("", sampling_seed=5, custom_params={**HOT, "fire_top_p": 1.0})])[0]
    members = [hot.replace(hot_top_p=1.0, design=design, group_size=n, member=member) for member in range(n)]
    drawn = tokens[0::2][::-1]
    assert drawn == fire.sample(logits.expand(n, -1), 0, members).tolist()
    if design in ("lattice", "enumerated"):  # at that heat none of 16 tokens has a share above 1/8
        assert len(set(drawn)) == n


def test_an_end_of_sequence_as_hot_first_token_ends_the_request(configured: Any) -> None:
    sampler = configured()
    logits = logits_of(1).expand(32, -1)
    ends = logits[0].topk(16).indices[::2].tolist()
    requests = [request(f"{row}", custom_params=HOT, stop_token_ids=ends) for row in range(32)]
    tokens, _ = run(sampler, Batch(*requests).info(), logits, last_positions(requests))
    for each, token in zip(requests, tokens, strict=True):
        each.output_ids = array.array("q", [token])
        each.update_finish_state()
    finished = [each.finished() for each in requests]
    assert finished == [token in ends for token in tokens]
    assert 0 < sum(finished) < 32


def test_a_default_heats_sampled_requests_and_no_greedy_or_one_token_ones(
    configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_tokens(sampler: Any, **settings: Any) -> set[int]:
        requests = [request(f"{row}", **settings) for row in range(32)]
        logits = logits_of(1).expand(32, -1)
        return set(run(sampler, Batch(*requests).info(), logits, last_positions(requests))[0])

    best = {int(logits_of(1).argmax())}
    assert first_tokens(configured(), top_k=2) <= set(logits_of(1)[0].topk(2).indices.tolist())
    default = {"fire_temperature": 30, "fire_top_k": 16, "fire_top_p": 1, "fire_steps": 1}
    monkeypatch.setenv("FIRE_SGLANG_DEFAULT", json.dumps(default))
    sampler = configured()
    assert len(first_tokens(sampler, top_k=2)) > 8
    assert first_tokens(sampler, temperature=0.0) == best
    assert len(first_tokens(sampler, top_k=2, max_new_tokens=1)) <= 2
    assert len(first_tokens(sampler, top_k=2, custom_params={"fire_steps": 0})) <= 2
    assert len(first_tokens(sampler, temperature=0.0, custom_params={"fire_steps": 1})) > 8


def test_log_probabilities_are_those_of_the_distribution_that_the_token_came_from(configured: Any) -> None:
    sampler = configured()
    requests = [request("a", sampling_seed=1, custom_params=HOT), request("b", sampling_seed=2)]
    logits, positions = logits_of(2), last_positions(requests)
    distribution = fire.process_logits(logits, 0, contract(requests)).log_softmax(-1)
    distribution.clamp_(min=torch.finfo(torch.float32).min)  # as SGLang reports what cannot be drawn
    tokens, plain = run(sampler, Batch(*requests).info(), logits, positions, logprobs=True)
    _, full = run(
        sampler, Batch(*requests).info(), logits, positions, logprobs=True, top=3, of=[5, tokens[0]]
    )
    wanted = distribution.gather(1, torch.tensor(tokens)[:, None])[:, 0]
    for output in (plain, full):
        torch.testing.assert_close(output.next_token_logprobs, wanted, rtol=1e-5, atol=1e-5)
    assert plain.next_token_top_logprobs_val is None
    for row in range(2):
        values, ids = distribution[row].topk(3)
        assert full.next_token_top_logprobs_idx[row].tolist() == ids.tolist()
        torch.testing.assert_close(full.next_token_top_logprobs_val[row], values)
    of_five = full.next_token_token_ids_logprobs_val[0][0]
    assert of_five == distribution[0, 5]


def test_original_log_probabilities_are_those_of_the_plain_softmax(
    configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "SGLANG_RETURN_ORIGINAL_LOGPROB", True)
    sampler = configured()
    requests = [request("a", custom_params=HOT), request("b")]
    logits = logits_of(2)
    tokens, output = run(sampler, Batch(*requests).info(), logits, last_positions(requests), logprobs=True)
    wanted = logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]
    torch.testing.assert_close(output.next_token_logprobs, wanted)


def test_unseeded_requests_differ_by_id_and_repeat_under_the_same_engine_seed(configured: Any) -> None:
    logits = logits_of(1).expand(40, -1)
    requests = [request(f"{row}", temperature=3.0) for row in range(40)]
    drawn = [
        run(configured(random_seed=seed), Batch(*requests).info(), logits, last_positions(requests))[0]
        for seed in (7, 7, 8)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) > 1
