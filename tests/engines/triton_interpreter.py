"""vLLM's V2 runner without a GPU: its Triton kernels run in Triton's own interpreter. For tests only."""

from __future__ import annotations

import os
import types
from typing import Any


def install() -> None:
    """Must run before vLLM is imported."""
    os.environ["TRITON_INTERPRET"] = "1"
    from triton.backends import backends

    # vLLM looks for an active driver before it believes in Triton; the interpreter needs none.
    driver = types.SimpleNamespace(is_active=lambda: True)
    backends.setdefault("cpu", types.SimpleNamespace(driver=driver, compiler=None))
    _take_masks_of_any_type()


def _take_masks_of_any_type() -> None:
    """The interpreter stores only by masks of booleans; vLLM's kernel for grammars has one of integers."""
    from triton.runtime.interpreter import InterpreterBuilder

    store = InterpreterBuilder.create_masked_store

    def create_masked_store(builder: Any, pointers: Any, value: Any, mask: Any, cache_policy: Any) -> Any:
        mask.data = mask.data.astype(bool)
        return store(builder, pointers, value, mask, cache_policy)

    InterpreterBuilder.create_masked_store = create_masked_store


def replace_filters() -> None:
    """Its top-k/top-p kernel does not work in the interpreter: the PyTorch one takes its place."""
    from vllm.v1.sample.ops import topk_topp_sampler

    topk_topp_sampler.apply_top_k_top_p_triton = topk_topp_sampler.apply_top_k_top_p_pytorch
