"""Groups in requests to vLLM, without vLLM: who is which member, what is refused. Engines: tests/engines."""

from __future__ import annotations

import copy
import functools
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from vllm_stand_ins import VOCABULARY, sampling_params, vllm_config

import fire_sampling.numpy as fire
from fire_sampling import SamplingConfig
from fire_sampling.integrations.hot_keys import FireSettings, HotKeys
from fire_sampling.integrations.vllm.admission import Engine, refusal
from fire_sampling.integrations.vllm.groups import tell_apart
from fire_sampling.integrations.vllm.heat.v1 import HeatV1Rows
from fire_sampling.integrations.vllm.records import Recorder
from fire_sampling.integrations.vllm.requests import GROUP, HOT_KEYS, fire_request, settings_for
from fire_sampling_vllm import front_end
from fire_sampling_vllm.switch import PROCESSOR

HOT: dict[str, Any] = {"fire_temperature": 20.0, "fire_top_k": 12}
LATTICE = {**HOT, "fire_design": "lattice"}
# Of an engine that can do all that any can.
ABLE = Engine(2, "raw_logprobs", False, VOCABULARY, tells_apart=True)


params = functools.partial(sampling_params, temperature=0.7)


def children(parent: Any, transported: bool = False) -> list[Any]:
    """What vLLM's `ParentRequest` makes of the engine's copy of a request; `transported`: as the worker of
    another process has them, where a seed of -1 is none.
    """
    made = []
    for index in range(parent.n):
        child = copy.copy(parent)
        child.n = 1
        child.seed = parent.seed + index
        if transported and child.seed == -1:
            child.seed = None
        made.append(child)
    return made


def told_apart(**fields: Any) -> Any:
    request = params(**fields)
    tell_apart(request, "id", engine_seed=0)
    return request


def settings_of(keys: dict[str, Any]) -> FireSettings:
    settings = HOT_KEYS.read(keys)
    assert settings is not None
    return settings


def member(index: int, size: int, seed: int, design: Any = "lattice") -> SamplingConfig:
    """The config of a member, written out by hand."""
    regular = dict(temperature=0.7, top_k=0, top_p=1.0, min_p=0.0)
    hot = dict(hot_temperature=20.0, hot_top_k=12)
    group = dict(design=design, group_size=size, member=index)
    return SamplingConfig(**regular, **hot, **group, order="vllm", seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [0, 7, -3, -1000, 2**40])
@pytest.mark.parametrize("transported", [False, True])
def test_children_in_any_order_are_the_members_of_their_parents_group(seed: int, transported: bool) -> None:
    recorder = Recorder(vllm_config())
    parent = told_apart(n=5, seed=seed, extra_args=LATTICE)
    for index in (3, 0, 4, 1, 2):
        request = recorder.heated(children(parent, transported)[index])
        assert request is not None
        expected = fire.pack([member(index, 5, seed)])[0]
        assert np.array_equal(recorder.record(request.config).view(np.uint32), expected)


def test_a_request_that_names_its_member_is_what_the_child_of_that_number_is() -> None:
    parent = told_apart(n=5, seed=11, extra_args=LATTICE)
    for index, child in enumerate(children(parent)):
        named = {**LATTICE, "fire_group_size": 5, "fire_member": index}
        alone = params(seed=11, extra_args=named)
        (one, other) = (
            fire_request(each, settings) if (settings := settings_for(each, None)) else None
            for each in (child, alone)
        )
        assert one == other
        assert one is not None
        assert one.config == member(index, 5, 11)


def test_samples_without_a_seed_get_one_of_their_own_which_no_child_takes_beyond_64_bits() -> None:
    parents = [told_apart(n=4, extra_args=LATTICE) for _ in range(50)]
    assert len({parent.seed for parent in parents}) == 50
    assert all(0 <= parent.seed < 2**63 - 65_536 for parent in parents)
    recorder = Recorder(vllm_config())
    for parent in parents:
        configs = [request.config for child in children(parent) if (request := recorder.heated(child))]
        assert configs == [member(index, 4, parent.seed) for index in range(4)]


def test_the_settings_that_a_user_holds_are_left_as_they_are() -> None:
    keys = dict(LATTICE)
    request = params(n=4, extra_args=keys)
    clone = copy.copy(request)  # as vLLM copies settings that need no deep copy
    tell_apart(clone, "id", 0)
    assert keys == LATTICE
    assert request.extra_args is keys
    assert request.seed is None
    assert clone.extra_args == {**LATTICE, GROUP: [clone.seed, 4]}


