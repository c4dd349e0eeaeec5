"""Loads the samplers of FlashInfer and vLLM, unmodified: a few files, of packages that need half a system.

Where the package is installed it is used. Otherwise the files come from a folder that `tests/gpu/pack`
filled: modules are imported from it without running the `__init__` of the packages above them, and the little
that they ask of the rest of vLLM (which device is this, are its waits being watched) is answered here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
import types
from pathlib import Path
from typing import Any

import torch

FOLDER_VARIABLE = "FIRE_BENCH_PEERS"
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "build" / "gpu-pack" / "peers"
FLASHINFER_PACKAGES = ("flashinfer", "flashinfer.jit", "flashinfer.trace", "flashinfer.trace.templates")
VLLM_PACKAGES = (
    "vllm",
    "vllm.v1",
    "vllm.v1.sample",
    "vllm.v1.sample.ops",
    "vllm.v1.worker",
    "vllm.v1.worker.gpu",
    "vllm.v1.worker.gpu.sample",
    "vllm.model_executor",
    "vllm.model_executor.warmup",
    "vllm.utils",
)


def folder() -> Path:
    return Path(os.environ.get(FOLDER_VARIABLE, DEFAULT_FOLDER))


@functools.cache
def flashinfer_sampling() -> Any:
    """The module flashinfer.sampling. ImportError where there is none."""
    if importlib.util.find_spec("flashinfer") is None:
        _import_from(folder() / "flashinfer", FLASHINFER_PACKAGES)
        os.environ.setdefault("FLASHINFER_DISABLE_JIT", "1")  # its sources are not packed: say so at once
        if importlib.util.find_spec("tvm_ffi") is None:
            _append(folder() / f"tvm_ffi-{sys.implementation.cache_tag}")
        if importlib.util.find_spec("pynvml") is None:
            _append(folder() / "pynvml")
    return importlib.import_module("flashinfer.sampling")


@functools.cache
def vllm_ops() -> types.SimpleNamespace:
    """vLLM's Triton sampler: apply_temperature, apply_min_p, apply_top_k_top_p_triton, gumbel_sample."""
    if importlib.util.find_spec("triton") is None:
        raise ImportError("triton is not installed")
    if importlib.util.find_spec("vllm") is None:
        _import_from(folder() / "vllm", VLLM_PACKAGES)
        _answer_for_vllm()
    gumbel = importlib.import_module("vllm.v1.worker.gpu.sample.gumbel")
    min_p = importlib.import_module("vllm.v1.worker.gpu.sample.min_p")
    filters = importlib.import_module("vllm.v1.sample.ops.topk_topp_triton")
    return types.SimpleNamespace(
        apply_temperature=gumbel.apply_temperature,
        apply_min_p=min_p.apply_min_p,
        apply_top_k_top_p=filters.apply_top_k_top_p_triton,
        gumbel_sample=gumbel.gumbel_sample,
    )


def _import_from(root: Path, packages: tuple[str, ...]) -> None:
    """Makes the packages' modules importable, and their own `__init__` not run."""
    if not (root / packages[0]).is_dir():
        raise ImportError(f"{root} holds no {packages[0]}; `python tests/gpu/pack` brings it")
    for name in packages:
        package = types.ModuleType(name)
        package.__path__ = [str(root / Path(*name.split(".")))]
        sys.modules[name] = package


def _append(path: Path) -> None:
    if not path.is_dir():
        raise ImportError(f"{path} is missing; `python tests/gpu/pack` brings it")
    sys.path.append(str(path))


def _answer_for_vllm() -> None:
    import triton
    import triton.language

    on_gpu = torch.cuda.is_available()

    def multiprocessors(device: int | None = 0) -> int:
        return torch.cuda.get_device_properties(device or 0).multi_processor_count if on_gpu else 4

    platform = types.SimpleNamespace(
        is_cuda=lambda: on_gpu,
        is_cuda_alike=lambda: on_gpu,
        device_type="cuda" if on_gpu else "cpu",
        num_compute_units=multiprocessors,
    )
    _stand_in("vllm.platforms", current_platform=platform)
    _stand_in("vllm.envs", VLLM_GPU_SYNC_CHECK=None, VLLM_TRITON_JIT_WARMUP_NUM_THREADS=1)
    _stand_in("vllm.triton_utils", triton=triton, tl=triton.language, HAS_TRITON=True)
    _stand_in("vllm.utils.gpu_sync_debug", gpu_sync_allowed=contextlib.nullcontext)
    _stand_in("vllm.utils.platform_utils", num_compute_units=multiprocessors)


def _stand_in(name: str, **contents: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module
    parent, _, leaf = name.rpartition(".")
    setattr(sys.modules[parent], leaf, module)
