"""Breaks the kernels in one place at a time and sees whether their tests notice. See README.md."""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from checks import Check, checks_for
from mutants import MUTATIONS
from mutations import Mutation
from table import MOST_SURVIVORS, Verdict, write_verdict

ROOT = Path(__file__).resolve().parents[2]
PTX_OBJECTS = "CMakeFiles/fire_sampling_cuda_ptx.dir/kernels"
PLAN_OBJECT = "CMakeFiles/fire_sampling_plan.dir/kernels/plan.cpp.o"
FIRST_CODE_OBJECT = f"{PTX_OBJECTS}/first_code.cu.o"
# Tests of the host's part, which those of tests/cuda cannot see: a launch may be slower and as right.
HOST_TESTS = (
    "tests/cpp/CMakeFiles/plan_test.dir/plan_test.cpp.o",
    "tests/gates/CMakeFiles/described_device.dir/described_device_test.cpp.o",
)
HOST_OBJECT = "tests/cpp/CMakeFiles/{0}.dir/{0}.cpp.o"
# What a mutation of the definition's headers is compiled into; and of the CPU's, beside its test.
DEFINITION_OBJECTS = [HOST_OBJECT.format(name) for name in ("shard_test", "shard_boundary_test")]
CPU_OBJECT = "CMakeFiles/fire_sampling.dir/csrc/cpu/rows_avx2.cpp.o"
CPU_TEST = HOST_OBJECT.format("cpu_backend_shard_test")


class InvalidMutationError(Exception):
    """The mutation no longer applies, or does not compile: the list must be mended."""


@dataclass(frozen=True)
class Finding:
    kind: str
    text: str


class Reader:
    """Finds in a test program's output, line by line, what has gone wrong first."""

    def __init__(self) -> None:
        self.ran = False
        self._failed = False

    def finding_in(self, line: str) -> Finding | None:
        self.ran = self.ran or line.startswith("[ RUN")
        if match := re.match(r"simulated device(?: \d+)?: ([^:]+): (.*)", line):
            return Finding(match[1], match[2].split("; kernel")[0])
        if self._failed and line not in ("Failed", ""):
            return Finding("wrong result", re.sub(r"^row \d+: ", "", line).split(";")[0])
        self._failed = self._failed or line.endswith(": Failure")
        return None


class Builder:
    """The commands of a CMake build of the tests, made to build a mutated copy of the sources."""

    def __init__(self, build: Path) -> None:
        self.build = build
        self.tests = sorted(build.glob("tests/cuda/CMakeFiles/cuda_*.dir/*.o"))
        if not self.tests:
            sys.exit(f"{build} holds no objects of tests/cuda: build it first")
        self.tests += [build / name for name in HOST_TESTS]

    def _command_of(self, target: str) -> list[str]:
        listed = subprocess.run(
            ["ninja", "-C", str(self.build), "-t", "commands", "-s", target],
            check=True,
            capture_output=True,
            text=True,
        )
        words = shlex.split(listed.stdout.strip().splitlines()[-1])
        # A mutation may leave a variable unused; and no dependencies are to be recorded.
        return [word for word in words if "-Werror" not in word and word != "-MD"]

    def program(self, mutation: Mutation | None, scratch: Path) -> Path:
        """Links all tests with the sources under `scratch`, of which the mutated part is compiled anew."""
        if mutation and mutation.is_of_the_host:
            if mutation.file.startswith("csrc/cpu/"):
                return self._host_program(
                    [self._compiled(CPU_OBJECT, scratch), self.build / CPU_TEST], scratch
                )
            return self._host_program([self._compiled(one, scratch) for one in DEFINITION_OBJECTS], scratch)
        logits = mutation.logits if mutation else "float32"
        architecture = mutation.architecture if mutation else 90
        targets = [f"{PTX_OBJECTS}/rows_{logits}.cu.o"]
        if mutation and mutation.file in ("kernels/plan.h", "kernels/storage.h"):
            targets.append(PLAN_OBJECT)
        if mutation and mutation.file == "kernels/plan.cpp":
            targets = [PLAN_OBJECT]
        if mutation and mutation.file == "kernels/first_code.cu":
            targets = [FIRST_CODE_OBJECT]
        if mutation and mutation.source:
            targets = [f"{PTX_OBJECTS}/{mutation.source}.cu.o"]
        objects = [self._compiled(target, scratch, architecture) for target in targets]
        libraries = [
            self.build / "tests/simulator/libsimulated_main.a",
            self.build / "libfire_sampling_cuda_ptx.a",
            self.build / "libfire_sampling.a",
            self.build / "tests/simulator/libsimulated_cudart.a",
        ]
        return self._linked(
            [*objects, *self.tests, *libraries, "-lgtest", "-lpthread", "-ldl", "-lrt"], scratch
        )

    def _host_program(self, objects: list[Path], scratch: Path) -> Path:
        libraries = [self.build / "tests/cpp/libfire_test_oracle.a", self.build / "libfire_sampling.a"]
        return self._linked([*objects, *libraries, "-lgtest_main", "-lgtest", "-lpthread"], scratch)

    def _compiled(self, target: str, scratch: Path, architecture: int = 0) -> Path:
        output = scratch / Path(target).name
        self._run(self._adapted(target, scratch, output, architecture))
        return output

    def _linked(self, words: Sequence[str | Path], scratch: Path) -> Path:
        program = scratch / "program"
        self._run(["c++", "-o", str(program), *map(str, words)])
        return program

    def _adapted(self, target: str, scratch: Path, output: Path, architecture: int) -> list[str]:
        words: list[str] = []
        drop_value = False
        for word in self._command_of(target):
            if drop_value:
                drop_value = False
            elif word in ("-MT", "-MF"):
                drop_value = True
            elif word.startswith("--generate-code="):
                if f"compute_{architecture}," in word:
                    words.append(word)
            elif word == target:
                words.append(str(output))
            elif any(str(place) in word for place in (ROOT / ".venv", self.build)):
                words.append(word)  # the compiler and its headers are not copied
            elif not word.startswith(("-Xcompiler=-ffile-prefix-map", "-ffile-prefix-map")):
                words.append(word.replace(str(ROOT), str(scratch)))
        return words

    def _run(self, words: list[str]) -> None:
        done = subprocess.run(words, cwd=self.build, capture_output=True, text=True)
        if done.returncode != 0:
            raise InvalidMutationError((done.stdout + done.stderr)[-2000:])