@pytest.mark.parametrize("keys", [None, {}, HOT, {**HOT, "fire_design": "none"}, {"theirs": 1}])
def test_samples_that_are_no_group_keep_their_seeds_and_settings(keys: Any) -> None:
    request = told_apart(n=4, extra_args=keys)
    assert request.seed is None
    assert request.extra_args == keys


def test_a_design_of_the_default_is_for_requests_of_several_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRE_VLLM_DEFAULT", json.dumps(LATTICE))
    recorder = Recorder(vllm_config())
    configs = [
        request.config for child in children(told_apart(n=3, seed=5)) if (request := recorder.heated(child))
    ]
    assert configs == [member(index, 3, 5) for index in range(3)]
    alone = recorder.heated(params(seed=5))
    assert alone is not None
    assert alone.config == member(0, 1, 5).replace(design=None, group_size=None, member=None)
    # What a request says for itself goes before all of a default; what it leaves alone stays alone.
    own = told_apart(n=3, seed=5, extra_args=HOT)
    assert GROUP not in own.extra_args
    assert recorder.heated(told_apart(n=3, seed=5, max_tokens=1)) is None


@pytest.mark.parametrize("design", ["iid", "stratified", "lattice", "enumerated"])
def test_the_processor_hands_over_rows_of_iid_members_alone_and_draws_the_others(design: str) -> None:
    parent = told_apart(n=6, seed=3, extra_args={**LATTICE, "fire_design": design})
    rows = HeatV1Rows(vllm_config())
    added: list[Any] = [(row, child, None, []) for row, child in enumerate(children(parent))]
    rows.update(SimpleNamespace(removed=[], added=added, moved=[]))
    before = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(0)).repeat(6, 1)
    after = before.clone()
    rows.heat(after)
    kept = after.isfinite().sum(dim=1).tolist()
    if design == "iid":
        assert kept == [12] * 6
        return
    assert kept == [1] * 6
    configs = [member(index, 6, 3, design) for index in range(6)]
    tokens = after.argmax(dim=1).tolist()
    assert tokens == fire.sample(before.numpy(), 0, configs).tolist()
    if design == "enumerated":
        assert tokens == before[0].topk(6).indices.tolist()
    if design == "lattice":  # at that heat none of 12 tokens has a share above 1/6
        assert len(set(tokens)) == 6


def test_what_makes_no_group_is_refused_with_its_key() -> None:
    member_of_4 = {**LATTICE, "fire_group_size": 4, "fire_member": 1}
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        (
            {},
            LATTICE,
            "fire_group_size: got none with fire_design 'lattice' and n 1, expected a group: n above",
        ),
        ({"n": 4}, member_of_4, "fire_group_size: got 4 with n 4, expected none, or n 1"),
        ({}, member_of_4, "seed: got none with fire_group_size 4, expected the group's"),
        ({"n": 65_537}, LATTICE, "n: got 65537, expected 1 to 65536"),
    ]
    for fields, keys, message in cases:
        settings = settings_of(keys)
        with pytest.raises(ValueError, match=f"^{message}"):
            fire_request(params(extra_args=keys, **fields), settings)
    alone = {**LATTICE, "fire_group_size": 1, "fire_member": 0}
    assert fire_request(params(extra_args=alone), settings_of(alone)).config.seed is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"fire_design": 3}, "fire_design: got 3, expected one of 'none'"),
        ({"fire_group_size": 4}, "fire_group_size: got 4, expected none without a fire_design"),
        (
            {"fire_member": 4, "fire_design": "none"},
            "fire_member: got 4, expected none without a fire_design",
        ),
        ({**LATTICE, "fire_member": 4}, "fire_group_size: got none with fire_member 4, expected the size"),
        ({**LATTICE, "fire_group_size": 4}, "fire_member: got none with fire_group_size 4, expected 0 to 3"),
        ({**LATTICE, "fire_member": 4, "fire_group_size": 4}, "fire_member: got 4, expected 0 to 3 with"),
        ({**LATTICE, "fire_member": -1, "fire_group_size": 4}, "fire_member: got -1, expected 0 to 65535"),
        ({**LATTICE, "fire_member": 0, "fire_group_size": 0}, "fire_group_size: got 0, expected 1 to 65536"),
        ({**LATTICE, "fire_member": "0", "fire_group_size": 4}, "fire_member: got '0', expected an integer"),
        (
            {**LATTICE, "fire_begin": 1},
            "fire_begin, fire_steps: got 1, 1 with fire_design 'lattice', expected",
        ),
        (
            {**LATTICE, "fire_steps": 0},
            "fire_begin, fire_steps: got 0, 0 with fire_design 'lattice', expected",
        ),
        (
            {**LATTICE, "fire_temperature": 0},
            "fire_temperature: got 0.0 with fire_design 'lattice', expected",
        ),
        ({**LATTICE, GROUP: [3, 4]}, "'fire_group': no such key, expected one of .*fire_group_size"),
        ({GROUP: [3, 4]}, "'fire_group': no such key"),
    ],
)
def test_keys_of_a_group_that_do_not_fit_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        HOT_KEYS.read(keys)


