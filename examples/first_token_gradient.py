# python -m examples.first_token_gradient
"""What each remedy for hot first tokens estimates, computed exactly: table and picture of docs/training.md.

The first token of a prompt is one of 20, with a known reward for beginning so. All that can be drawn is
enumerated, so that expectation and variance of each remedy's update of the logits are finite sums. The
openers are those of examples/paper/openers.py, where most completions begin with a habit and a better start
is rare. `--write-docs` puts the table into the page and draws the picture.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from torch import Tensor

import fire_sampling as fire
from examples.page import print_or_fill
from examples.pictures import same_bytes
from fire_sampling import rl

ROOT = Path(__file__).parents[1]
PAGE, WRITER = ROOT / "docs" / "training.md", "examples/first_token_gradient.py --write-docs"
PICTURE = ROOT / "docs" / "images" / "training_first_token.svg"

# A favourite, five more quick openers, four careful ones, six sloppy ones, and what no hot step keeps.
CHANCES = torch.tensor([0.84, *[0.02] * 5, *[0.005] * 4, *[0.04 / 6] * 6]).double() * 0.99
CHANCES = torch.cat([CHANCES, torch.full((4,), 0.0025).double()])
REWARDS = torch.tensor([*[0.6] * 6, *[0.85] * 4, *[0.03] * 6, *[0.0] * 4]).double()
CAREFUL = 6  # the first of them
HOT = fire.SamplingConfig(temperature=1.0, hot_temperature=30.0, hot_top_k=16, seed=1)
SAMPLES = 16
POLICYS, SAMPLERS = "policy's value", "sampler's value"  # a critic's, and what the mean of a group estimates
LOOKS = {  # Okabe and Ito's palette, which colour-blind readers can tell apart
    "ignore": ("#E69F00", "s", "-"),
    "mask": ("#555555", "", ":"),
    "token weights, cap 2": ("#0072B2", "^", "--"),
    "token weights, cap 32": ("#0072B2", "o", "-"),
    "centred": ("#D55E00", "D", "-"),
}


class Row:
    """The first token's row of logits, and everything that a hot step can draw from it.

    Attributes:
        token: int64 [N], the tokens of the support; drawn float64 [N], their chances.
        policys, samplers: float64 [V], ascent directions in the logits: of the policy's expected reward, and
            of the hot sampler's, this one at the policy's temperature.
    """

    def __init__(self) -> None:
        self.logits = CHANCES.log().float()
        found = fire.sample_with_support(self.logits[None], 0, HOT, width=SAMPLES)
        self.support, self.support_logprob = found.support, found.support_logprob
        self.token, self.drawn = found.support[0].long(), found.support_logprob[0].double().exp()
        self.policys = CHANCES * (REWARDS - CHANCES @ REWARDS)
        value, everything = self.drawn @ REWARDS[self.token], torch.zeros_like(CHANCES)
        self.samplers = everything.index_copy(0, self.token, self.drawn * (REWARDS[self.token] - value))


def updates(row: Row, remedy: str, baseline: float) -> Tensor:
    """Float64 [N, V]: for each token that can be drawn, minus the gradient of its loss in the logits."""
    n = len(row.token)
    logits = row.logits.expand(n, 1, -1).contiguous().requires_grad_()
    others = rl.support_policy(logits, support=row.support.expand(n, 1, n), temperature=1.0)
    policy = others.gather(2, torch.arange(n).view(n, 1, 1))[..., 0]
    old, behaviour = policy.detach(), row.support_logprob[0][:, None]
    mask = torch.ones(n, 1, dtype=torch.bool)
    advantage = REWARDS[row.token] - baseline
    if remedy == CENTRED:
        loss = rl.centered_loss(
            policy,
            support_policy=others,
            support_behaviour=row.support_logprob.expand(n, 1, n),
            advantage=advantage,
            mask=mask,
        )
    else:
        weights = WEIGHTS[remedy](mask, old, behaviour)
        loss = rl.ppo_loss(policy, old=old, advantage=advantage, weights=weights)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    return -gradient[:, 0].double()


def _capped(cap: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda mask, old, behaviour: rl.token_weights(mask, old=old, behaviour=behaviour, cap=cap)


# Of the mask, old and behaviour.
WEIGHTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "ignore": lambda mask, *_: rl.unit_weights(mask),
    "mask": lambda mask, *_: rl.hot_masked_weights(mask, HOT),
    "token weights, cap 2": _capped(2.0),
    "token weights, cap 32": _capped(32.0),
}
CENTRED = "centred"
REMEDIES = (*WEIGHTS, CENTRED)


@dataclass(frozen=True)
class Estimate:
    """What the mean of n updates of one remedy is, exactly.

    Attributes:
        mean: float64 [V], its expectation.
        spread: the root of the mean squared distance of a single update from it.
    """

    mean: Tensor
    spread: float

    def error(self, exact: Tensor, n: float) -> float:
        """Of the mean of n updates: its root mean square distance from `exact`, in lengths of that.

        For n = ∞ it is the bias.
        """
        distance = float((self.mean - exact).square().sum())
        return math.sqrt(distance + self.spread**2 / n) / float(exact.norm())


def estimate(row: Row, remedy: str, baseline: float) -> Estimate:
    each = updates(row, remedy, baseline)
    mean = row.drawn @ each
    return Estimate(mean, math.sqrt(float(row.drawn @ (each - mean).square().sum(1))))


def effective_share(row: Row, remedy: str) -> float:
    """Of the samples, what the weights leave: (E w)² / E w² (Kish 1965); 0 where no weight is above 0."""
    if remedy == CENTRED:
        return 1.0
    n = len(row.token)
    old, behaviour = CHANCES[row.token].log().float()[:, None], row.support_logprob[0][:, None]
    weights = WEIGHTS[remedy](torch.ones(n, 1, dtype=torch.bool), old, behaviour)[:, 0].double()
    mean, square = float(row.drawn @ weights), float(row.drawn @ weights.square())
    return mean**2 / square if square else 0.0


def baselines(row: Row) -> dict[str, float]:
    return {
        "none": 0.0,
        POLICYS: float(CHANCES @ REWARDS),
        SAMPLERS: float(row.drawn @ REWARDS[row.token]),
    }


def table(row: Row) -> str:
    lines = [
        "| baseline | remedy | effective | careful | policy's: bias | error | sampler's: bias | error |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| | exact, the policy's | | {_signed(row.policys[CAREFUL])} | | | | |",
        f"| | exact, the sampler's | | {_signed(row.samplers[CAREFUL])} | | | | |",
    ]
    for (name, baseline), remedy in itertools.product(baselines(row).items(), REMEDIES):
        found = estimate(row, remedy, baseline)
        cells = [name, remedy, f"{effective_share(row, remedy):.0%}", _signed(found.mean[CAREFUL])]
        for exact in (row.policys, row.samplers):
            cells += [f"{found.error(exact, n):.3f}" for n in (math.inf, SAMPLES)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(row: Row, path: Path) -> None:
    """Writes the picture as SVG: error against the number of samples, of either gradient."""
    counts = [2**power for power in range(13)]
    found = {remedy: estimate(row, remedy, baselines(row)[POLICYS]) for remedy in REMEDIES}
    with same_bytes():
        figure = Figure(figsize=(7, 8.4), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(2, 1, sharex=True)
        for axes, title, exact in (
            (panels[0], "as an estimate of the policy's own gradient", row.policys),
            (panels[1], "as an estimate of the gradient of what is sampled", row.samplers),
        ):
            for remedy, (colour, marker, line) in LOOKS.items():
                axes.plot(
                    counts,
                    [found[remedy].error(exact, n) for n in counts],
                    color=colour,
                    marker=marker,
                    linestyle=line,
                    linewidth=2.2,
                    markersize=6,
                    label=remedy,
                )
            axes.set_title(title, loc="left", fontsize=14)
            axes.set_xscale("log", base=2)
            axes.set_xticks(counts[::2], [str(n) for n in counts[::2]])
            axes.set_yscale("log")
            axes.set_ylim(0.02, 40)
            axes.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
            axes.minorticks_off()
            axes.set_ylabel("error, in lengths of the gradient", fontsize=13)
            axes.tick_params(labelsize=13, length=0)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="y", color="#dddddd")
            axes.set_axisbelow(True)
        panels[1].set_xlabel("hot first tokens drawn", fontsize=13)
        figure.suptitle("A hot first token's update, baseline: the policy's value", fontsize=15)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=13)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def page_text(row: Row) -> str:
    values = {name: f"{value:.3f}" for name, value in baselines(row).items()}
    return "\n".join(
        [
            f"**A hot first token: the update of the logits by {SAMPLES} samples, exact**",
            "",
            table(row),
            "",
            f"The policy's value is {values[POLICYS]}, the hot sampler's {values[SAMPLERS]}.",
            "effective: the share of the samples that the weights leave, (E w)² / E w²; careful: the",
            "expected update of a rare, better opener; bias: distance of the expected update from the exact",
            f"gradient of either value; error: root mean square of this distance for the mean of {SAMPLES}",
            "updates. Both in lengths of that gradient.",
        ]
    )


def _signed(value: Tensor) -> str:
    return f"{float(value):+.4f}".replace("-", "−")


def main() -> None:
    row = Row()
    print_or_fill(__doc__, PAGE, WRITER, lambda: page_text(row), lambda: draw(row, PICTURE))


if __name__ == "__main__":
    main()
