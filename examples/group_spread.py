# python -m examples.group_spread
"""How many of n completions differ, by design, on a real model: picture and table of docs/groups.md.

The model and the prompts are the demo's. A prompt's n completions of three tokens are drawn in groups, the
first token hot or as all others are; counted are the different first tokens, and the different completions.
"""

import argparse
import copy
import itertools
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from torch import Tensor

import fire_sampling as fire
from examples.demo.model import load
from examples.demo.tasks import make_prompts
from examples.page import fill
from examples.pictures import same_bytes
from fire_sampling.evaluate.summary import write

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "bench" / "results" / "groups" / "smollm2_135m.json"
PICTURE = ROOT / "docs" / "images" / "groups.svg"
PAGE, WRITER = ROOT / "docs" / "groups.md", "examples/group_spread.py"

REGULAR: dict[str, Any] = {"temperature": 0.7, "top_k": 50, "top_p": 0.95, "ties": "keep_top_k"}
# What the first token is drawn with; a design acts at hot steps alone, so a plain one is a hot step too.
FIRST: dict[str, dict[str, Any]] = {
    "hot": {"hot_temperature": 30.0, "hot_top_k": 16},
    "plain": {"hot_temperature": REGULAR["temperature"]},
}
# Way → design, and whether a code is carried.
WAYS: dict[str, tuple[Any, bool]] = {
    "iid": ("iid", False),
    "stratified": ("stratified", False),
    "lattice": ("lattice", False),
    "enumerated": ("enumerated", False),
    "stratified, code": ("stratified", True),
    "lattice, code": ("lattice", True),
}
SIZES, DRAWN, TOKENS = (4, 16, 64), 64, 3  # DRAWN completions a prompt, in groups of each size
LOOKS = {  # Okabe and Ito's palette, which colour-blind readers can tell apart
    "iid": ("#555555", "o", "-"),
    "stratified": ("#0072B2", "s", "-"),
    "lattice": ("#D55E00", "^", "-"),
    "enumerated": ("#009E73", "D", "-"),
    "stratified, code": ("#0072B2", "s", "--"),
    "lattice, code": ("#D55E00", "^", "--"),
}
Prefix = tuple[int, ...]


class Rows:
    """The rows of logits behind a prompt, each computed once.

    Args:
        model: of transformers.
        prompt: int64 [1, L].
    """

    def __init__(self, model: Any, prompt: Tensor) -> None:
        self._model = model
        output = model(prompt, use_cache=True)
        self._cache = output.past_key_values
        self._known: dict[Prefix, Tensor] = {(): output.logits[0, -1]}

    def at(self, prefixes: Sequence[Prefix]) -> Tensor:
        """Float32 [R, V]: what the token behind each of R prefixes, of equal length, is drawn from."""
        unknown = sorted({prefix for prefix in prefixes if prefix not in self._known})
        for begin in range(0, len(unknown), DRAWN):
            part = unknown[begin : begin + DRAWN]
            cache = copy.deepcopy(self._cache)
            cache.batch_repeat_interleave(len(part))
            logits = self._model(torch.tensor(part), past_key_values=cache, logits_to_keep=1).logits
            self._known.update(zip(part, logits[:, -1], strict=True))
        return torch.stack([self._known[prefix] for prefix in prefixes])


