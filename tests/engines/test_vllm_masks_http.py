"""Sampling masks over HTTP, from a server on the V2 runner that is started as docs/vllm.md says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine import engine
from pages import blocks
from server import refuse, server

import fire_sampling_vllm as plugin

# Every process of the server finds it before all else: vLLM's V2 kernels then run in Triton's interpreter.
_SITE = """
import sys
sys.path.insert(0, {folder!r})
import triton_interpreter
triton_interpreter.install()
"""
HOT = {"fire_temperature": 30, "fire_top_k": 40}
KINDS: list[dict[str, Any]] = [
    dict(temperature=0.8, top_k=7, top_p=0.95),
    dict(temperature=1.2, top_k=20, min_p=0.02, extra_args=HOT),
    dict(temperature=0.9, top_k=5, extra_args={**HOT, "fire_begin": 2, "fire_steps": 2}),
]
REQUESTS = [
    {**kind, "seed": seed, "max_tokens": 5, "ignore_eos": True} for seed in range(3) for kind in KINDS
]
Answer = tuple[list[int], list[list[int]]]  # the tokens, and the mask of each


@pytest.fixture(scope="module")
def expected(tiny_llama: Path) -> list[Answer]:
    """Those of an engine in this process, where test_vllm_masks.py holds them to the operator's."""
    from vllm import SamplingParams

    masked = dict(
        logits_processors=None, return_sampling_mask=True, logprobs_mode="processed_logprobs", max_num_seqs=16
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRE_VLLM", "1")
        plugin.register()
        with engine(str(tiny_llama), **masked) as llm:
            params = [SamplingParams(**request) for request in REQUESTS]
            prompts = [{"prompt_token_ids": [5, 9, 77]}] * len(params)
            outputs = [output.outputs[0] for output in llm.generate(prompts, params, use_tqdm=False)]
    return [(list(output.token_ids), output.sampling_mask.token_ids) for output in outputs]


@pytest.fixture(scope="module")
def address(
    expected: list[Answer], tiny_llama: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    (command,) = blocks("docs/vllm.md", "sh", containing="--return-sampling-mask")
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(_SITE.format(folder=str(Path(__file__).parent)))
    path = f"{site}:{installed}:{os.environ.get('PYTHONPATH', '')}"
    log = tmp_path_factory.mktemp("server") / "log"
    with server(command, tiny_llama, log, PYTHONPATH=path) as each:
        yield each


def generate(address: str, **fields: Any) -> httpx.Response:
    body = {"token_ids": [5, 9, 77], "sampling_params": fields}
    return httpx.post(f"{address}/inference/v1/generate", json=body, timeout=120)


def test_hot_and_other_tokens_come_with_the_masks_of_the_operator(
    address: str, expected: list[Answer]
) -> None:
    with ThreadPoolExecutor(len(REQUESTS)) as clients:
        found = list(clients.map(lambda request: generate(address, **request), REQUESTS))
    choices = [answer.json()["choices"][0] for answer in found]
    assert [(choice["token_ids"], choice["sampling_mask"]) for choice in choices] == expected
    hot = [
        len(mask[0]) for (_, mask), request in zip(expected, REQUESTS, strict=True) if request["top_k"] == 20
    ]
    assert hot == [40] * 3


def test_the_request_of_the_page_gets_hot_and_regular_masks(address: str) -> None:
    (command,) = blocks("docs/vllm.md", "sh", containing="/inference/v1/generate")
    command = command.replace("http://localhost:8000", address)
    answer = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    first, *others = json.loads(answer.stdout)["choices"][0]["sampling_mask"]
    assert len(first) == 40
    assert all(1 <= len(mask) <= 20 for mask in others)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"fire_temp": 30}, "'fire_temp': no such key, expected one of fire_temperature"),
        ({"fire_temperature": -1}, "fire_temperature: got -1.0, expected [0, inf]"),
        ({"hot_top_k": 8}, "'hot_top_k': no such key, expected fire_top_k"),
        ({**HOT, "fire_top_k": 0}, "fire_top_k: got 0, expected 1 or more: vLLM bounds a sampling mask"),
    ],
)
def test_wrong_keys_are_refused_with_status_400_on_either_endpoint_and_the_engine_goes_on(
    address: str, expected: list[Answer], keys: dict[str, Any], message: str
) -> None:
    regular = dict(temperature=0.8, top_k=7)
    assert message in refuse(address, **regular, vllm_xargs=keys)
    answer = generate(address, **regular, extra_args=keys)
    assert answer.status_code == 400, answer.text
    assert message in answer.json()["error"]["message"]
    (choice,) = generate(address, **REQUESTS[1]).json()["choices"]
    assert (choice["token_ids"], choice["sampling_mask"]) == expected[1]
