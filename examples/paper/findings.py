"""What the results say, in sentences that are made from them, whichever way they went."""

import statistics

from examples.paper.results import Results, gain, pass_rate
from examples.paper.sampling import Outcome, few
from examples.paper.tables import ks, positions, tasks_of


def findings(results: Results) -> str:
    """A list in Markdown: what heat won and cost on each task, and what training made of each remedy."""
    lines = []
    for task in tasks_of(results):
        lines += [_ways(results, task), _temperatures(results, task), _positions(results, task)]
    return "\n".join(f"- {line}" for line in [*lines, *_training(results)])


def how_it_ran(results: Results) -> str:
    """What was run, in a paragraph."""
    settings, machine = results.settings, results.machine
    regular = ", ".join(f"{name} {value:g}" for name, value in settings["regular"].items())
    sure = []
    for task, top_k in settings["hot_top_k"].items():
        of_task = [model for model in results.models if model["task"] == task]
        probability = statistics.fmean(model["first_token_probability"] for model in of_task)
        sure.append(
            f"{task}: hot top-k {top_k} unless said otherwise, {of_task[0]['parameters']:,} parameters, most "
            f"probable first token {probability:.2f} at the regular temperature"
        )
    cpu = sum(model["cpu_seconds"] for model in results.models)
    return (
        f"{settings['prompts']} prompts × {settings['samples']} samples, {settings['seeds']} training seeds. "
        f"Regular tokens: {regular}; the hot one: temperature {settings['hot_temperature']:g}. "
        f"{'; '.join(sure)}. "
        f"All models together took {cpu / 60:.0f} minutes of CPU time, one thread a model. "
        f"Torch {machine['torch']}, transformers {machine['transformers']}."
    )


def _ways(results: Results, task: str) -> str:
    plain, *every = ((way, results.of(task, "ways", "", way)) for way in results.names(task, "ways"))
    shown = ks(plain[1])
    others = [(way, found) for way, found in every if not way.startswith("plain")]
    parts = [f"{_rates(found, shown)} {way}" for way, found in (plain, *every)]
    verdicts = []
    for k in shown:
        won = [way for way, found in others if gain(plain[1], found, k)[1] > 0]
        lost = [way for way, found in others if gain(plain[1], found, k)[2] < 0]
        undecided = len(others) - len(won) - len(lost)
        verdicts.append(
            f"at {k}, {len(won)} of {len(others)} gain and {len(lost)} lose"
            + (f", {undecided} cannot be told" if undecided else "")
        )
    names = "/".join(f"@{k}" for k in shown)
    beside = f"Of FIRE's ways, beside plain, {'; '.join(verdicts)}."
    return f"**{_title(task)}**, pass{names}: {'; '.join(parts)}. {beside}"


def _temperatures(results: Results, task: str) -> str:
    k = ks(results.of(task, "ways", "", "plain"))[-1]
    rates = [
        pass_rate(results.of(task, "temperature", "", way), k) for way in results.names(task, "temperature")
    ]
    names = results.names(task, "temperature")
    by_heat = ", ".join(
        f"{rate:.2f} ({name.removeprefix('FIRE, hot ')})" for name, rate in zip(names, rates, strict=True)
    )
    return f"{_title(task)}, hot temperature, pass@{k}: {by_heat}."


def _positions(results: Results, task: str) -> str:
    parts = []
    k = few(results.settings["samples"])
    for name, plain, hot in positions(results, task):
        if name.startswith("first rejected, token"):
            continue
        place = name.replace("first rejected, any", "the first token that a checker rejects")
        parts.append(f"{pass_rate(plain, k):.2f} → {pass_rate(hot, k):.2f} at {place}")
    return f"{_title(task)}, heat after a right beginning, pass@{k} plain → FIRE: {'; '.join(parts)}."


def _training(results: Results) -> list[str]:
    lines = []
    for task in dict.fromkeys(policy.task for policy in results.trained):
        remedies = list(dict.fromkeys(p.remedy for p in results.trained if p.task == task))
        start = statistics.fmean(curve[0].greedy for curve in results.curves(task, remedies[0]))
        ends = {r: [curve[-1].greedy for curve in results.curves(task, r)] for r in remedies}
        by_remedy = ", ".join(f"{statistics.fmean(values):.2f} {remedy}" for remedy, values in ends.items())
        half = {r: [curve[len(curve) // 2].careful for curve in results.curves(task, r)] for r in remedies}
        by_half = ", ".join(f"{statistics.fmean(values):.2f} {remedy}" for remedy, values in half.items())
        updates = results.settings["updates"]
        lines.append(
            f"**{_title(task)}**, GRPO, {updates} updates, greedy answers right, from {start:.2f}: "
            f"{by_remedy}. A careful opener's probability halfway: {by_half}."
        )
    return lines


def _rates(outcomes: list[Outcome], shown: list[int]) -> str:
    return "/".join(f"{pass_rate(outcomes, k):.2f}" for k in shown)


def _title(task: str) -> str:
    return task[0].upper() + task[1:]
