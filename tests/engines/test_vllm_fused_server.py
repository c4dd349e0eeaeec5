"""The OpenAI server with the fused sampler, over HTTP, started as docs/vllm.md says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from engine import engine, model_runner
from pages import blocks
from server import complete, refuse, samples, server, stream

from fire_sampling.integrations.vllm import fused

HOT = {"fire_temperature": 30, "fire_top_k": 8}
KINDS: list[dict[str, Any]] = [
    dict(temperature=0.8, top_k=20, top_p=0.95),
    dict(temperature=1.2, min_p=0.02, vllm_xargs=HOT),
    dict(temperature=0.0, vllm_xargs={**HOT, "fire_steps": 1}),
    dict(temperature=0.0),
    dict(temperature=0.9, top_k=5, vllm_xargs={**HOT, "fire_begin": 2, "fire_steps": 2}),
]
# All with seeds, and a regular phase that draws in most: vLLM's own sampler gives other tokens there.
REQUESTS = [
    {**kind, "seed": seed, "max_tokens": 8, "ignore_eos": True} for seed in range(3) for kind in KINDS
]
GREEDY = [place for place, request in enumerate(REQUESTS) if request["temperature"] == 0.0]


def generate(llm: Any) -> list[list[int]]:
    """The tokens of `REQUESTS` without a server."""
    from vllm import SamplingParams

    params = []
    for request in REQUESTS:
        fields = dict(request)
        params.append(SamplingParams(extra_args=fields.pop("vllm_xargs", None), **fields))
    outputs = llm.generate([{"prompt_token_ids": [5, 9, 77]}] * len(params), params, use_tqdm=False)
    return [list(output.outputs[0].token_ids) for output in outputs]


@pytest.fixture(scope="module")
def expected(tiny_llama: Path) -> list[list[int]]:
    """The fused sampler's tokens in this process, where test_vllm_fused.py holds them to the contract."""
    with engine(str(tiny_llama)) as llm:
        by_processor = generate(llm)
        fused.install(model_runner(llm))
        by_fused = generate(llm)
    # A hot token of a greedy request is the contract's own draw in both; elsewhere each has seeds of its own.
    assert [by_fused[place] for place in GREEDY] == [by_processor[place] for place in GREEDY]
    assert by_fused[0] != by_processor[0]
    return by_fused


@pytest.fixture(scope="module")
def address(
    expected: list[list[int]], tiny_llama: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    command = blocks("docs/vllm.md", "sh", containing="FIRE_VLLM=1")[0]
    path = f"{installed}:{os.environ.get('PYTHONPATH', '')}"
    log = tmp_path_factory.mktemp("server") / "log"
    with server(command, tiny_llama, log, PYTHONPATH=path) as each:
        yield each


def test_seeded_requests_at_once_get_the_tokens_of_the_contract(
    address: str, expected: list[list[int]]
) -> None:
    with ThreadPoolExecutor(len(REQUESTS)) as clients:
        answers = list(clients.map(lambda request: complete(address, **request), REQUESTS))
    assert answers == expected


def test_a_stream_has_the_same_tokens_as_they_come(address: str, expected: list[list[int]]) -> None:
    for request, tokens in zip(REQUESTS[: len(KINDS)], expected, strict=False):
        events = stream(address, **request)
        assert [token for event in events for token in event] == tokens
        assert len(events) > 1, "expected an answer in more than one piece"


@pytest.mark.parametrize("design", ["stratified", "lattice"])
def test_the_samples_of_a_request_are_the_members_that_requests_of_their_own_name(
    address: str, design: str
) -> None:
    # One of the seeds from -3 on is -1, which is none to the process of the engine.
    fields = dict(temperature=0.8, seed=-3, max_tokens=4, ignore_eos=True)
    keys = {**HOT, "fire_design": design}
    group = samples(address, **fields, n=4, vllm_xargs=keys)
    for member, tokens in enumerate(group):
        own = {**keys, "fire_group_size": 4, "fire_member": member}
        assert complete(address, **fields, vllm_xargs=own) == tokens
    if design == "lattice":  # no token has a share above 1/4
        assert len({tokens[0] for tokens in group}) == 4
        seedless = samples(address, **{**fields, "seed": None}, n=4, vllm_xargs=keys)
        assert len({tokens[0] for tokens in seedless}) == 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            dict(n=2, vllm_xargs={"fire_design": "lattice", "fire_group_size": 2, "fire_member": 0}, seed=1),
            "fire_group_size: got 2 with n 2, expected none, or n 1",
        ),
        (dict(vllm_xargs={"fire_design": "grid"}), "fire_design: got 'grid', expected one of 'none', 'iid'"),
        (dict(vllm_xargs={"fire_temp": 30}), "'fire_temp': no such key, expected one of fire_temperature"),
        (dict(vllm_xargs={"fire_temperature": -1}), "fire_temperature: got -1.0, expected [0, inf]"),
        (dict(vllm_xargs={"hot_top_k": 8}), "'hot_top_k': no such key, expected fire_top_k"),
        (
            dict(vllm_xargs=HOT, temperature=0.0),
            "fire_steps: got none with temperature 0, expected 1 for a hot",
        ),
    ],
)
def test_the_switch_alone_refuses_what_is_wrong_with_status_400_and_the_engine_goes_on(
    address: str, expected: list[list[int]], fields: dict[str, Any], message: str
) -> None:
    assert message in refuse(address, **fields)
    assert complete(address, **REQUESTS[0]) == expected[0]


def test_the_client_of_the_examples_finds_fire_on(address: str) -> None:
    program = Path(__file__).parents[2] / "examples" / "vllm_client.py"
    command = [sys.executable, str(program), f"{address}/v1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *answers, last = [line for line in done.stdout.splitlines() if line.startswith(("FIRE", *"0123"))]
    assert [answer[:2] for answer in answers] == ["0:", "1:", "2:", "3:"]
    assert last.startswith("FIRE is on: ")
    assert "'fire_heat': no such key, expected one of fire_temperature" in last
