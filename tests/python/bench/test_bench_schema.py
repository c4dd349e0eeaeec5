"""What a results file must hold for a reader to show it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from bench_runs import cell, run

from harness import schema  # isort: skip

TIMES = {"fire/avx2": 20.0, "read/avx2": 10.0, "hf": 400.0}

Change = Callable[[dict[str, Any]], object]


def test_a_whole_file_passes_as_it_is() -> None:
    whole = run([cell(TIMES), cell(TIMES, rows=8)], threads=[cell({"fire/avx2/2 threads": 9.0})])
    assert schema.check(copy.deepcopy(whole)) == whole


def test_a_rehearsal_without_times_passes() -> None:
    schema.check(run([cell(dict.fromkeys(TIMES))]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run.update(schema=1), "schema: got 1, expected 2"),
        (lambda run: run.update(device="tpu"), "device: got 'tpu', expected one of ('cpu', 'cuda')"),
        (lambda run: run["machine"].pop("date"), "machine.date: got None"),
        (lambda run: run["contenders"]["hf"].update(role="rival"), "contenders['hf'].role: got 'rival'"),
        (lambda run: run["contenders"]["fire/avx2"].update(limit="copy"), "limit: got 'copy'"),
        (
            lambda run: run["contenders"].pop("fire/avx2"),
            "contenders: got ['read/avx2', 'hf'], expected ours",
        ),
        (lambda run: run["cells"][0].pop("kind"), "cells[0].kind: got None, expected a value"),
        (lambda run: run["cells"][0].update(place="warm"), "cells[0].place: got 'warm'"),
        (lambda run: run["cells"].append(run["cells"][0]), "cells[1]: got (151936, 1, 'bfloat16'"),
        (lambda run: run["cells"][0]["results"].update(numpy={}), "results['numpy']: got 'numpy'"),
        (
            lambda run: run["cells"][0]["results"]["hf"].update(p90=1.0),
            "got [360.0, 400.0, 1.0], expected asc",
        ),
        (lambda run: run["cells"][0]["results"]["hf"].pop("checked"), "['hf'].checked: got None"),
    ],
)
def test_a_field_out_of_place_is_named(change: Change, message: str) -> None:
    broken = run([cell(TIMES)])
    change(broken)
    with pytest.raises(ValueError, match=re.escape(message)):
        schema.check(broken)
