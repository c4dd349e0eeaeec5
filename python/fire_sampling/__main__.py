"""`python -m fire_sampling info | selftest | plan`: what this build is, whether it draws what every build
must, and which CUDA launch a batch gets.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import importlib.metadata
import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Sequence

from fire_sampling import __version__, _launch_plan, _native, _torch_entry, selftest

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
# Exit status: FIRE_CPU names an instruction set that this processor lacks.
UNAVAILABLE = 3


def operators() -> str:
    """Where the torch operators are, or why they are missing."""
    if _torch_entry.unavailable is not None:
        return f"missing: {_torch_entry.unavailable}"
    from fire_sampling import _ops

    return f"{_ops.LIBRARY}, built against torch {_native.build_info()['torch']}"


def cuda_of_driver() -> str | None:
    """The newest CUDA that this machine's driver knows, None without a driver."""
    version = ctypes.c_int()
    try:
        failed = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version)) != 0
    except OSError:
        return None
    return None if failed else f"{version.value // 1000}.{version.value % 1000 // 10}"


def needs_ptx(build: str, capability: tuple[int, int]) -> bool:
    """Whether a GPU of that compute capability has to translate the kernels, for want of machine code.

    It runs its own and that of an older minor version; 8.7, a Tegra, its own alone.
    """
    listed = re.search(r"kernels for (.*) \(", build)
    numbers = re.findall(r"(\d+)(\d)(?!\d)(?!-virtual)", listed.group(1)) if listed else []
    versions = [(int(major), int(minor)) for major, minor in numbers]
    least = capability if capability == (8, 7) else (capability[0], 0)
    return bool(versions) and not any(least <= version <= capability for version in versions)


def driver(build: str, capabilities: Sequence[tuple[int, int]] = ()) -> str:
    """What the driver is, and whether it is too old for the kernels of that build on these GPUs.

    It runs machine code of its own major version of CUDA, but PTX of no newer version than its own.
    """
    of_driver, of_kernels = cuda_of_driver(), re.search(r"\(CUDA (\d+)\.(\d+)", build)
    if of_driver is None:
        return "no driver"
    known = f"a driver of CUDA {of_driver}"
    if of_kernels is None:
        return known
    has, wants = tuple(map(int, of_driver.split("."))), tuple(map(int, of_kernels.groups()))
    if has[0] < wants[0]:
        return f"{known}, too old for the kernels, which need {wants[0]}.0"
    from_ptx = [one for one in capabilities if needs_ptx(build, one)]
    if has < wants and from_ptx:
        on = ", ".join(f"{major}.{minor}" for major, minor in sorted(set(from_ptx)))
        return f"{known}, too old for the kernels on {on}, which are PTX there and need {wants[0]}.{wants[1]}"
    return known


def cuda() -> str:
    """The CUDA kernels of this build, whether they are loaded or why not, and what torch sees of CUDA."""
    build = _native.build_info()["cuda"]
    if sys.modules.get("torch") is None:
        return build
    import torch

    if torch.version.cuda is None:
        return f"{build}; torch is built without CUDA"
    count = torch.cuda.device_count()
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(count))
    of_driver = driver(build, [torch.cuda.get_device_capability(index) for index in range(count)])
    seen = f"torch has CUDA {torch.version.cuda} and sees {names or 'no GPU'}, {of_driver}"
    return f"{build}, {loaded()}; {seen}"


def loaded() -> str:
    """Whether torch has loaded the CUDA kernels, or why not."""
    if _torch_entry.unavailable is not None:
        return "not loaded: the torch operators are missing"
    from fire_sampling import _ops

    return "loaded" if _ops.cuda_unavailable is None else f"not loaded: {_ops.cuda_unavailable}"


def gpus_seen() -> int:
    """The number of GPUs that torch sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def has_gpu() -> bool:
    """Whether the operators take the tensors of a GPU that is there."""
    return loaded() == "loaded" and gpus_seen() > 0


def installed(package: str) -> str:
    """The version of an installed package, or "not installed"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def info() -> int:
    """Prints the versions, the instruction set, and which backends are there or why not."""
    build = _native.build_info()
    lines = {
        "fire_sampling": f"{__version__} (compiled part {build['version']}, {build['compiler']})",
        "python": f"{platform.python_version()} on {platform.machine()}",
        "numpy": installed("numpy"),
        "torch": installed("torch"),
        "transformers": installed("transformers"),
        "instruction set": build["instruction_set"],
        "CUDA": cuda(),
        "torch operators": operators(),
    }
    for name, value in lines.items():
        print(f"{name:<16} {value}")
    return 0


