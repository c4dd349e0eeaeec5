"""The tables of docs/paper.md, from the results file."""

import statistics
from collections.abc import Iterator

from examples.demo.table import Table
from examples.paper.grpo import Checkpoint
from examples.paper.results import Results, gain, over_seeds, pass_rate
from examples.paper.sampling import Outcome, few
from fire_sampling.evaluate.summary import interval_text

K = (1, 10, 40)


def tables(results: Results) -> list[Table]:
    """Every table of every task."""
    made = []
    for task in tasks_of(results):
        made += [
            _ways(results, task),
            _temperatures(results, task),
            _grid(results, task),
            _best_of_grid(results, task),
            _positions(results, task),
        ]
    return made


def training_tables(results: Results) -> list[Table]:
    """The paper's Table 4, for each task that policies were trained on."""
    made = []
    for task in dict.fromkeys(policy.task for policy in results.trained):
        remedies = list(dict.fromkeys(policy.remedy for policy in results.trained if policy.task == task))
        begun = [curve[0] for curve in results.curves(task, remedies[0])]
        rows = [["before", "", *_checkpoints(begun)]]
        for remedy in remedies:
            curves = results.curves(task, remedy)
            halfway = _spread([curve[len(curve) // 2].careful for curve in curves])
            rows.append([remedy, halfway, *_checkpoints([curve[-1] for curve in curves])])
        made.append(
            Table(
                title=f"{task}: after {results.settings['updates']} updates of GRPO (the paper's Table 4)",
                note="Mean ± standard deviation over training seeds, measured without FIRE. careful: the "
                "probability of a careful opener; entropy: of the first token, in nats. plain: rollouts "
                "without FIRE.",
                header=["remedy", "careful, halfway", "greedy", "pass@1", "pass@16", "careful", "entropy"],
                rows=rows,
            )
        )
    return made


def tasks_of(results: Results) -> list[str]:
    """The tasks that were sampled."""
    return list(dict.fromkeys(entry.task for entry in results.entries))


def ks(outcomes: list[Outcome]) -> list[int]:
    """Those of 1, 10 and 40 that so many samples allow."""
    return [k for k in K if k <= outcomes[0].samples]


def _ways(results: Results, task: str) -> Table:
    plain = results.of(task, "ways", "", "plain")
    shown = ks(plain)
    most = plain[0].samples
    rows = []
    for way in results.names(task, "ways"):
        outcomes = results.of(task, "ways", "", way)
        rows.append(
            [
                way,
                *(_deviation(outcomes, k) for k in shown),
                f"{statistics.fmean(outcome.answers[most] for outcome in outcomes):.1f}",
                f"{statistics.fmean(outcome.first_tokens[most] for outcome in outcomes):.1f}",
                *(
                    ["", ""]
                    if way == "plain"
                    else [interval_text(gain(plain, outcomes, k)._asdict()) for k in shown[-2:]]
                ),
            ]
        )
    return Table(
        title=f"{task}: ways to sample (the paper's Tables 1 and 2)",
        note=f"Mean ± standard deviation over training seeds. #EA: different answers among {most} samples. "
        "The last columns: what the way adds to plain, with a paired 95 % interval over prompts.",
        header=[
            "",
            *(f"pass@{k}" for k in shown),
            "#EA",
            "first tokens",
            *(f"gain @{k}" for k in shown[-2:]),
        ],
        rows=rows,
    )


def _temperatures(results: Results, task: str) -> Table:
    first = results.of(task, "ways", "", "plain")
    shown = ks(first)
    rows = []
    for way in results.names(task, "temperature"):
        outcomes = results.of(task, "temperature", "", way)
        rows.append([way, *(_deviation(outcomes, k) for k in shown)])
    return Table(
        title=f"{task}: the hot temperature",
        note="Hot top-k is the task's own, as in the table of positions.",
        header=["", *(f"pass@{k}" for k in shown)],
        rows=rows,
    )


def _grid(results: Results, task: str) -> Table:
    rows = []
    for cell in results.cells(task, "grid"):
        pair = [results.of(task, "grid", cell, way) for way in ("plain", "FIRE")]
        shown = ks(pair[0])[1:] or [1]
        rows.append([cell, *(_deviation(outcomes, k) for k in shown for outcomes in pair)])
    shown = ks(results.of(task, "ways", "", "plain"))[1:] or [1]
    return Table(
        title=f"{task}: the grid, each cell as it is (the paper's Table 3)",
        note="FIRE's hot top-k and min-p follow the regular ones, as in the paper.",
        header=["", *(f"{way} @{k}" for k in shown for way in ("plain", "FIRE"))],
        rows=rows,
    )


def _best_of_grid(results: Results, task: str) -> Table:
    cells = results.cells(task, "grid")
    rows = []
    for k in ks(results.of(task, "ways", "", "plain")):
        row = [f"pass@{k}"]
        for way in ("plain", "FIRE"):
            means = {cell: pass_rate(results.of(task, "grid", cell, way), k) for cell in cells}
            best = max(means, key=lambda cell: means[cell])
            row += [f"{means[best]:.3f}", best]
        rows.append(row)
    return Table(
        title=f"{task}: the best cell of the grid for each method (how the paper's Tables 1 and 2 choose)",
        note="Chosen on the prompts that it is reported on, as in the paper: both columns are flattered.",
        header=["", "plain", "its cell", "FIRE", "its cell"],
        rows=rows,
    )


def _positions(results: Results, task: str) -> Table:
    rows = []
    k = few(results.settings["samples"])
    for name, plain, hot in positions(results, task):
        rates = (f"{pass_rate(way, k):.3f}" for way in (plain, hot))
        prompts = sum(len(outcome.correct) for outcome in plain)
        rows.append([name, str(prompts), *rates, interval_text(gain(plain, hot, k)._asdict())])
    return Table(
        title=f"{task}: where the heat comes (the paper's Table 5), pass@{k}",
        note="What stands before the heated token is right. The rejected token is the first that a checker "
        "refuses in the greedy answer; prompts whose greedy answer is right have none. Prompts are counted "
        "over training seeds.",
        header=["heated", "prompts", "plain", "FIRE", "gain"],
        rows=rows,
    )


def positions(results: Results, task: str) -> Iterator[tuple[str, list[Outcome], list[Outcome]]]:
    """Each heated place with its outcomes plain and with FIRE; last, all first rejected tokens together."""
    for cell in results.cells(task, "position"):
        plain, hot = (results.of(task, "position", cell, way) for way in ("plain", "FIRE"))
        yield f"token {int(cell) + 1}", plain, hot
    together: list[list[Outcome]] = [[], []]
    for cell in results.cells(task, "rejected"):
        plain, hot = (results.of(task, "rejected", cell, way) for way in ("plain", "FIRE"))
        yield f"first rejected, token {int(cell) + 1}", plain, hot
        together[0] += plain
        together[1] += hot
    if together[0]:
        yield "first rejected, any", together[0], together[1]


def _deviation(outcomes: list[Outcome], k: int) -> str:
    return _spread([pass_rate([outcome], k) for outcome in outcomes])


def _spread(values: list[float]) -> str:
    mean, deviation = over_seeds(values)
    return f"{mean:.3f} ± {deviation:.3f}"


def _checkpoints(found: list[Checkpoint]) -> list[str]:
    fields = ("greedy", "pass_1", "pass_16", "careful", "entropy")
    return [_spread([getattr(checkpoint, field) for checkpoint in found]) for field in fields]
