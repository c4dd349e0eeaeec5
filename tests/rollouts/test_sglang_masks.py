"""Sampling masks in SGLang: the support of each request's row, in SGLang's own outputs."""

from __future__ import annotations

# isort: off
import sglang_batches  # first: SGLang wants torchvision's operators
# isort: on

from typing import Any

import torch
from sglang.srt.layers.logits_processor import SamplingMaskStatus
from sglang.srt.managers.scheduler_components.batch_result_processor import (
    SchedulerBatchResultProcessor,
)
from sglang_batches import HOT, VOCABULARY, Batch, contract, last_positions, logits_of, request, run

import fire_sampling as fire

configured = sglang_batches.configured


def masked(configured: Any, requests: list[Any], logits: torch.Tensor, **server: Any) -> Any:
    """What a batch returns of masks, with the log-probabilities of whole supports for the last request."""
    for each in requests:
        each.return_sampling_mask = True
    requests[-1].sampling_logprobs_mode = "support"
    _, output = run(configured(**server), Batch(*requests).info(), logits, last_positions(requests))
    return output


def test_a_sampling_mask_holds_the_tokens_that_could_have_been_drawn_and_their_probabilities(
    configured: Any,
) -> None:
    requests = [
        request("a", sampling_seed=1, custom_params=HOT),
        request("b", sampling_seed=2),
        request("c", sampling_seed=3, temperature=0.0),
        request("d", sampling_seed=4, custom_params={**HOT, "fire_top_k": 40, "fire_top_p": 1.0}),
    ]
    logits = logits_of(4)
    output = masked(configured, requests, logits)
    processed = fire.process_logits(logits, 0, contract(requests))
    mask = output.sampling_mask_output
    assert mask.statuses.tolist() == [SamplingMaskStatus.OK] * 4
    assert mask.lengths.tolist() == processed.isfinite().sum(1).tolist()
    tokens = fire.sample(logits, 0, contract(requests))
    distribution = processed.log_softmax(-1)
    for row in range(4):
        ids = mask.token_ids[row, : mask.lengths[row]].tolist()
        assert sorted(ids) == processed[row].isfinite().nonzero()[:, 0].tolist()
        torch.testing.assert_close(mask.selected_logprobs[row], distribution[row, tokens[row]])
        if row == 3:
            torch.testing.assert_close(
                mask.support_logprobs[0, : len(ids)], distribution[row, ids], rtol=1e-5, atol=1e-5
            )
    # As the scheduler hands them on to the requests.
    SchedulerBatchResultProcessor.materialize_sampling_mask_output(requests, output)
    assert [len(each) for each in output.next_token_sampling_mask_idx] == mask.lengths.tolist()
    assert [len(each) for each in output.next_token_sampling_logprobs] == [1, 1, 1, 40]


def test_the_masks_of_some_requests_are_those_of_their_own_rows(configured: Any) -> None:
    requests = [request(f"{row}", sampling_seed=row, top_k=2 + 3 * row) for row in range(5)]
    for row in (1, 4):
        requests[row].return_sampling_mask = True
    logits = logits_of(5)
    tokens, output = run(configured(), Batch(*requests).info(), logits, last_positions(requests))
    assert tokens == fire.sample(logits, 0, contract(requests)).tolist()
    kept = fire.process_logits(logits, 0, contract(requests)).isfinite()
    mask = output.sampling_mask_output
    for place, row in enumerate((1, 4)):
        ids = mask.token_ids[place, : mask.lengths[place]].tolist()
        assert sorted(ids) == kept[row].nonzero()[:, 0].tolist()
    assert mask.token_ids.shape == (2, 14), "expected as many places as the larger of their top-k"


def test_masks_follow_their_requests_through_merges_and_filters(configured: Any) -> None:
    sampler = configured()
    first = [request("a", top_k=3), request("b", top_k=9)]
    second = [request("c", top_k=30, top_p=1.0, min_p=0.0), request("d", custom_params=HOT)]
    for each in first + second:
        each.return_sampling_mask = True
    info = Batch(*first).info()
    info.merge_batch(Batch(*second).info())
    keep = [2, 0, 3]
    info.filter_batch(keep, torch.tensor(keep))
    requests = [(first + second)[index] for index in keep]
    logits = logits_of(3)
    _, output = run(sampler, info.copy_for_forward(), logits, last_positions(requests))
    for each in requests:
        each.sampling_params.sampling_seed = 0
    kept = fire.process_logits(logits, 0, contract(requests)).isfinite()
    mask = output.sampling_mask_output
    assert mask.lengths.tolist() == kept.sum(1).tolist()
    assert mask.lengths[0] == 30


def test_a_support_beyond_the_servers_limit_is_told_as_such_and_one_at_it_is_not(configured: Any) -> None:
    wide = dict(top_p=1.0, min_p=0.0)
    requests = [request("a", top_k=8, **wide), request("b", top_k=9, **wide), request("c", top_k=-1, **wide)]
    output = masked(configured, requests, logits_of(3), sampling_mask_max_tokens=8)
    mask = output.sampling_mask_output
    assert mask.statuses.tolist() == [
        SamplingMaskStatus.OK,
        SamplingMaskStatus.OVERFLOW,
        SamplingMaskStatus.OVERFLOW,
    ]
    assert mask.lengths.tolist() == [8, 8, 8]


def test_a_token_too_improbable_to_be_drawn_leaves_no_hole_in_a_mask(configured: Any) -> None:
    requests = [request("a", sampling_seed=1, top_k=4, top_p=1.0, min_p=0.0, temperature=0.1)]
    logits = torch.full((1, VOCABULARY), -1000.0)
    logits[0, [3, 7, 50, 200]] = torch.tensor([-900.0, 1.0, -950.0, 1.1])
    output = masked(configured, requests, logits)
    mask = output.sampling_mask_output
    assert mask.token_ids[0, : mask.lengths[0]].tolist() == [200, 7]
