"""The program on docs/huggingface.md that serves a model with FIRE, asked over HTTP."""

from __future__ import annotations

# isort: off
import torchvision_operators  # noqa: F401
# isort: on

import copy
import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import tiny_models
from pages import blocks

(PROGRAM,) = blocks("docs/huggingface.md", "py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("served"))
    model = copy.deepcopy(tiny_models.llama())
    model.generation_config.do_sample = True
    model.save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(params=[False, True], ids=["sequential", "continuous"])
def server(folder: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that has been started as the page says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert "continuous_batching=True," in PROGRAM
    # The default cache is a share of the machine's memory, which on a CPU takes minutes to clear.
    arguments = (
        f"continuous_batching={request.param}, cb_num_blocks=16, cb_max_batch_tokens=64, device='cpu',"
    )
    names: dict[str, Any] = {"folder": folder, "port": port}
    exec(PROGRAM.replace("continuous_batching=True,", arguments), names)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=10)
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        names["server"].kill_server()


def test_a_server_answers_with_hot_first_tokens_and_regular_later_ones(server: str, folder: str) -> None:
    body = {"model": folder, "prompt": "WhatIs?", "max_tokens": 4, "temperature": 0.001}
    texts = []
    for _ in range(16):
        question = urllib.request.Request(
            f"{server}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(question, timeout=60) as answer:
            texts.append(json.load(answer)["choices"][0]["text"])
    # At this temperature a text is a function of its first token.
    assert len({text[:1] for text in texts}) > 5
    assert len(set(texts)) == len({text[:1] for text in texts})
