"""The star graph beside the real model: a task whose first token is the strategy, where heat can be seen.

The model is one of docs/paper.md's, its weights beside this file: `python -m examples.demo.star` teaches it
anew and writes them.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from safetensors.torch import load_file, save_file

from examples.demo.picture import STYLE, TEXT, TITLE
from examples.demo.table import Table
from examples.paper.model import train, untrained
from examples.paper.results import pass_rate, passes
from examples.paper.sampling import PLAIN, REGULAR, Outcome, Sampling, few, judge, sample
from examples.paper.study import hot
from examples.paper.tasks import StarGraph
from examples.pictures import same_bytes
from fire_sampling.metrics import Interval, mean_interval, paired_bootstrap, powers_of_two

WEIGHTS = Path(__file__).with_name("star_graph.safetensors")
TASK = StarGraph()
TRAINING_SEED, TEST_SEED = 0, 10**6
SAMPLES = 40
KS = (1, 10, 40)
MARKER = "examples/demo --write-docs, star graph"


@dataclass(frozen=True)
class Star:
    """The outcomes of plain sampling and of FIRE at each token of the answer, the first one first."""

    prompts: int
    parameters: int
    plain: Outcome
    heated: list[Outcome]

    def gain(self, k: int) -> Interval:
        """What a hot first token adds to pass@k."""
        return paired_bootstrap(passes(self.plain, k), passes(self.heated[0], k))


def load() -> Any:
    """The taught model; its weights are stored in half precision."""
    model = untrained(TASK, TRAINING_SEED)
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()})
    return model.eval()


def teach(path: Path, steps: int | None = None) -> None:
    """Writes the weights."""
    model = train(TASK, TRAINING_SEED, steps)
    save_file({name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}, path)


def measure(prompts: int, seed: int) -> Star:
    """Samples every prompt plain, and with one hot token at each place of the answer."""
    model = load()
    asked, _ = TASK.problems(prompts, TEST_SEED, testing=True)

    def outcome(way: Sampling) -> Outcome:
        return judge(TASK, asked, sample(model, TASK, asked, way, SAMPLES, seed))

    heat = [replace(hot(TASK), hot_begin=place) for place in range(TASK.answer_length)]
    return Star(
        prompts,
        sum(parameter.numel() for parameter in model.parameters()),
        outcome(Sampling("plain", PLAIN, REGULAR)),
        [outcome(Sampling(f"hot token {place + 1}", config, REGULAR)) for place, config in enumerate(heat)],
    )


def table(star: Star) -> Table:
    rows = [["plain", *(_rate(star.plain, k) for k in KS)]]
    for place, outcome in enumerate(star.heated):
        rows.append([f"FIRE, hot token {place + 1}", *(_rate(outcome, k) for k in KS)])
    gains = [star.gain(k) for k in KS]
    rows.append(["gain of hot token 1", *(_signed(gain) for gain in gains)])
    return Table(
        title=f"The star graph: {star.prompts} prompts, {SAMPLES} answers each",
        note=f"A transformer of {star.parameters:,} parameters, taught to guess the arm listed first.\n"
        "Means [95 % interval] over prompts: percentile bootstrap, in the last line of paired differences.",
        header=["", *(f"pass@{k}" for k in KS)],
        rows=rows,
    )


def record(star: Star) -> dict[str, Any]:
    """For the raw results: right answers of each prompt."""
    return {
        "prompts": star.prompts,
        "samples": SAMPLES,
        "plain": star.plain.correct,
        "heated": [outcome.correct for outcome in star.heated],
    }


def draw(star: Star, path: Path) -> None:
    """Writes the picture as SVG, the same bytes from the same results: pass@k, pass@10 by heated token."""
    with same_bytes():
        figure = Figure(figsize=(8, 9), layout="constrained")
        FigureCanvasSVG(figure)
        curve, bars = figure.subplots(2, 1)
        ks = powers_of_two(SAMPLES)
        for way, outcome in (("plain", star.plain), ("FIRE", star.heated[0])):
            curve.plot(ks, [pass_rate([outcome], k) for k in ks], label=way, linewidth=3, **STYLE[way])
        curve.set_xscale("log", base=2)
        curve.set_xticks(ks, [str(k) for k in ks])
        curve.set_xlabel("k answers", fontsize=TEXT)
        curve.set_title("pass@k", loc="left", fontsize=TITLE)
        names = ["plain", *(f"hot token {place + 1}" for place in range(len(star.heated)))]
        heights = [pass_rate([outcome], few(SAMPLES)) for outcome in (star.plain, *star.heated)]
        colours = [STYLE["plain"]["color"], *[STYLE["FIRE"]["color"]] * len(star.heated)]
        bars.bar_label(bars.bar(names, heights, 0.6, color=colours), fmt="%.2f", fontsize=TEXT)
        bars.set_title(f"pass@{few(SAMPLES)} by heated token", loc="left", fontsize=TITLE)
        for axes in figure.axes:
            axes.set_ylim(0, 1.05)
            axes.tick_params(labelsize=TEXT, length=0)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="y", color="#dddddd")
            axes.set_axisbelow(True)
        figure.suptitle(
            f"Star graph: a transformer of {star.parameters:,} parameters,\n"
            f"{star.prompts} prompts, {SAMPLES} answers each",
            fontsize=TITLE + 2,
        )
        curve.legend(frameon=False, fontsize=TEXT, loc="lower right")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def _rate(outcome: Outcome, k: int) -> str:
    mean, low, high = mean_interval(passes(outcome, k))
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _signed(interval: Interval) -> str:
    mean, low, high = (f"{value:+.2f}".replace("-", "−") for value in interval)
    return f"{mean} [{low}, {high}]"


if __name__ == "__main__":
    teach(WEIGHTS)
    print(f"Weights: {WEIGHTS}")
    sys.exit(0)