def copy_sources(scratch: Path, mutation: Mutation | None) -> None:
    for folder in ("kernels", "csrc/cpu", "csrc/definition", "csrc/include", "tests/cpp"):
        shutil.copytree(ROOT / folder, scratch / folder)
    for header in (ROOT / "csrc").glob("*.h"):
        shutil.copy(header, scratch / "csrc")
    if mutation is None:
        return
    if complaint := mutation.complaint(scratch):
        raise InvalidMutationError(complaint)
    mutation.apply(scratch)


def run_check(program: Path, check: Check, tests: str) -> Finding | None:
    """Runs until the first finding."""
    environment = {
        **os.environ,
        "FIRE_SIMULATOR": check.device,
        "FIRE_TEST_SEED": str(check.seed),
        "FIRE_TEST_SHRINK": "0",
    }
    environment.pop("FIRE_TEST_ROW_RUNS", None)
    with subprocess.Popen(
        [program, f"--gtest_filter={tests}", "--gtest_fail_fast"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        # Of the processor's time: how busy the machine is must not change a verdict.
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (check.seconds, check.seconds + 1))
        assert process.stdout is not None
        reader = Reader()
        found = next((f for line in process.stdout if (f := reader.finding_in(line.rstrip()))), None)
        if found is not None:
            process.kill()
        process.wait()
    if found is not None:
        return found
    if process.returncode == 0:
        if not reader.ran:
            sys.exit(f"no test is called {tests}")
        return None
    if process.returncode == -signal.SIGXCPU:
        return Finding("no end", f"not done after {check.seconds} s of the processor's time")
    if process.returncode < 0:
        return Finding("crash", signal.Signals(-process.returncode).name)
    return Finding("wrong result", "a test failed")


def verdict_of(builder: Builder, mutation: Mutation | None, most_checks: int | None) -> Verdict:
    name = mutation.name if mutation else "nothing"
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fire_mutation_") as folder:
        scratch = Path(folder)
        copy_sources(scratch, mutation)
        program = builder.program(mutation, scratch)
        for check, tests in list(checks_for(mutation))[:most_checks]:
            finding = run_check(program, check, tests)
            if finding is not None and finding.kind == "unknown instruction":
                raise InvalidMutationError(finding.text)
            if finding is not None:
                seconds = round(time.monotonic() - start)
                text = finding.text.replace(f"{scratch}/", "")
                return Verdict(name, True, finding.kind, text, f"{check.name}: {tests}", seconds)
    return Verdict(name, False, "", "", "", round(time.monotonic() - start))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True, help="a Ninja build folder of the tests")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutations; `nothing` is none")
    parser.add_argument("--jobs", type=int, default=1, help="mutations at a time")
    parser.add_argument("--checks", type=int, help="only the first so many; what passes them is not written")
    parser.add_argument("--write", action="store_true", help="write the verdicts into results.json")
    arguments = parser.parse_args()

    by_name = {mutation.name: mutation for mutation in MUTATIONS}
    if unknown := set(arguments.only or []) - set(by_name) - {"nothing"}:
        parser.error(f"no such mutation: {', '.join(sorted(unknown))}")
    names = arguments.only or ["nothing", *by_name]
    builder = Builder(arguments.build.resolve())
    verdicts: list[Verdict] = []
    invalid: list[str] = []

    def judge(name: str) -> None:
        try:
            verdict = verdict_of(builder, by_name.get(name), arguments.checks)
        except InvalidMutationError as error:
            invalid.append(name)
            print(f"{name}: INVALID: {error}", flush=True)
            return
        verdicts.append(verdict)
        print(verdict.line(), flush=True)
        if arguments.write and name in by_name and (verdict.caught or arguments.checks is None):
            write_verdict(MUTATIONS, verdict)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(judge, names))
    return report(verdicts, invalid)


def report(verdicts: list[Verdict], invalid: list[str]) -> int:
    judged = [verdict for verdict in verdicts if verdict.name != "nothing"]
    survivors = [verdict.name for verdict in judged if not verdict.caught]
    print(f"{len(judged)} mutations, {len(judged) - len(survivors)} caught; survived: {survivors or 'none'}")
    false_alarm = any(verdict.name == "nothing" and verdict.caught for verdict in verdicts)
    if false_alarm:
        print("the checks fail without any mutation")
    if invalid:
        print(f"to be mended: {', '.join(invalid)}")
    return int(false_alarm or bool(invalid) or len(survivors) > MOST_SURVIVORS * len(judged))


if __name__ == "__main__":
    sys.exit(main())
