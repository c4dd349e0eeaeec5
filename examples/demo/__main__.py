"""Asks every prompt, prints the tables, and writes the pictures and the raw results; then the star graph."""

import argparse
import dataclasses
import json
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from tqdm import tqdm

import fire_sampling as fire
from examples.demo import picture, report, star
from examples.demo.generation import HOT, MODES, REGULAR, Generator
from examples.demo.model import ModelUnavailableError, load
from examples.demo.report import Result
from examples.demo.star import Star
from examples.demo.tasks import MOST_PROMPTS, TASKS, Prompt, make_prompts
from examples.page import fill

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "demo.md"
# By whether the demo is a quick one.
STAR_PROMPTS = {True: 50, False: 200}


def main() -> int:
    arguments = _parse()
    prompts = make_prompts(arguments.prompts, arguments.seed)
    device = torch.device(arguments.device)
    try:
        model, tokenizer = load(arguments.model, device)
    except ModelUnavailableError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    generator = Generator(model, tokenizer, arguments.samples, arguments.tokens, arguments.seed)
    print(_settings(arguments))
    results = ask(generator, prompts)

    tables = report.tables(results)
    for table in tables:
        print(f"\n{table.text()}")
    print(f"\n{report.verdict(results)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    image = arguments.output / "demo.png"
    picture.draw(results, image, _model_name(arguments))
    guessed = star.measure(STAR_PROMPTS[arguments.quick], arguments.seed)
    print(f"\n{star.table(guessed).text()}")
    star_image = arguments.output / "demo_star_graph.svg"
    star.draw(guessed, star_image)
    raw = arguments.output / "demo.json"
    raw.write_text(
        json.dumps(_record(arguments, results, guessed), indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    print(f"\nPictures: {image}, {star_image}\nEvery completion: {raw}")
    if arguments.write_docs:
        write_docs(
            DOCS,
            image,
            "\n\n".join([report.verdict(results), _settings(arguments), *(t.markdown() for t in tables)]),
        )
        fill(DOCS, star.MARKER, star.table(guessed).markdown())
        shutil.copyfile(star_image, DOCS.parent / "images" / star_image.name)
    return 0


def ask(generator: Generator, prompts: list[Prompt]) -> list[Result]:
    """Every prompt plain and with FIRE, the first of each task by transformers itself too, for its speed."""
    plan = []
    for index in range(len(prompts)):
        modes = ["plain", "FIRE"]
        if index < len(TASKS):
            modes.append("transformers")
        turn = index % len(modes)  # whatever else the machine does falls on all of them alike
        plan += [(index, mode) for mode in modes[turn:] + modes[:turn]]
    results = [Result(prompt, {}) for prompt in prompts]
    warm_up = dataclasses.replace(generator, tokens=2)
    with tqdm(total=len(plan), unit="call", dynamic_ncols=True) as progress:
        progress.set_description("warming up")
        for mode in MODES:
            warm_up.run(prompts[0], 0, mode)
        progress.unpause()
        for index, mode in plan:
            progress.set_description(f"{prompts[index].task:>8}, {mode:<12}")
            results[index].runs[mode] = generator.run(prompts[index], index, mode)
            progress.update()
    return results


def default_device() -> str:
    """The GPU, where torch sees one and fire_sampling was built for it."""
    built = torch._C._dispatch_has_kernel_for_dispatch_key("fire::sample", "CUDA")
    return "cuda" if built and torch.cuda.is_available() else "cpu"


def write_docs(page: Path, image: Path, text: str) -> None:
    """Puts `text` between the markers of `page` and `image` beside it.

    Raises:
        ValueError: the page has no markers.
    """
    fill(page, "examples/demo --write-docs", text)
    (page.parent / "images").mkdir(exist_ok=True)
    shutil.copyfile(image, page.parent / "images" / image.name)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one prompt a task, 8 completions of 24 tokens")
    parser.add_argument("--prompts", type=int, help=f"how many, 1 to {MOST_PROMPTS} (default 21)")
    parser.add_argument("--samples", type=int, help="completions of each prompt (default 16)")
    parser.add_argument("--tokens", type=int, help="at most so many a completion (default 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the prompts and of the sampling (default 0)")
    parser.add_argument("--device", default=default_device(), help="(default %(default)s)")
    parser.add_argument(
        "--model", type=Path, help="a folder written by save_pretrained, with a chat template"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "demo_output", help="folder for picture and results"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="put the tables and the picture into docs/demo.md"
    )
    arguments = parser.parse_args()
    defaults = (
        {"prompts": len(TASKS), "samples": 8, "tokens": 24}
        if arguments.quick
        else {
            "prompts": 3 * len(TASKS),
            "samples": 16,
            "tokens": 40,
        }
    )
    for name, default in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: got {getattr(arguments, name)}, expected at least 1")
    if arguments.prompts > MOST_PROMPTS:
        parser.error(f"--prompts: got {arguments.prompts}, expected at most {MOST_PROMPTS}")
    return arguments


def _settings(arguments: argparse.Namespace) -> str:
    regular = ", ".join(f"{name} {value:g}" for name, value in REGULAR.items())
    hot = ", ".join(f"{name} {value:g}" for name, value in HOT.items())
    return (
        f"{_model_name(arguments)}: {arguments.prompts} prompts, {arguments.samples} completions of up to "
        f"{arguments.tokens} tokens, seed {arguments.seed}.\n"
        f"Every token: {regular}; FIRE's first token: {hot}.\n"
        f"{arguments.device}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"transformers {transformers.__version__}."
    )


def _model_name(arguments: argparse.Namespace) -> str:
    return "SmolLM2-135M-Instruct" if arguments.model is None else str(arguments.model.resolve().name)


def _record(arguments: argparse.Namespace, results: list[Result], guessed: Star) -> dict[str, Any]:
    return {
        "settings": {
            "model": _model_name(arguments),
            "prompts": arguments.prompts,
            "samples": arguments.samples,
            "tokens": arguments.tokens,
            "seed": arguments.seed,
            "regular": REGULAR,
            "hot": HOT,
        },
        "machine": {
            "device": arguments.device,
            "platform": platform.platform(),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "fire_sampling": fire.__version__,
        },
        "results": [
            {
                "task": result.prompt.task,
                "prompt": result.prompt.text,
                "expected": result.prompt.expected,
                "runs": [dataclasses.asdict(run) for run in result.runs.values()],
            }
            for result in results
        ],
        "star_graph": star.record(guessed),
    }


if __name__ == "__main__":
    sys.exit(main())
