"""The last verdict of each mutation: results.json. `python tests/mutation/table.py` prints it as a table."""

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


def write_verdict(mutations: Sequence[Mutation], verdict: Verdict) -> None:
    """Puts one more verdict into the file."""
    with _lock:
        known = read_verdicts() | {verdict.name: verdict}
        RESULTS.write_text(as_text([known[m.name] for m in mutations if m.name in known]))


def read_verdicts() -> dict[str, Verdict]:
    return {fields["name"]: Verdict(**fields) for fields in json.loads(RESULTS.read_text())}


def as_text(verdicts: Sequence[Verdict]) -> str:
    """JSON, a verdict a line, so that a change of a few can be read."""
    lines = [json.dumps(asdict(verdict), ensure_ascii=False) for verdict in verdicts]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def markdown(mutations: Sequence[Mutation], verdicts: dict[str, Verdict]) -> str:
    judged = [mutation for mutation in mutations if mutation.name in verdicts]
    survivors = [mutation for mutation in judged if not verdicts[mutation.name].caught]
    lines = [
        "# Mutations of the kernels",
        "",
        f"{len(judged)} of {len(mutations)} mutations judged: {len(judged) - len(survivors)} caught,"
        f" {len(survivors)} survived.",
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


if __name__ == "__main__":
    from mutants import MUTATIONS

    print(markdown(MUTATIONS, read_verdicts()), end="")
