"""The OpenAI server over HTTP, started and asked as docs/vllm.md says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import blocks
from server import complete, refuse, server, stream
from trl.generation.vllm_client import VLLMClient

KEYS = {"fire_steps": 1, "fire_temperature": 30, "fire_top_k": 8}


@pytest.fixture(scope="module")
def address(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    (command,) = blocks("docs/vllm.md", "sh", containing="--logits-processors")
    with server(command, tiny_llama, tmp_path_factory.mktemp("server") / "log") as each:
        yield each


def test_a_request_that_asks_for_it_is_hot_and_others_are_not(address: str) -> None:
    regular = complete(address, temperature=0.0)
    hot = [complete(address, temperature=0.0, seed=seed, vllm_xargs=KEYS) for seed in range(12)]
    assert all(complete(address, temperature=0.0, seed=seed) == regular for seed in range(3))
    assert 3 < len({tokens[0] for tokens in hot}) <= 8
    # From there on it is greedy: equal first tokens, equal answers.
    assert len({tuple(tokens) for tokens in hot}) == len({tokens[0] for tokens in hot})
    assert hot == [complete(address, temperature=0.0, seed=seed, vllm_xargs=KEYS) for seed in range(12)]


def test_true_arrives_as_1(address: str) -> None:
    true = complete(address, temperature=0.0, seed=3, vllm_xargs={**KEYS, "fire_steps": True})
    assert true == complete(address, temperature=0.0, seed=3, vllm_xargs=KEYS)


def test_a_stream_has_the_tokens_of_the_whole_answer(address: str) -> None:
    for seed in range(4):
        fields = dict(temperature=0.0, seed=seed, vllm_xargs=KEYS, max_tokens=8)
        streamed = [token for event in stream(address, **fields) for token in event]
        assert streamed == complete(address, **fields)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"fire_temp": 30}, "'fire_temp': no such key, expected one of fire_temperature"),
        ({"fire_temperature": -1}, "fire_temperature: got -1.0, expected [0, inf]"),
        ({"fire_top_k": "16"}, "fire_top_k: got '16', expected an integer"),
        ({"fire_steps": 2.5}, "fire_steps: got 2.5, expected an integer"),
        ({"hot_temperature": 30}, "'hot_temperature': no such key, expected fire_temperature"),
        ({"fire_after": [10]}, "fire_after: got token ids, expected none: it needs vLLM's V2 runner"),
    ],
)
def test_a_wrong_key_is_status_400_with_the_reason(address: str, keys: dict[str, Any], message: str) -> None:
    assert message in refuse(address, vllm_xargs=keys)
    assert len(complete(address)) == 4


def test_a_value_that_is_not_flat_is_status_400(address: str) -> None:
    refuse(address, vllm_xargs={"fire_temperature": {"first": 30}})


def test_the_request_of_the_page_works(address: str, tiny_llama: Path) -> None:
    for command in blocks("docs/vllm.md", "sh", containing="/v1/completions"):
        command = command.replace("http://localhost:8000", address)
        answer = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", command],
            env={**os.environ, "MODEL": str(tiny_llama)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert json.loads(answer.stdout)["choices"][0]["finish_reason"] in ("stop", "length")


def test_trls_client_hands_over_the_keys_and_pairs_n_first_tokens_with_their_prompts(address: str) -> None:
    prompts, n = [[5, 9, 77], [200, 6, 8, 31]], 8
    keys = {**KEYS, "fire_top_k": 4, "fire_top_p": 1}
    answer = VLLMClient(base_url=address).generate(
        prompts, n=n, top_p=1e-6, max_tokens=4, generation_kwargs={"vllm_xargs": keys}
    )
    assert answer["prompt_ids"] == prompts
    likely = [
        {complete(address, prompt=prompt, seed=seed, max_tokens=1, vllm_xargs=keys)[0] for seed in range(40)}
        for prompt in prompts
    ]
    assert len(likely[0]) == len(likely[1]) == 4
    assert likely[0] != likely[1]
    for index, tokens in enumerate(answer["completion_ids"]):
        assert tokens[0] in likely[index // n]
    for index in range(len(prompts)):
        own = answer["completion_ids"][n * index : n * (index + 1)]
        # With that top-p, greedy after the first token: equal first tokens, equal answers.
        assert len({tuple(tokens) for tokens in own}) == len({tokens[0] for tokens in own}) > 1
