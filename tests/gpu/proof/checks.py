"""The stages that look for mistakes: smoke, GoogleTest, pytest, CPU = GPU, compute-sanitizer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .context import (
    ROOT,
    Command,
    Context,
    StageError,
    cores,
    json_lines_of,
    leave,
    output_of,
    run,
    seconds_left,
    tool,
)

ROW_RUNS = 1 << 20  # rows times records that the GPU and the CPU must agree on
REHEARSED_ROW_RUNS = 300
LARGE = ("--rows", "300", "--vocabulary", "37")  # in a rehearsal; else more than 2^32 logits
EVERY_BACKEND = "pytest.mark.every_backend"  # in test modules that run on a GPU too
MODULES_AT_ONCE = 4
SANITIZER_EXIT = 99
CLUSTERS_OF_16 = (90, 100, 103)  # compute capabilities
WHOLE_DATA_CENTRE_GPU = 100  # multiprocessors


def smoke_shipped(context: Context) -> None:
    """Every plan of the table, as built where it was packed: before anything is compiled here."""
    program = context.shipped / "programs" / "smoke"
    if not program.exists():
        raise StageError(f"{program} is missing; `python tests/gpu/pack` builds it")
    if context.dry_run:
        leave(
            {"note": "what is shipped is for real devices; `smoke` runs the same source on the simulated one"}
        )
        return
    _smoke(context, program)


def smoke_native(context: Context) -> None:
    _smoke(context, context.native / "programs" / "smoke")


def _smoke(context: Context, program: Path) -> None:
    limits = ["--most-vocabulary", "31", "--most-rows", "2"] if context.dry_run else []
    found = _one_object([program, context.golden, *limits])
    found["second_device"] = None  # there is one
    leave(found)
    if found["devices"] > 1:
        few_rows = limits or ["--most-rows", "8"]
        found["second_device"] = _one_object([program, context.golden, "--device", "1", *few_rows])
    if wrong := unlaunched_clusters(found):
        raise StageError(wrong, found)
    leave(found)


def unlaunched_clusters(found: Mapping[str, Any]) -> str | None:
    """Says that a GPU that can give a row 16 blocks never has: the table does without where it is told so."""
    is_whole = found["multiprocessors"] >= WHOLE_DATA_CENTRE_GPU  # a slice may have no group of 16
    if found["capability"] not in CLUSTERS_OF_16 or not is_whole or found["forced"].get("16"):
        return None
    return f"no cluster of 16 was launched: clusters that the device says run at once: {found['clusters']}"


def _one_object(command: Command) -> dict[str, Any]:
    """Runs a program that prints one object."""
    try:
        found = json_lines_of(command)
    except StageError as failure:
        raise StageError(f"{failure}; the log has its first mistakes") from failure
    if len(found) != 1:
        raise StageError(f"{Path(str(command[0])).name} printed {len(found)} results, expected one")
    return found[0]


def operators_shipped(context: Context) -> None:
    """The packed torch operators, against torch's oldest headers too, each in a process of its own."""
    wrong = []
    found: dict[str, Any] = {}
    for folder in sorted(context.shipped.glob("torch-*")):
        script = Path(__file__).with_name("operators.py")
        device = "cpu" if context.dry_run else "cuda"
        code = subprocess.run([sys.executable, script, folder, context.golden, device], cwd=ROOT).returncode
        found[folder.name] = "right" if code == 0 else f"ended with {code}"
        wrong += [] if code == 0 else [f"operators built for {folder.name} ended with {code}"]
        leave(found)
    if not found:
        raise StageError(f"{context.shipped} holds no torch operators")
    if wrong:
        raise StageError("; ".join(wrong), found)


def googletest(context: Context) -> None:
    folder = context.native / "tests" / "cuda"
    if not (folder / "CTestTestfile.cmake").exists():
        raise StageError(f"{folder} holds no tests")
    junit = context.work / "results" / "googletest.xml"
    filters = ["--tests-information", "1,3"] if context.dry_run else []
    command = ["ctest", "--test-dir", folder, "--output-on-failure", "--no-tests=error", "--timeout", "60"]
    run([*command, *filters, "--parallel", str(min(8, cores())), "--output-junit", junit])
    counts = junit_counts(junit)
    if counts["tests"] == counts["skipped"]:
        raise StageError("no test ran", counts)
    leave(counts)


