"""Whose place the fused sampler takes, whose it refuses to take, and how vLLM finds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from child import run_child
from engine import PROCESSOR, RUNNER, engine, model_runner

from fire_sampling import selftest
from fire_sampling.integrations.vllm import fused, records

SEEDED = dict(temperature=0.9, seed=5, max_tokens=6, ignore_eos=True)


@pytest.fixture(scope="module")
def llm(tiny_llama: Path) -> Iterator[Any]:
    with engine(str(tiny_llama)) as running:
        yield running


@pytest.fixture
def runner(llm: Any) -> Iterator[Any]:
    """The engine's runner, with vLLM's own sampler at the end as at the beginning."""
    found = model_runner(llm)
    stock = type(found.sampler)
    yield found
    found.sampler.__class__ = stock


def tokens(llm: Any, **params: Any) -> list[int]:
    from vllm import SamplingParams

    (output,) = llm.generate([{"prompt_token_ids": [5, 9, 30]}], SamplingParams(**params), use_tqdm=False)
    return list(output.outputs[0].token_ids)


def another_runner(runner: Any, **changes: Any) -> Any:
    """What `install` looks at first, with changes."""
    names = ("sampler", "speculative_config", "model_config", "device")
    return SimpleNamespace(**{name: getattr(runner, name) for name in names} | changes)


def test_installing_takes_the_place_of_vllms_own_sampler_once(runner: Any) -> None:
    stock = type(runner.sampler)
    fused.install(runner)
    installed = type(runner.sampler)
    assert installed.__mro__[1] is stock
    state = dict(vars(runner.sampler))
    fused.install(runner)
    assert type(runner.sampler) is installed
    assert vars(runner.sampler) == state


def test_a_sampler_that_is_not_vllms_own_is_refused_by_its_name(runner: Any) -> None:
    class TheirSampler(type(runner.sampler)):  # type: ignore[misc]
        pass

    runner.sampler.__class__ = TheirSampler
    with pytest.raises(fused.UnfitError, match=r"the sampler is .*TheirSampler, expected vLLM's own Sampler"):
        fused.install(runner)
    assert type(runner.sampler) is TheirSampler


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": None}, "the model runner has no sampler"),
        ({"speculative_config": object()}, "speculative decoding is on"),
        (
            {"model_config": SimpleNamespace(get_vocab_size=lambda: 2**21 + 1)},
            "the vocabulary has 2097153 tokens, expected at most 2097152",
        ),
        ({"device": torch.device("meta")}, "the self-test on meta failed"),
    ],
)
def test_a_runner_that_the_operators_cannot_serve_is_refused_with_the_reason(
    runner: Any, changes: dict[str, Any], message: str
) -> None:
    stock = type(runner.sampler)
    with pytest.raises(fused.UnfitError, match=message):
        fused.install(another_runner(runner, **changes))
    assert type(runner.sampler) is stock


def test_a_vllm_of_another_form_is_refused_by_the_name_of_what_differs(
    runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = type(runner.sampler)
    with monkeypatch.context() as patch:
        patch.setattr(stock, "sample", lambda self, logits, something_new: None)
        with pytest.raises(
            fused.UnfitError, match=r"Sampler\.sample takes \(logits, something_new\), expected"
        ):
            fused.install(runner)
    attribute = {1: "seq_lens", 2: "sampler.thinking_budget_state"}[RUNNER].split(".")
    owner = runner if len(attribute) == 1 else getattr(runner, attribute[0])
    with monkeypatch.context() as patch:
        patch.delattr(owner, attribute[-1])
        with pytest.raises(fused.UnfitError, match=rf"has no {attribute[-1]} in this version of vLLM"):
            fused.install(runner)
    assert type(runner.sampler) is stock


def test_a_failing_self_test_keeps_vllms_own_sampler_and_its_tokens(
    llm: Any, runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock, before = type(runner.sampler), tokens(llm, **SEEDED)
    monkeypatch.setattr(selftest, "mismatches", lambda draw, dtypes: ["bell float32: got 1, expected 2"])
    with pytest.raises(fused.UnfitError, match="returned other tokens than the table: bell float32"):
        fused.install(runner)
    assert type(runner.sampler) is stock
    assert tokens(llm, **SEEDED) == before


def test_logits_that_no_operator_takes_go_to_vllms_own_sampler_which_is_said_once(
    llm: Any, runner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tokens(llm, **SEEDED)
    fused.install(runner)
    ours = tokens(llm, **SEEDED)
    assert ours != before, "expected a seed for which the samplers differ"
    compute = runner.model.compute_logits
    monkeypatch.setattr(runner.model, "compute_logits", lambda *args: compute(*args).double())
    said: list[str] = []
    monkeypatch.setattr(records.logger, "warning", lambda message, *args: said.append(message % args))
    assert tokens(llm, **SEEDED) == before
    assert tokens(llm, **SEEDED) == before
    assert len(said) == 1
    assert "batches go to vLLM's own sampler: logits are torch.float64" in said[0]


# ---- the plugin ----

PROGRAM = """
with engine({model!r}, logits_processors={processors!r}) as llm:
    alone = os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    sampler = type(model_runner(llm).sampler).__name__ if alone else None
    params = [SamplingParams(**kind) for kind in {kinds!r}]
    outputs = llm.generate([{{"prompt_token_ids": [5, 9, 30]}}] * len(params), params, use_tqdm=False)
    result = [sampler, [list(output.outputs[0].token_ids) for output in outputs]]
