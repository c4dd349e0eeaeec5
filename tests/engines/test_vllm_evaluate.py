"""`python -m fire_sampling.evaluate --backend vllm`, with a tiny model, as it is started with a large one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_llama
import torch
import vllm
from engine import close_shared_engine
from transformers import AutoModelForCausalLM, AutoTokenizer

import fire_sampling as fire
from fire_sampling.evaluate.__main__ import main
from fire_sampling.evaluate.backends import encode

SAMPLES, SEED = 8, 5
ENGINE = {"enforce_eager": True, "max_model_len": 256, "max_num_seqs": 16, "dtype": "float32"}
REGULAR = {"temperature": 1.1, "top_k": 40, "top_p": 0.95}
HOT = {"hot_temperature": 20.0, "hot_top_k": 12}


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The engines that a test starts, shut down at its end."""
    close_shared_engine()
    monkeypatch.setenv("FIRE_VLLM", "")  # back to this when the evaluation has set it
    monkeypatch.delenv("FIRE_VLLM")
    started: list[Any] = []
    real = vllm.LLM

    def start(**arguments: Any) -> Any:
        started.append(real(**arguments))
        return started[-1]

    monkeypatch.setattr(vllm, "LLM", start)
    yield started
    for llm in started:
        llm.llm_engine.engine_core.shutdown()


def evaluate(model: Path, folder: Path, *more: str) -> int:
    lines = [{"prompt": word, "answer": "4"} for word in ("river", "two and two")]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = ["--model", str(model), "--backend", "vllm", "--jsonl", str(folder / "prompts.jsonl")]
    given += ["--judge", "number", "--samples", str(SAMPLES), "--seed", str(SEED), "--max-new-tokens", "9"]
    for name, value in {**REGULAR, **HOT}.items():
        given += [f"--{name.replace('_', '-')}", str(value)]
    engine = {name: value for name, value in ENGINE.items() if name != "dtype"}
    given += ["--dtype", "float32", "--engine", json.dumps(engine), "--output", str(folder / "out"), *more]
    return main(given)


def expected(model: Path, prompt: str, number: int, config: fire.SamplingConfig) -> list[int]:
    """The first tokens by the contract, from the logits of transformers."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        logits = network(torch.tensor([encode(tokenizer, prompt, chat=True)])).logits[0, -1:]
    logits[:, tiny_llama.EOS] = -torch.inf
    seeds = [SEED + number * SAMPLES + sample for sample in range(SAMPLES)]
    configs = [config.replace(seed=seed, order="vllm") for seed in seeds]
    return fire.sample(logits.expand(SAMPLES, -1), 0, configs).tolist()


def test_first_tokens_are_those_of_the_contract_plain_and_hot(
    tiny_llama: Path, engines: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRE_VLLM_DEFAULT", json.dumps({"fire_top_k": 12}))  # heats no plain request
    assert evaluate(tiny_llama, tmp_path, "--stop", "a", "b") == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").open()][1:]
    plain, hot = fire.SamplingConfig(**REGULAR, hot_steps=0), fire.SamplingConfig(**REGULAR, **HOT)
    for number, line in enumerate(lines):
        for way, config in (("plain", plain), ("FIRE", hot)):
            arm = line["arms"][way]
            assert arm["first"] == expected(tiny_llama, line["prompt"], number, config), (number, way)
            assert not any("a" in text or "b" in text for text in arm["texts"])
            assert 0 < sum(arm["ended"]) <= SAMPLES
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["versions"]["vllm"] == vllm.__version__
    assert (tmp_path / "out" / "result.svg").is_file()


def test_a_switch_that_is_off_is_refused_before_an_engine_starts(
    tiny_llama: Path,
    engines: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FIRE_VLLM", "0")
    assert evaluate(tiny_llama, tmp_path) == 1
    assert "--backend vllm: FIRE_VLLM is '0', expected 1 or nothing" in capsys.readouterr().err
    assert engines == []


def test_an_argument_that_the_engine_does_not_know_is_told_in_its_words(
    tiny_llama: Path, engines: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tiny_llama, tmp_path, "--engine", '{"no_such_argument": 1}') == 1
    assert "--model, --engine: got" in (error := capsys.readouterr().err)
    assert "no_such_argument" in error