def completions(rows: Rows, config: fire.SamplingConfig, size: int, coded: bool) -> list[Prefix]:
    """`DRAWN` completions of one prompt, in groups of `size`."""
    records = fire.pack_group(config, 1, size, blocks=DRAWN // size)
    found: list[Prefix] = [()] * DRAWN
    code = fire.first_code(0, records) if coded else None
    for step in range(TOKENS):
        logits = rows.at(found)
        if code is None:
            token = fire.sample(logits, step, records)
        else:
            token, code = fire.sample_coded(logits, code, step, records)
        found = [(*prefix, new) for prefix, new in zip(found, token.tolist(), strict=True)]
    return found


def measure(prompts: int, seed: int) -> dict[str, Any]:
    """The mean numbers of different first tokens and completions among n: by first, way and n."""
    model, tokenizer = load(None, torch.device("cpu"))
    counts: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
    with torch.inference_mode():
        for index, prompt in enumerate(make_prompts(prompts, seed)):
            chat = [{"role": "user", "content": prompt.text}]
            asked = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            rows = Rows(model, asked["input_ids"])
            print(f"{prompt.task}: {prompt.text}", flush=True)
            for (first, hot), (way, (design, coded)), size in itertools.product(
                FIRST.items(), WAYS.items(), SIZES
            ):
                config = fire.SamplingConfig(**REGULAR, **hot, design=design, seed=seed, stream=index)
                drawn = completions(rows, config, size, coded)
                groups = [drawn[begin : begin + size] for begin in range(0, DRAWN, size)]
                counts.setdefault((first, way, size), []).extend(
                    (len({tokens[0] for tokens in group}), len(set(group))) for group in groups
                )
    means = [
        {
            "first": first,
            "way": way,
            "n": size,
            "first tokens": round(statistics.fmean(one for one, _ in found), 3),
            "completions": round(statistics.fmean(whole for _, whole in found), 3),
        }
        for (first, way, size), found in counts.items()
    ]
    settings = {"model": "SmolLM2-135M-Instruct", "prompts": prompts, "seed": seed, "tokens": TOKENS}
    return {"settings": {**settings, "drawn": DRAWN, **REGULAR}, "means": means}


def draw(result: dict[str, Any], path: Path) -> None:
    """Writes the picture as SVG: the share of the n that differ against n, hot and plain."""
    with same_bytes():
        figure = Figure(figsize=(7, 8), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for (row, counted), (column, first) in itertools.product(
            enumerate(("first tokens", "completions")), enumerate(FIRST)
        ):
            axes = panels[row, column]
            for way, (colour, marker, line) in LOOKS.items():
                if counted == "first tokens" and WAYS[way][1]:
                    continue  # a code begins with what the design draws
                means = [m for m in result["means"] if (m["first"], m["way"]) == (first, way)]
                axes.plot(
                    [m["n"] for m in means],
                    [m[counted] / m["n"] for m in means],
                    color=colour,
                    marker=marker,
                    linestyle=line,
                    linewidth=2.2,
                    markersize=7,
                    label=way,
                )
            axes.set_title(f"{counted}, {first}", loc="left", fontsize=14)
            axes.set_xscale("log", base=2)
            axes.set_xticks(SIZES, [str(size) for size in SIZES])
            axes.set_ylim(0, 1.05)
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "all"])
            axes.tick_params(labelsize=13, length=0)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="y", color="#dddddd")
            axes.set_axisbelow(True)
        for axes in panels[1]:
            axes.set_xlabel("n, completions of a prompt", fontsize=13)
        settings = result["settings"]
        figure.suptitle(
            f"How many of n are different: {settings['model']},\n"
            f"{settings['prompts']} prompts, completions of {settings['tokens']} tokens",
            fontsize=15,
        )
        handles, labels = panels[1, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=13)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def table(result: dict[str, Any]) -> str:
    """The counts in Markdown, of n = 4, 16 and 64 beside each other."""
    columns = list(itertools.product(FIRST, ("first tokens", "completions")))
    lines = [
        "| design | " + " | ".join(f"{counted}, {first}" for first, counted in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for way in WAYS:
        cells = [
            " · ".join(
                f"{mean[counted]:.1f}"
                for mean in result["means"]
                if (mean["first"], mean["way"]) == (first, way)
            )
            for first, counted in columns
        ]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.group_spread", description=__doc__)
    parser.add_argument("--prompts", type=int, default=7, help="of the demo's (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of prompts and samples (default %(default)s)")
    parser.add_argument("--redraw", action="store_true", help="from the committed results alone")
    arguments = parser.parse_args()
    if not arguments.redraw:
        write(RESULT, measure(arguments.prompts, arguments.seed))
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    draw(result, PICTURE)
    fill(PAGE, WRITER, table(result))
    print(f"{RESULT}\n{PICTURE}\n{PAGE}")


if __name__ == "__main__":
    main()
