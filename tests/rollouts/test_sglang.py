"""The backend `fire` in SGLang's own classes: plugin loader, batches of settings, sampler, requests.

What no test reaches without a GPU is listed in docs/sglang.md.
"""

from __future__ import annotations

# isort: off
import torchvision_operators  # noqa: F401
# isort: on

import array
import json
import logging
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import sglang.srt.layers.sampler as stock
import torch
from sglang.srt.layers.logits_processor import LogitsProcessorOutput, SamplingMaskStatus
from sglang.srt.managers.schedule_batch import Req
from sglang.srt.managers.scheduler_components.batch_result_processor import (
    SchedulerBatchResultProcessor,
)
from sglang.srt.plugins import GENERAL_PLUGINS_GROUP, load_plugins_by_group
from sglang.srt.plugins.hook_registry import HookRegistry
from sglang.srt.runtime_context import get_context
from sglang.srt.sampling import sampling_batch_info
from sglang.srt.sampling.sampling_params import SamplingParams

import fire_sampling as fire
from fire_sampling.integrations import sglang as backend

VOCABULARY = 320
StockBatchInfo = sampling_batch_info.SamplingBatchInfo
HOT: dict[str, Any] = {"fire_temperature": 30.0, "fire_top_k": 16}
LATTICE: dict[str, Any] = {**HOT, "fire_design": "lattice"}
MEMBER: dict[str, Any] = {**LATTICE, "fire_group_size": 4, "fire_member": 3}
REGULAR: dict[str, Any] = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "min_p": 0.01}


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Makes SGLang's sampler for a server configured as said; every change is undone at the end."""
    group = SimpleNamespace(device_group=None, world_size=1)
    monkeypatch.setattr(stock, "get_parallel", lambda: SimpleNamespace(tp_group=group))
    monkeypatch.setattr(stock, "is_dp_attention_enabled", lambda: False)
    monkeypatch.delenv("FIRE_SGLANG_DEFAULT", raising=False)
    overrides = []

    def configure(**arguments: Any) -> Any:
        settings = {"device": "cpu", "sampling_backend": "fire", "random_seed": 7, **arguments}
        override = get_context().override_server_args(**settings)
        override.__enter__()
        overrides.append(override)
        backend.register()
        return stock.create_sampler()

    yield configure
    for override in reversed(overrides):
        override.__exit__(None, None, None)
    sampling_batch_info.SamplingBatchInfo = StockBatchInfo
    HookRegistry.reset()
    stock._CUSTOM_SAMPLER_FACTORIES.pop("fire", None)


class Batch:
    """What of a `ScheduleBatch` its sampling settings are made from."""

    def __init__(self, *requests: Any) -> None:
        self.reqs = list(requests)
        self.device = "cpu"

    def info(self) -> Any:
        return sampling_batch_info.SamplingBatchInfo.from_schedule_batch(self, VOCABULARY)


def request(rid: str, prompt: int = 5, output: int = 0, **settings: Any) -> Any:
    """A request of SGLang with a prompt of so many tokens, of which `output` more have been generated."""
    params = SamplingParams(**{"max_new_tokens": 32, **REGULAR, **settings})
    params.normalize(None)
    made = Req(rid, "", array.array("q", range(prompt)), params, vocab_size=VOCABULARY)
    made.output_ids = array.array("q", range(output))
    return made


def logits_of(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


def last_positions(requests: list[Any]) -> torch.Tensor:
    """As SGLang's model runner has them: of the last token that the model has seen."""
    return torch.tensor([len(each.origin_input_ids) + len(each.output_ids) - 1 for each in requests])


def run(
    sampler: Any,
    info: Any,
    logits: torch.Tensor,
    positions: torch.Tensor,
    logprobs: bool = False,
    top: int = 0,
    of: list[int] | None = None,
) -> tuple[list[int], Any]:
    output = LogitsProcessorOutput(next_token_logits=logits.clone())
    rows = logits.shape[0]
    token = sampler(output, info, logprobs, [top] * rows, [of] * rows, positions)
    return token.tolist(), output


def contract(requests: list[Any]) -> list[fire.SamplingConfig]:
    """The config of each of some requests with `sampling_seed`, written out by hand."""
    configs = []
    for each in requests:
        params = each.sampling_params
        keys = params.custom_params or {}
        configs.append(
            fire.SamplingConfig(
                temperature=params.temperature,
                top_k=params.top_k,
                top_p=params.top_p,
                min_p=params.min_p,
                hot_temperature=keys.get("fire_temperature"),
                hot_top_k=keys.get("fire_top_k"),
                hot_steps=keys.get("fire_steps", 1 if keys else 0),
                order="joint",
                seed=params.sampling_seed,
            )
        )
    return configs


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


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"fire_top_p": 2.0}, "fire_top_p: got 2.0, expected [0, 1]"),
        ({"fire_heat": 2.0}, "'fire_heat': no such key, expected one of fire_temperature, fire_top_k,"),
        ({"hot_top_k": 4}, "'hot_top_k': no such key, expected fire_top_k"),
    ],
)
def test_keys_that_do_not_fit_and_were_not_refused_leave_their_request_without_fire_and_are_logged(
    configured: Any, caplog: pytest.LogCaptureFixture, keys: dict[str, Any], message: str
) -> None:
    sampler = configured()
    logger = logging.getLogger("sglang.srt.fire_sampling")
    logger.addHandler(caplog.handler)
    bad, good = request("bad", sampling_seed=3, custom_params=keys), request("good", sampling_seed=3)
    logits = logits_of(1).expand(2, -1)
    tokens, _ = run(sampler, Batch(bad, good).info(), logits, last_positions([bad, good]))
    logger.removeHandler(caplog.handler)
    assert tokens[0] == tokens[1]
    assert f"Request bad is sampled without FIRE: {message}" in caplog.text