"""

KINDS = [SEEDED, dict(temperature=1.0, max_tokens=6), dict(temperature=0.0, max_tokens=4)]


def run_engine(model: Path, installed: Path | None, processors: list[str] | None, **environment: str) -> Any:
    """An engine in a process of its own: its sampler, where that can be seen, and the tokens of `KINDS`."""
    program = PROGRAM.format(model=str(model), processors=processors, kinds=KINDS)
    found = os.environ.get("PYTHONPATH", "")
    searched = found if installed is None else f"{installed}:{found}"
    status, result, log = run_child(program, PYTHONPATH=searched, **environment)
    assert status == 0, log
    return result


def test_an_installed_wheel_changes_no_token_before_it_is_enabled_and_then_draws_them(
    tiny_llama: Path, installed: Path
) -> None:
    without = run_engine(tiny_llama, None, None)
    inert = run_engine(tiny_llama, installed, None)
    assert without[0] == "Sampler"
    assert inert == without
    enabled = run_engine(tiny_llama, installed, None, FIRE_VLLM="1")
    assert enabled[0] == "FusedSampler"
    assert enabled[1][0] != without[1][0], "expected a seed for which the samplers differ"
    assert enabled[1][2] == without[1][2], "greedy tokens are the same ones"


# V2 has no processors behind the temperature, and processes that vLLM starts no interpreter for its kernels.
if RUNNER == 1:

    def test_a_processor_behind_the_temperature_is_refused_by_its_name(runner: Any) -> None:
        class Behind:
            pass

        processors = runner.input_batch.logitsprocs.argmax_invariant
        processors.append(Behind())
        try:
            with pytest.raises(
                fused.UnfitError, match="the logits processor Behind runs behind the temperature"
            ):
                fused.install(runner)
        finally:
            processors.pop()

    @pytest.mark.parametrize("others", [0, 1])
    def test_steps_wait_for_tokens_only_where_another_processor_may_read_them(
        runner: Any, monkeypatch: pytest.MonkeyPatch, others: int
    ) -> None:
        class Reader:
            pass

        batch = runner.input_batch
        monkeypatch.setattr(batch, "logitsprocs_need_output_token_ids", True)
        processors = [*batch.logitsprocs.non_argmax_invariant, *[Reader()] * others]
        monkeypatch.setattr(batch.logitsprocs, "non_argmax_invariant", processors)
        fused.install(runner)
        assert batch.logitsprocs_need_output_token_ids == bool(others)

    def test_a_worker_in_a_process_that_vllm_starts_draws_as_one_in_the_same_process(
        tiny_llama: Path, installed: Path
    ) -> None:
        enabled = {"FIRE_VLLM": "1"}
        here = run_engine(tiny_llama, installed, [PROCESSOR], **enabled)
        started = run_engine(
            tiny_llama, installed, [PROCESSOR], VLLM_ENABLE_V1_MULTIPROCESSING="1", **enabled
        )
        assert here[0] == "FusedSampler"
        assert started[1] == here[1]
