# python -m examples.group_estimates
"""What dependence does to the estimates of a group, computed exactly: the figures of docs/training.md.

A group's first tokens depend on each other, what follows each of them does not. So a prompt is a list of
tokens i, with the chance q_i to come and the chance s_i to be right then, and every expectation a finite sum
over the tokens that a block can hold. `--write-docs` puts the figures into the page.
"""

import bisect
import functools
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from examples.page import print_or_fill
from fire_sampling import rl

PAGE = Path(__file__).parents[1] / "docs" / "training.md"
WRITER = "examples/group_estimates.py --write-docs"
PAIRS, GROUPS, PARTS = 10_000, (2, 4, 8, 16), 16

# A token that is right, one that is right a little less often than the policy, and wrong ones.
CHANCES = (Fraction(45, 100), Fraction(7, 100), Fraction(48, 100))
REWARDS = (1.0, 0.4375, 0.0)
COMPLETIONS = 8


def blocks_of(design: str, chances: Sequence[Fraction], n: int) -> Iterator[tuple[Fraction, tuple[int, ...]]]:
    """Every block of n tokens that the design can draw, in the order of its members, and its chance."""
    ends = [Fraction(0), *itertools.accumulate(chances)]
    cuts = sorted({Fraction(0), Fraction(1), *(n * end % 1 for end in ends)})
    pieces = [(high - low, low) for low, high in itertools.pairwise(cuts)]

    def token_at(stratum: int, place: Fraction) -> int:
        return bisect.bisect_right(ends, (stratum + place) / n) - 1

    strata = []  # by token, its share of each stratum
    for stratum in range(n):
        shares: dict[int, Fraction] = defaultdict(Fraction)
        for share, low in pieces:
            shares[token_at(stratum, low)] += share
        strata.append(shares)
    if design == "iid":
        turns, blocks = 1, _choices([dict(enumerate(chances))] * n)
    elif design == "enumerated":
        order = sorted(range(len(chances)), key=lambda token: (-chances[token], token))
        turns, blocks = 1, [(Fraction(1), tuple(order[member % len(order)] for member in range(n)))]
    elif design == "stratified":
        turns, blocks = n, _choices(strata)
    else:  # one shift for all strata
        turns, blocks = n, [(share, tuple(token_at(s, low) for s in range(n))) for share, low in pieces]
    for chance, tokens in blocks:
        for turn in range(turns):  # the stratum of member 0
            yield chance / turns, tokens[turn:] + tokens[:turn]


def _choices(samples: Sequence[Mapping[int, Fraction]]) -> list[tuple[Fraction, tuple[int, ...]]]:
    """One token of each of some independent samples, whose chances are given, in every way."""
    return [
        (math.prod((share for _, share in chosen), start=Fraction(1)), tuple(token for token, _ in chosen))
        for chosen in itertools.product(*(sample.items() for sample in samples))
    ]