@pytest.mark.parametrize(
    "default",
    [
        "hot",
        "[1]",
        "{}",
        '{"fire_steps": -1}',
        '{"temperature": 2}',
        '{"hot_temperature": 30}',
        '{"fire_design": "lattice"}',
        '{"fire_design": "lattice", "fire_group_size": 4, "fire_member": 0}',
    ],
)
def test_a_default_that_does_not_fit_stops_the_server_at_its_start(
    configured: Any, monkeypatch: pytest.MonkeyPatch, default: str
) -> None:
    monkeypatch.setenv("FIRE_SGLANG_DEFAULT", default)
    with pytest.raises(ValueError, match=r"^FIRE_SGLANG_DEFAULT: .* expected"):
        configured()


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """What SGLang's tokenizer manager does with the settings of a request, plugin and all."""
    original = SamplingParams.verify
    backend._warn_once.cache_clear()

    def settle(**settings: Any) -> None:
        HookRegistry.apply_hooks()
        params = SamplingParams(**{**REGULAR, **settings})
        params.normalize(None)
        params.verify(VOCABULARY)

    yield settle
    SamplingParams.verify = original
    HookRegistry.reset()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"custom_params": {"fire_top_p": 2.0}}, r"fire_top_p: got 2\.0, expected \[0, 1\]"),
        ({"custom_params": {"fire_heat": 2.0}}, "'fire_heat': no such key, expected one of fire_temperature"),
        ({"custom_params": {"hot_top_k": 4}}, "'hot_top_k': no such key, expected fire_top_k"),
        ({"custom_params": HOT, "temperature": 0.0}, "fire_steps: got none with temperature 0, expected 1"),
        (
            {"custom_params": LATTICE, "n": 4, "sampling_seed": 1},
            "n: got 4 with fire_design 'lattice', expected 1",
        ),
        (
            {"custom_params": LATTICE},
            "fire_group_size: got none with fire_design 'lattice', expected the size",
        ),
        ({"custom_params": MEMBER}, "sampling_seed: got none with fire_group_size 4, expected the group's"),
        (
            {"custom_params": {**MEMBER, "fire_begin": 2}, "sampling_seed": 1},
            "fire_begin, fire_steps: got 2, 1 with fire_design 'lattice', expected a hot window from step 0",
        ),
    ],
)
def test_a_wrong_request_is_refused_where_it_comes(
    configured: Any, verify: Any, settings: dict[str, Any], message: str
) -> None:
    configured()
    with pytest.raises(ValueError, match=f"^{message}"):
        verify(**settings)
    verify(custom_params=HOT)
    verify(custom_params=MEMBER, sampling_seed=1)
    verify(custom_params={"fire_steps": 1}, temperature=0.0)
    verify(custom_params={"theirs": 1})


def test_keys_and_a_default_that_nothing_reads_are_said_once(
    configured: Any, verify: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(backend.logger, "warning", lambda message, *args: said.append(message % args))
    configured(sampling_backend="pytorch")
    verify()
    verify(custom_params={"theirs": 1})
    assert said == []
    for _ in range(3):
        verify(custom_params=HOT)
    monkeypatch.setenv("FIRE_SGLANG_DEFAULT", json.dumps(HOT))
    verify()
    verify()
    where = "the sampling backend is pytorch, expected fire"
    assert said == [
        f"fire_sampling: nothing reads the fire_ keys of requests: {where}",
        f"fire_sampling: FIRE_SGLANG_DEFAULT is set, and nothing reads it: {where}",
    ]


def test_what_samples_by_a_path_of_its_own_is_refused_at_the_start(configured: Any) -> None:
    with pytest.raises(ValueError, match=r"speculative_algorithm is 'NGRAM', expected none"):
        configured(speculative_algorithm="NGRAM")


def test_another_sglang_is_told_which_one_the_backend_was_made_for(
    configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fire_sampling.integrations.sglang.sampler", None)
    with pytest.raises(RuntimeError, match=r"made for SGLang 0\.5\.23, found 0\.5\.23: import of"):
        configured()


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
