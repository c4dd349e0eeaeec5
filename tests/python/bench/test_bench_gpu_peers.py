"""How bench/kernels.py loads and calls FlashInfer's and vLLM's samplers, and how tests/gpu/pack gets them."""

from __future__ import annotations

import importlib.util
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_runs import BENCH  # noqa: F401 (finds the next ones)
from contenders import RefusalError, packed
from contenders.flashinfer import FlashInfer, FlashInferJoint, FlashInferProbs
from contenders.vllm_triton import VllmTriton
from gpu_harness import PROOF  # noqa: F401 (finds the next ones)
from harness.cases import Case
from harness.kept_set import KeptSets
from harness.rows import make_rows
from harness.settings import SETTINGS
from proof import peers
from proof.context import StageError
from torch import Tensor

CPU = torch.device("cpu")
ROWS, VOCABULARY = 10, 700


# ---- FlashInfer's adapter, with functions in its place that do what its documentation says ----


class Documented:
    """flashinfer.sampling in plain PyTorch; `called` has the names of the functions that were called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def _column(self, value: Any, like: Tensor) -> Tensor:
        column = value if isinstance(value, Tensor) else torch.full((like.shape[0],), value)
        assert column.shape == (like.shape[0],)
        return column[:, None]

    def _draw(self, probs: Tensor, random: dict[str, Tensor]) -> Tensor:
        assert {name: tensor.dtype for name, tensor in random.items()} == dict.fromkeys(
            ("seed", "offset"), torch.int64
        )
        assert probs.dtype == torch.float32
        return torch.multinomial(probs, 1).squeeze(1).int()

    def softmax(self, logits: Tensor, temperature: Any) -> Tensor:
        self.called.append("softmax")
        return (logits.float() / self._column(temperature, logits)).softmax(-1)

    def top_k_renorm_probs(self, probs: Tensor, top_k: Any) -> Tensor:
        self.called.append("top_k_renorm_probs")
        ordered = probs.sort(-1, descending=True).values
        return _renormalised(probs, probs >= ordered.gather(1, self._column(top_k, probs).long() - 1))

    def top_p_renorm_probs(self, probs: Tensor, top_p: Any) -> Tensor:
        self.called.append("top_p_renorm_probs")
        return _renormalised(probs, self._nucleus(probs, top_p))

    def _nucleus(self, probs: Tensor, top_p: Any) -> Tensor:
        ordered, places = probs.sort(-1, descending=True)
        keeps = ordered.cumsum(-1) - ordered < self._column(top_p, probs)
        return torch.zeros_like(keeps).scatter(1, places, keeps)

    def min_p_sampling_from_probs(self, probs: Tensor, min_p: Any, **random: Tensor) -> Tensor:
        self.called.append("min_p_sampling_from_probs")
        keeps = probs >= self._column(min_p, probs) * probs.amax(-1, keepdim=True)
        return self._draw(_renormalised(probs, keeps), random)

    def top_p_sampling_from_probs(self, probs: Tensor, top_p: Any, **random: Tensor) -> Tensor:
        self.called.append("top_p_sampling_from_probs")
        return self._draw(_renormalised(probs, self._nucleus(probs, top_p)), random)

    def sampling_from_probs(self, probs: Tensor, **random: Tensor) -> Tensor:
        self.called.append("sampling_from_probs")
        return self._draw(probs, random)

    def sampling_from_logits(self, logits: Tensor, **random: Tensor) -> Tensor:
        self.called.append("sampling_from_logits")
        return self._draw(logits.softmax(-1), random)

    def top_k_top_p_sampling_from_logits(
        self,
        logits: Tensor,
        top_k: int,
        top_p: float,
        filter_apply_order: str = "top_k_first",
        **random: Tensor,
    ) -> Tensor:
        self.called.append(f"top_k_top_p_sampling_from_logits {filter_apply_order}")
        assert logits.dtype == torch.float32  # what its documentation expects
        probs = logits.softmax(-1)
        within = self._nucleus(probs, top_p)
        kept = self.top_k_renorm_probs(probs, top_k)
        if filter_apply_order == "joint":
            return self._draw(_renormalised(kept, within), random)
        return self._draw(_renormalised(kept, self._nucleus(kept, top_p)), random)


def _renormalised(probs: Tensor, keeps: Tensor) -> Tensor:
    kept = probs * keeps
    return kept / kept.sum(-1, keepdim=True)


@pytest.fixture
def documented(monkeypatch: pytest.MonkeyPatch) -> Documented:
    found = Documented()
    monkeypatch.setattr(packed, "flashinfer_sampling", lambda: found)
    monkeypatch.setattr(FlashInfer, "runs_on", "cpu")
    return found


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("adapter", [FlashInfer, FlashInferJoint, FlashInferProbs])
@pytest.mark.parametrize("outputs", ["token", "reference"])
def test_flashinfer_is_asked_for_what_the_setting_means(
    documented: Documented, adapter: type[FlashInfer], setting: str, outputs: str
) -> None:
    cell = Case(VOCABULARY, ROWS, "bfloat16", setting, outputs=outputs)
    logits = make_rows("gaussian", ROWS, VOCABULARY, "bfloat16")
    try:
        contender = adapter(cell, CPU)
    except RefusalError:
        assert adapter is not FlashInfer or setting == "greedy"
        return
    kept = KeptSets(logits)
    for _ in range(20):
        drawn = contender.drawn(contender.call(logits))
        assert kept.wrong(drawn, 0, contender.of_rows, contender.order) == 0
    assert (drawn.reference is not None) == (outputs == "reference")
    assert documented.called


@pytest.mark.parametrize(
    ("setting", "called"),
    [
        ("k=50 p=0.9", ["top_k_top_p_sampling_from_logits top_k_first", "top_k_renorm_probs"]),
        ("p=0.9", ["softmax", "top_p_sampling_from_probs"]),
        ("min-p=0.05", ["softmax", "min_p_sampling_from_probs"]),
        ("no filter", ["sampling_from_logits"]),
    ],
)
def test_flashinfer_is_called_by_its_shortest_way(
    documented: Documented, setting: str, called: list[str]
) -> None:
    contender = FlashInfer(Case(VOCABULARY, ROWS, "float32", setting), CPU)
    contender.call(make_rows("gaussian", ROWS, VOCABULARY))
    assert documented.called == called


def test_a_temperature_that_flashinfer_was_not_given_would_be_noticed(
    documented: Documented, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Colder tokens are of a smaller nucleus, and never wrong; hotter ones are.
    monkeypatch.setattr(FlashInfer, "_heated", lambda self, logits: logits.float() / 9)
    cell = Case(VOCABULARY, ROWS, "float32", "k=50 p=0.95 T=0.7")
    logits = make_rows("flat", ROWS, VOCABULARY)
    contender = FlashInfer(cell, CPU)
    kept = KeptSets(logits)
    drawn = [contender.drawn(contender.call(logits)) for _ in range(50)]
    assert sum(kept.wrong(one, 0, contender.of_rows, contender.order) for one in drawn) > 0


# ---- loading ----


def write_package(root: Path, name: str, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / name / path).parent.mkdir(parents=True, exist_ok=True)
        (root / name / path).write_text(text)


@pytest.fixture
def forgets_modules() -> Any:
    before = dict(sys.modules)
    path = list(sys.path)
    yield
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]
    sys.path[:] = path


@pytest.mark.usefixtures("forgets_modules")
def test_a_module_is_loaded_without_running_the_packages_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boom = "raise RuntimeError('the whole system')"
    files = {"__init__.py": boom, "jit/__init__.py": boom, "jit/env.py": "found = 3"}
    write_package(
        tmp_path / "flashinfer", "flashinfer", {**files, "sampling.py": "from .jit.env import found"}
    )
    for name in (f"tvm_ffi-{sys.implementation.cache_tag}", "pynvml"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv(packed.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    packed.flashinfer_sampling.cache_clear()
    assert packed.flashinfer_sampling().found == 3
    packed.flashinfer_sampling.cache_clear()


@pytest.mark.parametrize("loads", [packed.flashinfer_sampling, packed.vllm_ops])
def test_a_peer_that_was_not_packed_is_an_import_error_that_says_how_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loads: Any
) -> None:
    monkeypatch.setenv(packed.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name != "triton" else object())
    with pytest.raises(ImportError, match="tests/gpu/pack` brings it"):
        loads.__wrapped__()


def test_vllm_is_refused_what_it_does_not_return() -> None:
    with pytest.raises(RefusalError, match="raw logits"):
        VllmTriton(Case(VOCABULARY, 1, "float32", "no filter", outputs="logprobs"), CPU)


# ---- gathering ----


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_toolkit_is_found_behind_a_script_that_calls_nvcc(tmp_path: Path) -> None:
    script = tmp_path / "nvcc"
    script.write_text("#!/bin/sh\necho '#$ _SPACE_= ' >&2\necho '#$ TOP=/opt/toolkit/bin/..' >&2\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    assert peers.toolkit_of(str(script)) == Path("/opt/toolkit")
    script.write_text("#!/bin/sh\n")
    with pytest.raises(StageError, match="does not tell"):
        peers.toolkit_of(str(script))


def test_what_is_linked_with_the_stub_asks_for_the_driver_itself(tmp_path: Path) -> None:
    stub = peers.driver_stub(tmp_path) / "libcuda.so"
    found = subprocess.run(["readelf", "--dynamic", stub], capture_output=True, text=True, check=True).stdout
    assert "[libcuda.so.1]" in found


def test_a_wheel_that_lies_there_is_not_downloaded_again(tmp_path: Path) -> None:
    there = tmp_path / "apache_tvm_ffi-0.1.15.post2-cp312-cp312-any.whl"
    with zipfile.ZipFile(there, "w") as archive:
        for name in ("core.so", "include/a.h", "3rdparty/b.c"):
            archive.writestr(f"tvm_ffi/{name}", "")
        archive.writestr("x.dist-info/METADATA", "")
    assert peers.wheel(peers.TVM_FFI, tmp_path) == there
    (tmp_path / "3.12").mkdir()
    os.rename(there, tmp_path / "3.12" / there.name)
    peers.tvm_ffi("3.12", tmp_path / "kept", tmp_path)
    assert files_in(tmp_path / "kept") == {"tvm_ffi/core.so", "x.dist-info/METADATA"}
    peers.tvm_ffi("3.12", tmp_path / "whole", tmp_path, for_building=True)
    assert (tmp_path / "whole" / "tvm_ffi" / "include" / "a.h").exists()


def test_of_vllm_only_the_named_files_are_taken(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "vllm.whl", "w") as archive:
        for name in (*peers.VLLM_FILES, "engine/everything.py"):
            archive.writestr(f"vllm/{name}", "")
    peers.vllm(tmp_path / "vllm.whl", tmp_path / "out")
    assert files_in(tmp_path / "out" / "vllm") == set(peers.VLLM_FILES)