def all_wrong(design: str, weights: Sequence[int], wrong: Sequence[int], n: int) -> int:
    """The chance that n members are all wrong, times (Σ weights · PARTS)^n: an integer.

    Args:
        weights: of the tokens; their chances are weights / Σ weights.
        wrong: how often each token is wrong, in PARTS.
    """
    total = sum(weights)
    # The tokens lie on a line of n · total, each stratum on a part of it as long as total.
    ends = [n * end for end in itertools.accumulate(weights, initial=0)]

    def at(place: int) -> int:
        return wrong[bisect.bisect_right(ends, place) - 1]

    if design == "iid":
        return math.prod([sum(w * f for w, f in zip(weights, wrong, strict=True))] * n)
    if design == "lattice":
        cuts = sorted({0, total, *(end % total for end in ends)})
        pieces = (
            (high - low) * math.prod(at(s * total + low) for s in range(n))
            for low, high in itertools.pairwise(cuts)
        )
        return sum(pieces) * total ** (n - 1)
    cuts = sorted({*ends, *range(0, n * total, total)})
    strata = [0] * n
    for low, high in itertools.pairwise(cuts):
        strata[low // total] += (high - low) * at(low)
    return math.prod(strata)


def pairs(count: int) -> Iterator[tuple[int, list[int], list[int]]]:
    """Random prompts: n, the tokens' weights, over three decades, and how often each is wrong, in PARTS."""
    draw = random.Random(1)
    for _ in range(count):
        tokens = draw.randint(2, 12)
        weights = [draw.randint(1, 1 << draw.randint(1, 10)) for _ in range(tokens)]
        right = [draw.choice((0, draw.randint(0, PARTS))) for _ in range(tokens)]
        yield draw.choice(GROUPS), weights, [PARTS - each for each in right]


@functools.cache
def gains(design: str, count: int = PAIRS) -> list[Fraction]:
    """What the design adds to pass@n of independent draws, for each of the random prompts."""
    return [
        Fraction(
            all_wrong("iid", weights, wrong, n) - all_wrong(design, weights, wrong, n),
            (sum(weights) * PARTS) ** n,
        )
        for n, weights, wrong in pairs(count)
    ]


def group_mean(reward: Tensor, n: int) -> Tensor:
    """GRPO's advantage, not divided by the deviation."""
    return (reward.view(-1, COMPLETIONS) - reward.view(-1, COMPLETIONS).mean(1, keepdim=True)).flatten()


def leave_one_out(reward: Tensor, n: int) -> Tensor:
    return rl.other_blocks_advantage(reward, size=1, blocks=COMPLETIONS)


def other_blocks(reward: Tensor, n: int) -> Tensor:
    return rl.other_blocks_advantage(reward, size=n, blocks=COMPLETIONS // n)


def exact_gradient() -> Tensor:
    """Of the expected reward by each logit: q_i (s_i − Σ q s)."""
    q, s = torch.tensor([*map(float, CHANCES)], dtype=torch.float64), torch.tensor(REWARDS).double()
    return q * (s - q @ s)


def update(design: str, n: int, advantage: Callable[[Tensor, int], Tensor]) -> tuple[Tensor, float]:
    """The expectation of 1/8 Σ A ∇ log π over 8 completions in blocks of n, and its root mean square error.

    The error is the distance from the exact gradient.
    """
    merged: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for share, block in blocks_of(design, CHANCES, n):
        merged[tuple(sorted(block))] += share
    chosen = list(itertools.product(merged.items(), repeat=COMPLETIONS // n))
    tokens = torch.tensor([sum((block for block, _ in blocks), ()) for blocks in chosen])
    chance = torch.tensor(
        [float(math.prod(share for _, share in blocks)) for blocks in chosen], dtype=torch.float64
    )
    gradient = torch.nn.functional.one_hot(tokens, len(CHANCES)) - torch.tensor([*map(float, CHANCES)])
    weighed = advantage(torch.tensor(REWARDS)[tokens].flatten(), n).view(tokens.shape).double()
    updates = (weighed[..., None] * gradient).mean(1)
    error = (updates - exact_gradient()).square().sum(1)
    return chance @ updates, math.sqrt(chance @ error)


def update_table() -> str:
    exact = exact_gradient()
    length = float(exact.norm())
    lines = [
        "| completions | baseline | A | B | C | bias | error |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        f"| exact gradient | | {_numbers(exact)} | | |",
    ]
    for design, n, name, advantage in (
        ("iid", 8, "group mean", group_mean),
        ("iid", 8, "leave one out", leave_one_out),
        *(
            (design, n, name, advantage)
            for design in ("stratified", "lattice")
            for n, name, advantage in (
                (8, "group mean", group_mean),
                (8, "leave one out", leave_one_out),
                (4, "other block", other_blocks),
                (2, "other blocks", other_blocks),
            )
        ),
    ):
        mean, error = update(design, n, advantage)
        bias = float((mean - exact).norm()) / length
        many = f"{COMPLETIONS // n} × {n} {design}" if design != "iid" else f"{COMPLETIONS} iid"
        lines.append(f"| {many} | {name} | {_numbers(mean)} | {bias:.3f} | {error / length:.3f} |")
    return "\n".join(lines)


def gain_table() -> str:
    lines = [
        "| design | above iid | equal | below | mean gain | largest gain | largest loss |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for design in ("stratified", "lattice"):
        found = gains(design)
        above, below = (sum(sign * gain > 0 for gain in found) / len(found) for sign in (1, -1))
        mean, most, least = (float(value) for value in (sum(found) / len(found), max(found), min(found)))
        lines.append(
            f"| {design} | {above:.1%} | {1 - above - below:.1%} | {below:.1%} | {_signed(mean)} | "
            f"{_signed(most)} | {_signed(min(least, 0.0))} |"
        )
    return "\n".join(lines)


def page_text() -> str:
    return "\n".join(
        [
            "**pass@n of a group, against n independent samples**",
            "",
            gain_table(),
            "",
            f"{PAIRS:,} random prompts of 2 to 12 tokens, n of {', '.join(map(str, GROUPS))}, exact.",
            "",
            "**Eight completions of one prompt: the expected update of the logits, exact**",
            "",
            update_table(),
            "",
            f"A, B and C come with the chances {_listed(CHANCES)}; their rewards are {_listed(REWARDS)}.",
            "bias: distance of the expected update from the exact gradient; error: root mean square of this",
            "distance over all that can be drawn. Both in lengths of the exact gradient.",
        ]
    )


def _listed(values: Sequence[Fraction | float]) -> str:
    return ", ".join(f"{float(value):g}" for value in values)


def _numbers(values: Tensor) -> str:
    return " | ".join(_signed(float(value)) for value in values)


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−") if f"{value:.4f}".strip("-0.") else "0"


def main() -> None:
    print_or_fill(__doc__, PAGE, WRITER, page_text)


if __name__ == "__main__":
    main()
