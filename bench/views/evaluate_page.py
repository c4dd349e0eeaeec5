"""What docs/evaluate.md shows of a measured result: every number from its JSON."""

from __future__ import annotations

from typing import Any

from fire_sampling.evaluate.summary import ARMS, interval_text
from fire_sampling.metrics import pass_at_k

from .text import markdown_table

ENDPOINT = "pass@10"
REGISTERED = 201


def section(result: dict[str, Any], picture: str) -> str:
    """The page's part on this result, in Markdown; `picture` is its path from the page."""
    samples = result["settings"]["samples"]
    drawn = result["prompts"]
    words = [f"![pass@k and different answers, plain beside FIRE, and the difference of pass@k]({picture})"]
    words.append(_verdict(result["FIRE - plain"][ENDPOINT]))
    if drawn < REGISTERED:
        words.append(
            f"Of the {REGISTERED} registered prompts the first {drawn} were drawn: a clock ended the run, "
            "not its results."
        )
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    words.append(f"{drawn} prompts, {samples} samples each. {versions};\n{_speed(result)}.")
    words.append(_quantities(result))
    words.append(_kinds(result))
    return "\n\n".join(words)


def _verdict(difference: dict[str, float]) -> str:
    found = (
        "FIRE gained"
        if difference["low"] > 0
        else "FIRE lost"
        if difference["high"] < 0
        else "no difference that these prompts can show"
    )
    return f"**{ENDPOINT}, FIRE − plain: {interval_text(difference)}**: {found}."


def _speed(result: dict[str, Any]) -> str:
    tokens, seconds = (sum(result[arm]["speed"][key] for arm in ARMS) for key in ("tokens", "seconds"))
    return f"{tokens:,} tokens, {tokens / seconds:.0f} a second on one busy core, both ways in one batch"


def _quantities(result: dict[str, Any]) -> str:
    lines = []
    for name, difference in result["FIRE - plain"].items():
        means = [f"{result[arm][name]['mean']:.3f}" for arm in ARMS]
        lines.append([name, *means, interval_text(difference)])
    for what, key in (("by chance", "chance"), ("with cut-off answers counted", "cut off counted")):
        for name in result[key][ARMS[0]]:
            lines.append([f"{name} {what}", *(f"{result[key][arm][name]:.3f}" for arm in ARMS), ""])
    return markdown_table(["", *ARMS, "FIRE − plain [95 %]"], lines)


def _kinds(result: dict[str, Any]) -> str:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for line in result["by prompt"]:
        kinds.setdefault(line["name"].rpartition(" ")[0], []).append(line)
    samples = result["settings"]["samples"]
    rows = []
    for kind, lines in kinds.items():
        cells = []
        for k in (1, 10, samples):
            means = [
                sum(pass_at_k(samples, line[arm]["correct"], k) for line in lines) / len(lines)
                for arm in ARMS
            ]
            cells.append(" → ".join(f"{mean:.3f}" for mean in means))
        ended = [sum(line[arm]["ended"] for line in lines) / (samples * len(lines)) for arm in ARMS]
        rows.append([kind, str(len(lines)), *cells, " → ".join(f"{share:.2f}" for share in ended)])
    header = ["plain → FIRE", "prompts", "pass@1", "pass@10", f"pass@{samples}", "ended"]
    return markdown_table(header, rows)