def test_a_default_names_no_member_and_no_design_where_samples_are_not_told_apart() -> None:
    named = json.dumps({**LATTICE, "fire_group_size": 4, "fire_member": 0})
    with pytest.raises(ValueError, match=r"^FIRE_VLLM_DEFAULT: fire_group_size: got 4, expected none"):
        HOT_KEYS.default({"FIRE_VLLM_DEFAULT": named})
    with pytest.raises(ValueError, match=r"^X: fire_design: got 'lattice', expected none: this engine"):
        HotKeys("X", after=False, samples=False).default({"X": json.dumps(LATTICE)})
    for words in ("member", "group_size", "design"):
        assert HOT_KEYS.read({words: 1}) is None, "an ordinary word may be anybody's key"


def test_samples_are_refused_where_nothing_tells_them_apart_and_groups_where_drafts_are_checked() -> None:
    request = params(n=4, extra_args=LATTICE)
    made = fire_request(request, settings_of(LATTICE))
    assert refusal(request, made, ABLE) is None
    blind = Engine(2, "raw_logprobs", False, VOCABULARY)
    assert str(refusal(request, made, blind)).startswith(
        "n: got 4 with fire_design 'lattice', expected 1, and"
    )
    drafting = Engine(2, "raw_logprobs", True, VOCABULARY, tells_apart=True)
    assert str(refusal(request, made, drafting)).startswith(
        "fire_design: got 'lattice', expected none under spec"
    )
    reporting = Engine(2, "processed_logprobs", False, VOCABULARY, tells_apart=True)
    asking = params(n=4, extra_args=LATTICE, logprobs=0)
    assert "fire_design lattice, expected none" in str(refusal(asking, made, reporting))
    iid = {**LATTICE, "fire_design": "iid"}
    assert refusal(asking, fire_request(asking, settings_of(iid)), reporting) is None


class InputProcessor:
    """Stands for vLLM's: takes a copy of a request's settings."""

    def __init__(self, *processors: str) -> None:
        model = SimpleNamespace(logits_processors=processors, seed=0)
        self.vllm_config = SimpleNamespace(model_config=model)

    def process_inputs(self, request_id: str, prompt: Any, params: Any) -> Any:
        return SimpleNamespace(request_id=request_id, sampling_params=copy.copy(params))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[InputProcessor]:
    """The class, as the plugin leaves it."""
    module = ModuleType("vllm.v1.engine.input_processor")
    kind = type("InputProcessor", (InputProcessor,), {"process_inputs": InputProcessor.process_inputs})
    module.InputProcessor = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delenv("FIRE_VLLM_DEFAULT", raising=False)
    front_end._warn_once.cache_clear()
    assert not front_end.takes_groups(kind)
    front_end._watch_requests()
    assert front_end.takes_groups(kind)
    return kind


def test_a_request_used_again_with_another_n_or_seed_is_the_group_that_it_then_is(
    watched: type[InputProcessor],
) -> None:
    processor, request = watched(PROCESSOR), params(n=4, seed=1, extra_args=dict(LATTICE))
    for n, seed in ((4, 1), (8, 1), (8, 2), (2, -5)):
        request.n, request.seed = n, seed
        taken = processor.process_inputs("0", None, request).sampling_params
        assert taken.extra_args == {**LATTICE, GROUP: [seed, n]}
    request.n = 1
    assert processor.process_inputs("0", None, request).sampling_params.extra_args == LATTICE


def test_an_engine_without_fire_takes_in_samples_as_they_are(watched: type[InputProcessor]) -> None:
    request = params(n=4, extra_args=dict(LATTICE))
    taken = watched().process_inputs("0", None, request).sampling_params
    assert taken.extra_args == LATTICE
    assert taken.seed is None


def test_samples_that_cannot_be_told_apart_are_refused_if_they_ask_for_it_and_else_taken_in(
    watched: type[InputProcessor],
) -> None:
    processor = watched(PROCESSOR)
    del processor.vllm_config.model_config.seed  # as in a vLLM of another form
    with pytest.raises(ValueError, match=r"^fire_design: the samples of a request cannot be told apart"):
        processor.process_inputs("0", None, params(n=4, extra_args=dict(LATTICE)))
    assert processor.process_inputs("0", None, params(n=4)).sampling_params.n == 4
