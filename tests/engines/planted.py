"""Breaks FIRE's logits processor for vLLM in one place at a time, and sees whether its tests fall.

    make test-vllm-planted
    .venv-vllm/bin/python tests/engines/planted.py [NAME ...]

Each fault has the tests that must find it, on the runner that it breaks. They run on a copy of the package,
in a process of their own, for about half a minute.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "mutation"))

from mutations import Mutation  # noqa: E402

_FOLDER = "fire_sampling/integrations/vllm"


@dataclass(frozen=True)
class Fault:
    """In a file of the integration `find`, which occurs once, becomes `replace`; then `tests` must fall."""

    name: str
    runner: int
    file: str
    find: str
    replace: str
    tests: str

    @property
    def mutation(self) -> Mutation:
        """With paths from the folder that the package is imported from."""
        return Mutation(self.name, f"{_FOLDER}/{self.file}", "", self.find, self.replace)


def in_file(runner: int, file: str, *faults: tuple[str, str, str, str]) -> list[Fault]:
    """Each: name, what to find, what to put there, the tests that must fall."""
    return [Fault(name, runner, file, find, replace, tests) for name, find, replace, tests in faults]


_IN_WINDOW = "if len(state.output) in state.hot]"
_FIRST = "test_vllm_processor.py::test_the_first_token_is_drawn_from_the_hot_distribution_and_the_others_from"
_SLOTS = "test_vllm_scheduling.py::test_a_slot_or_row_taken_over_forgets_its_last_request"
_CHUNKS = "test_vllm_scheduling.py::test_a_prompt_read_in_chunks_has_one_hot_first_token"
_PREEMPTED = "test_vllm_scheduling.py::test_a_preempted_request_goes_on_where_it_was"
_DEFAULT = "test_vllm_default.py::test_the_default_heats_the_requests_that_say_nothing_and_no_others"
_PENALTIES = "test_vllm_traits.py::test_penalties_in_a_later_hot_step"
_AFTER = "test_vllm_after.py::test_a_slot_taken_over_forgets_the_tokens_that_opened_windows"
_ENDED = "test_vllm_scheduling.py::test_a_request_that_ends_while_it_is_hot_leaves_its_row_cold"
_STREAMING = "test_vllm_streaming_input.py::test_every_piece"

# V1: a request's state by row of the batch.
_ROWS = in_file(
    1,
    "heat/v1.py",
    ("v1-step-off-by-one", _IN_WINDOW, "if len(state.output) + 1 in state.hot]", _FIRST),
    ("v1-first-hot-row-cold", "for row, state in hot:", "for row, state in hot[1:]:", _FIRST),
    (
        "v1-calls-counted-for-tokens",
        "        hot = [(row, state) for row, state in self._rows.items() " + _IN_WINDOW,
        "        calls = self.__dict__.setdefault('calls', {})\n"
        "        for state in self._rows.values():\n"
        "            calls[id(state)] = (calls.get(id(state), (-1,))[0] + 1, state)\n"
        "        hot = [(row, s) for row, s in self._rows.items() if calls[id(s)][0] in s.hot]",
        _CHUNKS,
    ),
    (
        "v1-tokens-no-longer-followed",
        "_Row(record, request.config.hot_window, output)",
        "_Row(record, request.config.hot_window, list(output))",
        _FIRST,
    ),
    ("v1-moved-row-left-behind", "self._rows[target] = moved", "self._rows[source] = moved", _SLOTS),
    (
        "v1-removed-row-kept",
        "        for row in batch_update.removed:\n            self._rows.pop(row, None)\n",
        "",
        _ENDED,
    ),
    (
        "v1-row-overwritten-by-a-cold-request-stays-hot",
        "in batch_update.added:\n            self._rows.pop(row, None)\n",
        "in batch_update.added:\n",
        _STREAMING,
    ),
)

# V2: by slot, steps on the device.
_SLOT = in_file(
    2,
    "heat/v2.py",
    ("v2-step-off-by-one", "step = context.pos + 1 - prompt", "step = context.pos - prompt", _FIRST),
    (
        "v2-last-hot-step-skipped",
        "(first < self._end[slots])",
        "(first + 1 < self._end[slots])",
        _FIRST,
    ),
    (
        "v2-slot-keeps-the-record-of-its-last-request",
        "            self._records.write(slot, np.zeros(RECORD_WORDS, np.int32))\n",
        "",
        _SLOTS,
    ),
    (
        "v2-slot-keeps-the-tokens-that-open-windows",
        "if self._after is not None:  # without tokens too",
        "if request.after:  # without tokens too",
        _AFTER,
    ),
    (
        "v2-preempted-request-begins-anew",
        "        prompt = self._states.prompt_len.gpu[slot]\n",
        "        prompt = self._states.prefill_len.gpu[slot]\n",
        _PREEMPTED,
    ),
    (
        "v2-window-opened-by-the-prompt",
        "opens &= (position >= prompt[:, None]) & (",
        "opens &= (position >= 0) & (",
        "test_vllm_after.py::test_tokens_of_the_prompt_open_no_window",
    ),
)

_TABLE = in_file(
    2,
    "device_table.py",
    (
        "v2-slot-keeps-its-last-record-as-any-request-comes",
        "        self._written[slot] = row\n",
        "        if not self.there[slot].any():\n            self._written[slot] = row\n",
        _SLOTS,
    ),
)

# What holds for a request is the same on both; V1 is the faster one here.
_REQUEST = [
    *in_file(
        1,
        "requests.py",
        (
            "default-heats-greedy-requests",
            "if is_greedy(params) or params.max_tokens == 1:",
            "if params.max_tokens == 1:",
            _DEFAULT,
        ),
        (
            "default-heats-requests-of-one-token",
            "if is_greedy(params) or params.max_tokens == 1:",
            "if is_greedy(params):",
            _DEFAULT,
        ),
        ("default-widens-top-k", "hot_top_k <= 0 or hot_top_k > params.top_k", "hot_top_k <= 0", _DEFAULT),
    ),
    *in_file(
        1,
        "../hot_keys.py",
        (
            "steps-0-is-no-steps-given",
            "= RULES[FIELDS[key]].check(key, value)",
            "= RULES[FIELDS[key]].check(key, value) or None",
            "test_vllm_traits.py::test_a_request_that_says_steps_0_is_a_continuation_and_regular",
        ),
    ),
    *in_file(
        1,
        "admission.py",
        (
            "false-logprobs-reported",
            "and not hands_over(config, engine.vocabulary)",
            "and False",
            "test_vllm_processor.py::test_logprobs_that_would_be_false_are_refused",
        ),
        (
            "penalties-in-a-later-hot-step-taken",
            "penalised and window.stop > 1:",
            "penalised and window.stop > 9:",
            _PENALTIES,
        ),
    ),
    *in_file(
        1,
        "records.py",
        (
            "seedless-requests-share-a-seed",
            "            self._seedless += 1\n",
            "",
            "test_vllm_processor.py::test_seedless_draws_differ",
        ),
    ),
]

# What either runner calls.
_MASKS = [
    fault
    for runner in (1, 2)
    for fault in in_file(
        runner,
        "heat/processor.py",
        (
            f"v{runner}-masked-logits-lifted",
            "        return logits\n",
            "        return logits.clamp_(min=-1e4)\n",
            "test_vllm_traits.py::test_a_mask_is_never_lifted",
        ),
    )
]

FAULTS = [*_ROWS, *_SLOT, *_TABLE, *_REQUEST, *_MASKS]


def tests_fall(fault: Fault, package: Path) -> bool:
    """Whether the tests named for the fault fail on a copy of `package` that has it."""
    file, test = fault.tests.split("::")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(package, copy / "fire_sampling", ignore=shutil.ignore_patterns("__pycache__"))
        complaint = fault.mutation.complaint(copy)
        if complaint is not None:
            raise SystemExit(complaint)
        fault.mutation.apply(copy)
        path = f"{copy}:{os.environ.get('PYTHONPATH', '')}"
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", HERE / file, "-k", test],
            env={**os.environ, "PYTHONPATH": path, "VLLM_USE_V2_MODEL_RUNNER": str(fault.runner - 1)},
            capture_output=True,
            text=True,
        )
    summary = run.stdout.strip().splitlines()[-1:]
    # Status 1: tests fell. An error, or no test of that name, is no verdict.
    if run.returncode not in (0, 1) or not re.search(r"\d+ (passed|failed)", "".join(summary)):
        raise SystemExit(f"{fault.name}: pytest ended with {run.returncode}:\n{run.stdout[-3000:]}")
    return run.returncode == 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of faults; all if none is given")
    names = set(parser.parse_args().names)
    unknown = names - {fault.name for fault in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    import fire_sampling

    package = Path(fire_sampling.__file__).parent
    survivors = 0
    for fault in FAULTS:
        if not names or fault.name in names:
            caught = tests_fall(fault, package)
            survivors += not caught
            print(f"{'caught  ' if caught else 'SURVIVED'} {fault.name}", flush=True)
    if survivors:
        raise SystemExit(f"{survivors} faults were found by none of their tests")


if __name__ == "__main__":
    main()
