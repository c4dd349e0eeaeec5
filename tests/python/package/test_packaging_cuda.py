"""A build with the CUDA kernels, as PTX alone to spare time: the objects of the wheel, the C++ library.

It needs nvcc, from PATH or CUDACXX, and no GPU.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from operator_inputs import KEYWORDS, arguments_of, make_inputs, operator
from packaging_support import build_wheel, run
from support_inputs import make_support_inputs

from fire_sampling import _ops
from fire_sampling._fakes import FAKES

CPU_OBJECT, CUDA_OBJECT = "libfire_sampling_torch_cpu.so", "libfire_sampling_torch_cuda.so"
TORCH_LIBRARIES = Path(torch.__file__).parent / "lib"


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `wheel`, unpacked, and `prefix`, where the C++ parts of the same build are installed."""
    folder = tmp_path_factory.mktemp("cuda")
    shutil.copytree(source, folder / "source", ignore=shutil.ignore_patterns("build"))
    build_wheel(folder / "source", FIRE_CUDA="on", FIRE_CUDA_ARCHITECTURES="90-virtual")
    (wheel,) = folder.glob("wheels/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "wheel")
    (cmake,) = (folder / "source").glob("build/temp*/cmake-*")
    run(["cmake", "--install", str(cmake), "--prefix", str(folder / "prefix")])
    return folder


def lines_of(*command: str | Path) -> list[str]:
    return run([str(part) for part in command]).stdout.splitlines()


def test_the_wheel_holds_both_objects_and_says_what_its_kernels_are_for(built: Path) -> None:
    package = built / "wheel/fire_sampling"
    assert {path.name for path in package.glob("libfire*")} == {CPU_OBJECT, CUDA_OBJECT}
    program = "from fire_sampling import _native; print(_native.build_info()['cuda'])"
    (told,) = lines_of(
        "env", f"PYTHONPATH={package.parent}", shutil.which("python") or "python", "-c", program
    )
    assert told.startswith("kernels for 90-virtual (CUDA ")


def test_the_cuda_object_needs_of_cuda_one_function_of_torch_and_no_library(built: Path) -> None:
    library = built / "wheel/fire_sampling" / CUDA_OBJECT
    wanted = {line.split()[-1] for line in lines_of("nm", "--dynamic", "--undefined-only", library)}
    torch_cpu = ctypes.CDLL(str(TORCH_LIBRARIES / "libtorch_cpu.so"))
    of_torch = {name for name in wanted if name.startswith(("aoti_torch_", "torch_"))}
    missing = {name for name in of_torch if not hasattr(torch_cpu, name)}
    assert missing == {"aoti_torch_get_current_cuda_stream"}
    assert not {name for name in wanted if name.startswith("cuda")}
    dynamic = "\n".join(lines_of("readelf", "--dynamic", library))
    # In a CUDA build it is libtorch.so that brings libtorch_cuda.so, and with it that function.
    assert "[libtorch.so]" in dynamic
    assert "libcudart" not in dynamic
    assert "libpython" not in dynamic
    assert "PATH" not in dynamic


def test_the_cuda_object_keeps_its_cuda_runtime_to_itself(built: Path) -> None:
    library = built / "wheel/fire_sampling" / CUDA_OBJECT
    defined = lines_of("nm", "--dynamic", "--defined-only", library)
    functions = [line.split()[-1] for line in defined if line.split()[-2] in "TtW"]
    assert not [name for name in functions if "cuda" in name.lower()]


def test_a_torch_without_cuda_cannot_load_the_object_and_says_so(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = built / "wheel/fire_sampling" / CUDA_OBJECT
    assert _ops._load_cuda(library) == "torch is built without CUDA"
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert _ops._load_cuda(library.with_name("gone.so")) == (
        "this build of fire_sampling has no CUDA kernels; install it again with nvcc on PATH "
        "(FIRE_CUDA=on says what is missing)"
    )
    reason = _ops._load_cuda(library)
    assert reason is not None
    assert reason.startswith(f"torch {torch.__version__} cannot load {library}")


@pytest.mark.parametrize("name", FAKES)
def test_a_call_for_the_gpu_without_cuda_kernels_says_why_there_are_none(name: str) -> None:
    cuda = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
    supported = make_support_inputs()
    grad, masses = torch.ones(len(supported.logits)), torch.zeros(len(supported.logits), 3, dtype=torch.int64)
    arguments = {
        "support_log_prob": supported,
        "support_log_prob_backward": (grad, grad, *supported, masses),
    }.get(name) or arguments_of(name, make_inputs())
    with pytest.raises(NotImplementedError) as caught:
        operator(name).redispatch(cuda, *arguments, **KEYWORDS.get(name, {}))
    told = "cfg" if name == "first_code" else "logits"
    assert str(caught.value) == f"fire::{name}: {told} is on a GPU, but {_ops.cuda_unavailable}"


def test_devices_between_those_built_for_get_the_oldest_ones_ptx_and_a_cuda_newer_than_torchs_is_a_warning(
    built: Path, tmp_path: Path
) -> None:
    configure = ["cmake", "-S", str(built / "source"), "-B", str(tmp_path), "-DFIRE_CUDA=on"]
    configure += ["-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", f"-DCMAKE_CUDA_COMPILER={compiler(built)}"]
    warned = run([*configure, "-DFIRE_TORCH_CUDA=12.8"]).stderr
    assert "a driver that is new enough for torch may refuse the kernels" in " ".join(warned.split())
    assert "may refuse" not in run([*configure, "-DFIRE_TORCH_CUDA=99.0"]).stderr
    commands = (tmp_path / "compile_commands.json").read_text()
    assert set(re.findall(r"code=\[([\w,]+)\]", commands)) == {
        "compute_80,sm_80",
        "sm_86",
        "sm_90",
        "sm_100",
        "compute_120,sm_120",
    }


PROJECT = """
cmake_minimum_required(VERSION 3.20)
project(consumer LANGUAGES CXX)
find_package(fire_sampling REQUIRED COMPONENTS cuda)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE fire_sampling::cuda)
"""
# Nothing is in GPU memory, so all that may come is CUDA's refusal: of the launch, or of the missing GPU.
MAIN = """
#include <cstdio>
#include <stdexcept>
#include "fire/cuda.h"
int main() {
  float logits[9] = {};
  int64_t step = 0, token = -1;
  fire::Record record = {};
  fire::Batch batch;
  batch.rows = batch.record_count = 1, batch.vocabulary = batch.row_stride = 9;
  batch.logits = logits, batch.step = &step, batch.records = &record;
  fire::SampleOutputs outputs;
  try {
    fire::SampleCuda(batch, outputs, nullptr);
  } catch (const std::invalid_argument& error) {
    std::puts(error.what());
  }
  outputs.token = &token;
  try {
    fire::SampleCuda(batch, outputs, nullptr);
  } catch (const std::runtime_error& error) {
    std::puts(error.what());
  }
}
"""


def test_a_cpp_program_finds_the_cuda_component_and_gets_cudas_own_words(built: Path) -> None:
    folder = built / "consumer"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(PROJECT)
    (folder / "main.cpp").write_text(MAIN)
    configure = ["cmake", "-S", str(folder), "-B", str(folder / "build")]
    run([*configure, f"-DCMAKE_PREFIX_PATH={built / 'prefix'}", f"-DCUDAToolkit_ROOT={toolkit(built)}"])
    run(["cmake", "--build", str(folder / "build")])
    refusal, failure = lines_of(folder / "build/consumer")
    assert refusal == "SampleOutputs::token is 0, expected memory"
    assert "CUDA" in failure


def test_a_build_without_kernels_has_no_cuda_component(built: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    shutil.copytree(built / "prefix", prefix)
    for path in prefix.rglob("*cuda*"):
        path.unlink()
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    configure = ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build"), f"-DCMAKE_PREFIX_PATH={prefix}"]
    configured = subprocess.run(configure, capture_output=True, text=True)
    assert configured.returncode != 0
    assert "this build of fire_sampling has no CUDA kernels" in " ".join(configured.stderr.split())


def compiler(built: Path) -> str:
    """The nvcc that the build used."""
    (cache,) = (built / "source").glob("build/temp*/cmake-*/CMakeCache.txt")
    (line,) = [line for line in cache.read_text().splitlines() if line.startswith("CMAKE_CUDA_COMPILER:")]
    return line.partition("=")[2]


def toolkit(built: Path) -> str:
    """The folder of the toolkit that the build used."""
    probe = subprocess.run(
        [compiler(built), "-v", "--dryrun", "-x", "cu", "/dev/null"],
        capture_output=True,
        text=True,
    )
    (top,) = [line for line in probe.stderr.splitlines() if line.startswith("#$ TOP=")]
    return str(Path(top.partition("=")[2]).resolve())
