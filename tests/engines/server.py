"""vLLM's OpenAI server as a process of its own, stopped whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

# What a tiny model on a CPU wants beyond the command that a user would give.
_OPTIONS = (
    "--enforce-eager --dtype float32 --max-model-len 256 --max-num-seqs 16 --disable-uvicorn-access-log"
)
_SECONDS_TO_START = 600
_SECONDS_TO_STOP = 30


@contextlib.contextmanager
def server(command: str, model: Path, log: Path, **environment: str) -> Iterator[str]:
    """Runs a shell command that serves `$MODEL`, variables before it included; yields http://localhost:PORT."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    settings = {"MODEL": str(model), "VLLM_ENABLE_V1_MULTIPROCESSING": "1", **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec env {command.strip()} {_OPTIONS} --port {port}"],
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, which holds the engine's processes too
        )
    address = f"http://localhost:{port}"
    try:
        _wait_until_healthy(address, process, log)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_SECONDS_TO_STOP)
        finally:
            # The engine's processes may outlive the one that was waited for.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def request(address: str, **fields: Any) -> dict[str, Any]:
    """The body of a completion of a fixed prompt, four tokens long unless `fields` say otherwise."""
    model = httpx.get(f"{address}/v1/models").json()["data"][0]["id"]
    return {"model": model, "prompt": [5, 9, 77], "max_tokens": 4, "return_token_ids": True, **fields}


def complete(address: str, **fields: Any) -> list[int]:
    """The tokens of a completion."""
    (tokens,) = samples(address, **fields)
    return tokens


def samples(address: str, **fields: Any) -> list[list[int]]:
    """The tokens of each of the `n` samples of one request."""
    answer = httpx.post(f"{address}/v1/completions", json=request(address, **fields), timeout=60)
    assert answer.status_code == 200, answer.text
    choices = sorted(answer.json()["choices"], key=lambda choice: int(choice["index"]))
    return [choice["token_ids"] for choice in choices]


def refuse(address: str, **fields: Any) -> str:
    """The message of a completion that is refused with status 400."""
    answer = httpx.post(f"{address}/v1/completions", json=request(address, **fields), timeout=60)
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"]["message"])


def stream(address: str, **fields: Any) -> list[list[int]]:
    """The tokens of each event that a stream is sent in."""
    events: list[list[int]] = []
    body = request(address, **fields, stream=True)
    with httpx.stream("POST", f"{address}/v1/completions", json=body, timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                events.append(json.loads(line.removeprefix("data: "))["choices"][0]["token_ids"] or [])
    return events


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(
                f"the server ended with status {process.returncode}:\n{log.read_text()[-4000:]}"
            )
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/health").status_code == 200:
                return
        time.sleep(0.5)
    raise TimeoutError(f"the server was not up after {_SECONDS_TO_START} s:\n{log.read_text()[-4000:]}")
