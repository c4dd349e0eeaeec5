"""SGLang's sampler, requests and batches, without a server: what its tests draw from."""

from __future__ import annotations

# isort: off
import torchvision_operators  # noqa: F401
# isort: on

import array
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import sglang.srt.layers.sampler as stock
import torch
from sglang.srt.layers.logits_processor import LogitsProcessorOutput
from sglang.srt.managers.schedule_batch import Req
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
