"""The results in words and tables, for the terminal and for docs/demo.md."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from examples.demo.generation import Run
from examples.demo.table import Table
from examples.demo.tasks import Prompt
from fire_sampling.metrics import mean_interval, pass_at_k, powers_of_two

COMPARED = ("plain", "FIRE")


@dataclass(frozen=True)
class Result:
    """A prompt with its runs by mode; transformers itself runs on some prompts only."""

    prompt: Prompt
    runs: dict[str, Run]

    def first_tokens(self, mode: str) -> float:
        """How many different tokens the completions begin with."""
        return len(set(self.runs[mode].first_ids))

    def answers(self, mode: str) -> float:
        """How many different answers the completions give; those without an answer do not count."""
        return len({answer for answer in self.runs[mode].answers if answer is not None})

    def pass_at(self, k: int, mode: str) -> float:
        correct = self.runs[mode].correct
        return pass_at_k(len(correct), sum(correct), k)


def tables(results: Sequence[Result]) -> list[Table]:
    """Every table of the demo."""
    return [by_prompt(results), by_task(results), in_total(results), speed(results)]


def by_prompt(results: Sequence[Result]) -> Table:
    rows = []
    for result in results:
        rows += _two_rows(_shorten(result.prompt.text, 44), [result])
    rows += _two_rows(f"All {len(results)} prompts, mean", results)
    return Table(
        title=f"By prompt, {samples(results)} completions each",
        note="first, answers: how many different ones. pass@1: the share of right completions; "
        f"pass@{samples(results)}: whether\nany is right. sampling: the share of the time inside `generate` "
        "from the logits of a step to its tokens.",
        header=[
            "prompt",
            "",
            "first",
            "answers",
            "pass@1",
            f"pass@{samples(results)}",
            "tokens/s",
            "sampling",
        ],
        rows=rows,
        words=2,
    )


def by_task(results: Sequence[Result]) -> Table:
    n = samples(results)
    rows = []
    for task, chosen in tasks(results).items():

        def change(value: Callable[[Result, str], float], digits: int, of: Sequence[Result] = chosen) -> str:
            return " → ".join(f"{mean(of, mode, value):.{digits}f}" for mode in COMPARED)

        rows.append(
            [
                task,
                str(len(chosen)),
                change(Result.first_tokens, 1),
                change(Result.answers, 1),
                change(lambda result, mode: result.pass_at(1, mode), 2),
                change(lambda result, mode: result.pass_at(n, mode), 2),
            ]
        )
    return Table(
        title="By task, plain → FIRE",
        note="Means over the prompts of a task, which are too few to rank tasks by.",
        header=["task", "prompts", "first", "answers", "pass@1", f"pass@{n}"],
        rows=rows,
    )


def in_total(results: Sequence[Result]) -> Table:
    rows = []
    for k in powers_of_two(samples(results)):
        plain, hot = ([result.pass_at(k, mode) for result in results] for mode in COMPARED)
        rows.append([f"pass@{k}", _interval(plain), _interval(hot), _interval(difference(results, k), "+")])
    return Table(
        title="pass@k over all prompts: mean [95 % interval]",
        note="The unbiased estimator of Chen et al. (2021). Intervals: percentile bootstrap over prompts;\n"
        "the last column resamples the paired differences, and shows none where its interval contains 0.",
        header=["", *COMPARED, "FIRE − plain"],
        rows=rows,
    )


def speed(results: Sequence[Result]) -> Table:
    """The three ways side by side, on the prompts that all three answered."""
    shared = [result for result in results if "transformers" in result.runs]
    rows = []
    for mode, name in (("transformers", "transformers"), ("plain", "fire, plain"), ("FIRE", "fire, FIRE")):
        runs = [result.runs[mode] for result in shared]
        steps = sum(run.steps for run in runs)
        step, sampling = (
            1000 * sum(seconds) / steps
            for seconds in ([run.seconds for run in runs], [run.sampling_seconds for run in runs])
        )
        rows.append(
            [name, f"{_per_second(runs):.0f}", f"{step:.1f}", f"{sampling:.2f}", f"{_share(runs):.1%}"]
        )
    return Table(
        title=f"Speed, on the {len(shared)} prompts that all three answered",
        note="transformers: its own `do_sample=True` at the same settings. A step makes one token for each\n"
        f"of {samples(results)} completions; sampling is everything from its logits to its tokens.",
        header=["", "tokens/s", "ms a step", "of it sampling", "share"],
        rows=rows,
    )


def verdict(results: Sequence[Result]) -> str:
    """What the run shows, whichever way it went."""
    n = samples(results)
    plain, hot = (mean(results, mode, Result.first_tokens) for mode in COMPARED)
    sentences = [
        f"The {n} completions of a prompt began with {plain:.1f} different tokens plain, {hot:.1f} with FIRE."
    ]
    for k in sorted({1, n}):
        plain, hot = (statistics.fmean(result.pass_at(k, mode) for result in results) for mode in COMPARED)
        _, low, high = mean_interval(difference(results, k))
        finding = (
            "FIRE gained" if low > 0 else "FIRE lost" if high < 0 else "no difference these prompts can show"
        )
        sentences.append(f"pass@{k}: {plain:.2f} plain, {hot:.2f} with FIRE ({finding}).")
    return "\n".join(sentences)


def tasks(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results by the name of their task, in the order in which the tasks first come."""
    grouped: dict[str, list[Result]] = {}
    for result in results:
        grouped.setdefault(result.prompt.task, []).append(result)
    return grouped


def samples(results: Sequence[Result]) -> int:
    """How many completions each run has."""
    return len(results[0].runs[COMPARED[0]].correct)


def mean(results: Sequence[Result], mode: str, value: Callable[[Result, str], float]) -> float:
    return statistics.fmean(value(result, mode) for result in results)


def difference(results: Sequence[Result], k: int) -> list[float]:
    """What FIRE adds to pass@k, prompt by prompt."""
    plain, hot = COMPARED
    return [result.pass_at(k, hot) - result.pass_at(k, plain) for result in results]


def _two_rows(label: str, results: Sequence[Result]) -> list[list[str]]:
    """The rows of `by_prompt` for one prompt, or for the mean of several."""
    digits = 0 if len(results) == 1 else 1
    rows = []
    for mode in COMPARED:
        runs = [result.runs[mode] for result in results]
        passed = [
            statistics.fmean(result.pass_at(k, mode) for result in results) for k in (1, samples(results))
        ]
        rows.append(
            [
                label if mode == COMPARED[0] else "",
                mode,
                f"{mean(results, mode, Result.first_tokens):.{digits}f}",
                f"{mean(results, mode, Result.answers):.{digits}f}",
                f"{passed[0]:.2f}",
                f"{passed[1]:.{2 * digits}f}",
                f"{_per_second(runs):.0f}",
                f"{_share(runs):.1%}",
            ]
        )
    return rows


def _per_second(runs: Sequence[Run]) -> float:
    return sum(run.tokens for run in runs) / sum(run.seconds for run in runs)


def _share(runs: Sequence[Run]) -> float:
    return sum(run.sampling_seconds for run in runs) / sum(run.seconds for run in runs)


def _interval(values: Sequence[float], sign: str = "") -> str:
    average, low, high = (f"{value:{sign}.2f}".replace("-", "−") for value in mean_interval(values))
    return f"{average} [{low}, {high}]"


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
