"""What SGLang's backend refuses, and where: at the start or where a request comes; what it logs instead."""

from __future__ import annotations

# isort: off
import sglang_batches  # first: SGLang wants torchvision's operators
# isort: on

import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sglang.srt.plugins.hook_registry import HookRegistry
from sglang.srt.sampling.sampling_params import SamplingParams
from sglang_batches import (
    HOT,
    LATTICE,
    MEMBER,
    REGULAR,
    VOCABULARY,
    Batch,
    last_positions,
    logits_of,
    request,
    run,
)

from fire_sampling.integrations import sglang as backend

configured = sglang_batches.configured


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
