"""The table of verdicts: results.json for this program, results.md for readers."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mutations import Mutation
from survivors import SURVIVORS

MOST_SURVIVORS = 0.05
RESULTS = Path(__file__).with_name("results.json")
TABLE = Path(__file__).with_name("results.md")
_lock = threading.Lock()


@dataclass(frozen=True)
class Verdict:
    name: str
    caught: bool
    kind: str
    text: str
    check: str
    seconds: int

    def line(self) -> str:
        if not self.caught:
            return f"{self.name}: survived ({self.seconds} s)"
        return f"{self.name}: caught, {self.kind}: {self.text[:120]} [{self.check}] ({self.seconds} s)"


def write_table(mutations: Sequence[Mutation], verdict: Verdict) -> None:
    """Puts one more verdict into both files."""
    with _lock:
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known[verdict.name] = {key: value for key, value in asdict(verdict).items() if key != "name"}
        known = {m.name: known[m.name] for m in mutations if m.name in known}
        RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
        TABLE.write_text(markdown(mutations, read_verdicts()))


def read_verdicts() -> dict[str, Verdict]:
    return {name: Verdict(name, **fields) for name, fields in json.loads(RESULTS.read_text()).items()}


def markdown(mutations: Sequence[Mutation], verdicts: dict[str, Verdict]) -> str:
    judged = [mutation for mutation in mutations if mutation.name in verdicts]
    survivors = [mutation for mutation in judged if not verdicts[mutation.name].caught]
    lines = [
        "# Mutations of the kernels",
        "",
        f"{len(judged)} of {len(mutations)} mutations judged: {len(judged) - len(survivors)} caught,"
        f" {len(survivors)} survived. Written by `run.py --write`.",
        "",
        "| Mutation | File | Breaks | Verdict |",
        "| --- | --- | --- | --- |",
    ]
    for mutation in judged:
        verdict = verdicts[mutation.name]
        by = f"{verdict.kind} ({verdict.check.split(':')[0]})" if verdict.caught else "**survived**"
        lines.append(f"| {mutation.name} | {Path(mutation.file).name} | {mutation.breaks} | {by} |")
    if survivors:
        lines += ["", "## Survivors", ""]
    lines += [f"- **{m.name}**: {SURVIVORS.get(m.name, 'not explained.')}" for m in survivors]
    rest = [mutation.name for mutation in mutations if mutation.name not in verdicts]
    if rest:
        lines += ["", "## Not judged", "", ", ".join(rest) + "."]
    return "\n".join(lines) + "\n"
