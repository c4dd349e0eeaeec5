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
_ROWS = [
    Fault(
        "v1-step-off-by-one", 1, "batch_rows.py", _IN_WINDOW, "if len(state.output) + 1 in state.hot]", _FIRST
    ),
    Fault(
        "v1-first-hot-row-cold",
        1,
        "batch_rows.py",
        "for row, state in hot:",
        "for row, state in hot[1:]:",
        _FIRST,
    ),
    Fault(
        *("v1-calls-counted-for-tokens", 1, "batch_rows.py"),
        "        hot = [(row, state) for row, state in self._rows.items() " + _IN_WINDOW,
        "        calls = self.__dict__.setdefault('calls', {})\n"
        "        for state in self._rows.values():\n"
        "            calls[id(state)] = (calls.get(id(state), (-1,))[0] + 1, state)\n"
        "        hot = [(row, s) for row, s in self._rows.items() if calls[id(s)][0] in s.hot]",
        _CHUNKS,
    ),
    Fault(
        *("v1-tokens-no-longer-followed", 1, "batch_rows.py"),
        *("_Row(record, _window(record), output)", "_Row(record, _window(record), list(output))", _FIRST),
    ),
    Fault(
        *("v1-moved-row-left-behind", 1, "batch_rows.py"),
        *("self._rows[target] = moved", "self._rows[source] = moved", _SLOTS),
    ),
    Fault(
        *("v1-removed-row-kept", 1, "batch_rows.py"),
        "        for row in batch_update.removed:\n            self._rows.pop(row, None)\n",
        *("", _ENDED),
    ),
    Fault(
        *("v1-row-overwritten-by-a-cold-request-stays-hot", 1, "batch_rows.py"),
        "in batch_update.added:\n            self._rows.pop(row, None)\n",
        *("in batch_update.added:\n", _STREAMING),
    ),
]

# V2: by slot, steps on the device.
_SLOT = [
    Fault(
        *("v2-step-off-by-one", 2, "request_slots.py"),
        *("step = context.pos + 1 - prompt", "step = context.pos - prompt", _FIRST),
    ),
    Fault(
        *("v2-last-hot-step-skipped", 2, "request_slots.py"),
        *("(first < self._end[slots])", "(first + 1 < self._end[slots])", _FIRST),
    ),
    Fault(
        *("v2-slot-keeps-the-record-of-its-last-request", 2, "request_slots.py"),
        "            self._records.write(slot, np.zeros(RECORD_WORDS, np.int32))\n",
        *("", _SLOTS),
    ),
    Fault(
        *("v2-slot-keeps-its-last-record-as-any-request-comes", 2, "request_slots.py"),
        "        self._written[slot] = row\n",
        *("        if not self.there[slot].any():\n            self._written[slot] = row\n", _SLOTS),
    ),
    Fault(
        *("v2-slot-keeps-the-tokens-that-open-windows", 2, "request_slots.py"),
        *(
            "if self._after is not None:  # without tokens too",
            "if settings.after:  # without tokens too",
            _AFTER,
        ),
    ),
    Fault(
        *("v2-preempted-request-begins-anew", 2, "request_slots.py"),
        "        prompt = self._states.prompt_len.gpu[slot]\n",
        *("        prompt = self._states.prefill_len.gpu[slot]\n", _PREEMPTED),
    ),
    Fault(
        *("v2-window-opened-by-the-prompt", 2, "request_slots.py"),
        *("opens &= (position >= prompt[:, None]) & (", "opens &= (position >= 0) & ("),
        "test_vllm_after.py::test_tokens_of_the_prompt_open_no_window",
    ),
]

# What holds for a request is the same on both; V1 is the faster one here.
_REQUEST = [
    Fault(
        *("default-heats-greedy-requests", 1, "requests.py"),
        *("if is_greedy(params) or params.max_tokens == 1:", "if params.max_tokens == 1:", _DEFAULT),
    ),
    Fault(
        *("default-heats-requests-of-one-token", 1, "requests.py"),
        *("if is_greedy(params) or params.max_tokens == 1:", "if is_greedy(params):", _DEFAULT),
    ),
    Fault(
        *("default-widens-top-k", 1, "requests.py"),
        *("hot_top_k <= 0 or hot_top_k > params.top_k", "hot_top_k <= 0", _DEFAULT),
    ),
    Fault(
        *("steps-0-is-no-steps-given", 1, "requests.py"),
        "phase = phase.replace(**{field: value})",
        "phase = phase.replace(**{field: value if value or field != 'hot_steps' else None})",
        "test_vllm_traits.py::test_a_request_that_says_steps_0_is_a_continuation_and_regular",
    ),
    Fault(
        *("false-logprobs-reported", 1, "admission.py", "and not hands_over(config):", "and False:"),
        "test_vllm_processor.py::test_logprobs_that_would_be_false_are_refused",
    ),
    Fault(
        *("penalties-in-a-later-hot-step-taken", 1, "admission.py"),
        *("penalised and begin + steps > 1:", "penalised and begin + steps > 9:", _PENALTIES),
    ),
    Fault(
        *("seedless-requests-share-a-seed", 1, "records.py", "            self._seedless += 1\n", ""),
        "test_vllm_processor.py::test_seedless_draws_differ",
    ),
    *(
        Fault(
            *(f"v{runner}-masked-logits-lifted", runner, "processor.py"),
            *("        return logits\n", "        return logits.clamp_(min=-1e4)\n"),
            "test_vllm_traits.py::test_a_mask_is_never_lifted",
        )
        for runner in (1, 2)
    ),
]

FAULTS = [*_ROWS, *_SLOT, *_REQUEST]


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
