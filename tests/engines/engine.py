"""An engine of vLLM in this process, and its parts."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pytest
    import torch

RUNNER = 2 if os.environ.get("VLLM_USE_V2_MODEL_RUNNER") == "1" else 1
PROCESSOR = "fire_sampling.integrations.vllm:FireLogitsProcessor"
# What vLLM's filters do with logits equal to the last one kept: Triton is there for V2 alone.
TIES: Literal["keep_top_k", "exact"] = "exact" if RUNNER == 2 else "keep_top_k"

Logits = npt.NDArray[np.float32]


# Engines share their process groups: shutting one down takes them from every other, so only one may live.
_shared: tuple[str, Any, contextlib.ExitStack] | None = None


def shared_engine(model: str, **options: Any) -> Any:
    """The engine of the last call if it was of the same options, or else a new one in its place."""
    global _shared
    key = repr((model, options))
    if _shared is None or _shared[0] != key:
        stack = contextlib.ExitStack()
        llm = stack.enter_context(engine(model, **options))
        _shared = key, llm, stack
    return _shared[1]


def close_shared_engine() -> None:
    global _shared
    if _shared is not None:
        stack, _shared = _shared[2], None
        stack.close()


@contextlib.contextmanager
def engine(model: str, **options: Any) -> Iterator[Any]:
    """`vllm.LLM` of `RUNNER` with the FIRE logits processor, torn down at the end."""
    close_shared_engine()
    from vllm import LLM

    settings: dict[str, Any] = dict(
        model=model,
        enforce_eager=True,
        dtype="float32",
        max_model_len=256,
        max_num_seqs=128,
        max_num_batched_tokens=2048,
        enable_prefix_caching=False,
        logits_processors=[PROCESSOR],
        disable_log_stats=True,
    )
    llm = LLM(**{**settings, **options})
    try:
        assert llm.llm_engine.vllm_config.use_v2_model_runner == (RUNNER == 2)
        yield llm
    finally:
        llm.llm_engine.engine_core.shutdown()
        del llm
        gc.collect()


def model_runner(llm: Any) -> Any:
    """The worker's model runner; the engine runs in this process."""
    worker = llm.llm_engine.engine_core.engine_core.model_executor.driver_worker
    return getattr(worker, "worker", worker).model_runner


def watch_logits(llm: Any, patch: pytest.MonkeyPatch) -> list[Logits]:
    """Where the engine's model leaves a copy of the logits of every step, as it makes them."""
    seen: list[Logits] = []
    model = model_runner(llm).model
    compute = model.compute_logits

    def compute_and_copy(*args: Any, **kwargs: Any) -> torch.Tensor:
        logits: torch.Tensor = compute(*args, **kwargs)
        seen.append(logits.float().numpy().copy())
        return logits

    patch.setattr(model, "compute_logits", compute_and_copy)
    return seen