def pytest(context: Context) -> None:
    """The operators' tests on CUDA tensors, with the package of the native build."""
    modules = [
        path
        for path in sorted((ROOT / "tests" / "python").rglob("test_*.py"))
        if EVERY_BACKEND in path.read_text()
        and (not context.dry_run or not path.name.startswith("test_cuda_"))
    ]
    if not modules:
        raise StageError(f"no test module carries the mark {EVERY_BACKEND}")
    python_path = [str(context.native / "package")]
    if any(importlib.util.find_spec(name) is None for name in ("pytest", "hypothesis")):
        python_path.append(str(context.pack / "python"))
    environment = {
        "PYTHONPATH": os.pathsep.join(python_path),
        "FIRE_BACKEND": "simulated" if context.dry_run else "cuda",
        "FIRE_SIMULATED_LIBRARY": str(
            context.native / "tests" / "torch_cuda" / "libfire_sampling_torch_simulated.so"
        ),
        # Whatever else is installed has no say in these tests.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5"]
    if context.dry_run:  # the suite itself runs on the simulated device in `make test-simulated`
        run([*command, "--collect-only", *modules], environment)
        modules = modules[:1]
    _leave_counts(_each_module(context, command, modules, environment))


def _each_module(
    context: Context, command: Command, modules: Sequence[Path], environment: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """What became of each module. A process each, several at a time: most of a test's time is the host's."""
    found: dict[str, dict[str, Any]] = {}
    one_at_a_time = threading.Lock()

    def work(module: Path) -> None:
        junit = context.work / "results" / f"{module.stem}.xml"
        junit.unlink(missing_ok=True)
        begin = time.monotonic()
        words = [*map(str, command), f"--junitxml={junit}", str(module)]
        ended = subprocess.run(
            words,
            env={**os.environ, **environment},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        counts = junit_counts(junit) if junit.exists() else {}
        with one_at_a_time:
            print(f"\n----- {module.name}\n{ended.stdout.decode(errors='replace')}", flush=True)
            seconds = round(time.monotonic() - begin, 1)
            found[module.stem] = {**counts, "exit_code": ended.returncode, "seconds": seconds}
            leave({"modules": found})  # so that a run that is ended tells what it had done

    with ThreadPoolExecutor(max_workers=max(1, min(MODULES_AT_ONCE, cores() // 2))) as pool:
        list(pool.map(work, modules))
    return found


def _leave_counts(found: Mapping[str, Mapping[str, Any]]) -> None:
    names = ("tests", "failures", "errors", "skipped")
    totals = {name: sum(module.get(name, 0) for module in found.values()) for name in names}
    result = {**totals, "modules": dict(found)}
    failed = [name for name, module in found.items() if module["exit_code"] != 0 or not module.get("tests")]
    if failed:
        raise StageError(f"failed: {', '.join(failed)}", result)
    if totals["tests"] == totals["skipped"]:
        raise StageError("no test ran", result)
    leave(result)


def junit_counts(path: Path) -> dict[str, int]:
    """How many tests a run had, and how many of them did not pass."""
    import xml.etree.ElementTree as ElementTree

    root = ElementTree.parse(path).getroot()
    suites = [root] if root.tag == "testsuite" else list(root.iter("testsuite"))
    names = ("tests", "failures", "errors", "skipped")
    return {name: sum(int(suite.get(name, "0")) for suite in suites) for name in names}


def equality(context: Context) -> None:
    begin = time.monotonic()
    large = json_lines_of([context.program("large"), *(LARGE if context.dry_run else ())])[0]
    leave({"large": large})
    row_runs = REHEARSED_ROW_RUNS if context.dry_run else ROW_RUNS
    limit = max(5.0, seconds_left(begin) - 5)
    command = [context.program("equality"), "--row-runs", str(row_runs), "--seconds", f"{limit:.0f}"]
    try:
        random = json_lines_of(command)[0]
    except StageError as failure:
        raise StageError(f"{failure}; the log has its mistakes or its count", {"large": large}) from failure
    leave({"large": large, "random": random})


def sanitizer(context: Context, tool_name: str) -> None:
    """compute-sanitizer's `tool_name` over every forced plan of short rows."""
    program = tool("compute-sanitizer")
    if context.dry_run:
        leave({"program": program, "note": "a rehearsal has no device that it could watch"})
        return
    limits = ["--most-vocabulary", "1000", "--most-rows", "8"]
    watched = [context.program("smoke"), context.golden, *limits]
    options = ["--tool", tool_name, "--error-exitcode", str(SANITIZER_EXIT), "--print-limit", "20"]
    output_of([program, *options, *watched])
    leave({"tool": tool_name, "found": 0})