def selftest_here() -> int:
    """Compares what this process draws, with its instruction set, and prints the result."""
    instruction_set = _native.build_info()["instruction_set"]
    entries: list[tuple[str, selftest.Draw, tuple[str, ...]]] = [
        ("NumPy", selftest.draw_with_numpy, selftest.numpy_dtypes())
    ]
    failed = False
    if _torch_entry.unavailable is not None:
        # Whoever has torch counts on its operators, whoever has none asked for NumPy alone.
        failed = not _torch_entry.torch_is_absent
        verdict = "FAILED" if failed else "not compared"
        print(f"{instruction_set}: torch: {verdict}: {_torch_entry.unavailable}")
    else:
        entries.append(("torch", selftest.draw_with_torch, selftest.DTYPES))
        if has_gpu():
            draw_on_gpu = functools.partial(selftest.draw_with_torch, device="cuda")
            entries.append(("torch on CUDA", draw_on_gpu, selftest.DTYPES))
        elif gpus_seen() > 0:
            print(f"{instruction_set}: torch on CUDA: not compared: {loaded()}")
    for entry, draw, dtypes in entries:
        wrong = selftest.mismatches(draw, dtypes)
        failed = failed or bool(wrong)
        rows = len(dtypes) * len(selftest.VOCABULARIES) * len(selftest.CASES)
        verdict = f"{len(wrong)} batches DIFFER" if wrong else "all equal"
        print(f"{instruction_set}: {rows} rows of {', '.join(dtypes)} through {entry}: {verdict}")
        for line in wrong:
            print(f"  {line}")
        if dtypes != selftest.DTYPES:
            print(f"{instruction_set}: bfloat16 not compared through {entry}: ml_dtypes is not installed")
    return int(failed)


def selftest_all() -> int:
    """Runs `selftest_here` for every instruction set, each in a process of its own, which chooses it once."""
    failed = False
    for name in INSTRUCTION_SETS:
        command = [sys.executable, "-m", "fire_sampling", "selftest"]
        child = subprocess.run(
            command, env={**os.environ, "FIRE_CPU": name}, stdout=subprocess.PIPE, text=True
        )
        # Every processor runs the baseline.
        if child.returncode == UNAVAILABLE and name != "baseline":
            print(f"{name}: not compared, this processor does not have it", flush=True)
            continue
        print(child.stdout, end="", flush=True)
        failed = failed or child.returncode != 0
    print("selftest: FAILED" if failed else "selftest: passed")
    return int(failed)


def main(arguments: list[str] | None = None) -> int:
    """Parses the command line and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fire_sampling", description=__doc__)
    parser.add_argument("--version", action="version", version=f"fire_sampling {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="versions, instruction set, and what is missing")
    test = commands.add_parser(
        "selftest", help="draw a fixed table of answers and compare bits; FIRE_CPU chooses one"
    )
    test.add_argument("--answers", action="store_true", help="print this build's answers as JSON instead")
    plan = commands.add_parser("plan", help="the CUDA launch of a batch, on any GPU; this needs none")
    _launch_plan.add_arguments(plan)
    parsed = parser.parse_args(arguments)
    if parsed.command == "plan":
        return _launch_plan.show(parsed)
    try:
        _native.build_info()
    except RuntimeError as error:
        print(error, flush=True)
        return UNAVAILABLE
    if parsed.command == "info":
        return info()
    if parsed.answers:
        print(json.dumps(dict(selftest.answers(selftest.draw_with_numpy, selftest.numpy_dtypes()))))
        return 0
    return selftest_here() if "FIRE_CPU" in os.environ else selftest_all()


def run() -> int:
    """`main`, and an error of one line where its output has nowhere to go, as on a full disk."""
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # not the output, which has no name here
            raise
        print(f"python -m fire_sampling: the output cannot be written: {error.strerror}", file=sys.stderr)
        # Python flushes once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    # A reader that has seen enough, such as `head`, ends the program as it ends others.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(run())
