#!/usr/bin/env python3
"""Whole generations: `generate` of transformers with its own sampling, with fire-sampling, and with argmax.

python bench/generate.py                            SmolLM2-135M on the CPU, within 5 minutes on 2 cores
python bench/generate.py --device cuda --model 8b   random weights, shaped as an 8 B model
python bench/generate.py --model tiny --rehearse    two small layers, no times: does everything run?

Timed tokens are checked on the very logits they came from: all of ours against fire_sampling.numpy, and of
the others up to 16 rows a step against the set that their filters keep.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for examples.demo, which loads the model and times the sampling

from harness import machine, models, results_file  # noqa: E402
from harness.kept_set import Drawn, KeptSets  # noqa: E402
from harness.schema import SCHEMA, Contender, EndToEnd, Generation, Run, check  # noqa: E402
from harness.settings import SETTINGS, Filters  # noqa: E402
from harness.summary import quantile  # noqa: E402
from views.results import Results  # noqa: E402

import fire_sampling  # noqa: E402
from examples.demo.clock import SamplingClock  # noqa: E402
from fire_sampling import numpy as fire_numpy  # noqa: E402
from fire_sampling.integrations.transformers import fire_generate  # noqa: E402

SEED = 3
CHECKED_ROWS = 16  # of each step of a contender whose kept sets have to be found first
# A batch of generate() has one setting, and greedy ones sample nothing.
SAMPLED = [
    name for name, one in SETTINGS.items() if not (one.mixed or one.of_rows[0].greedy or one.of_rows[0].hot)
]
CONTENDERS: dict[str, Contender] = {
    "fire": {
        "title": "fire-sampling",
        "notes": "generate(..., custom_generate=fire_generate), no hot step.",
        "role": "ours",
        "limit": "argmax",
    },
    "argmax": {
        "title": "argmax: nothing sampled",
        "notes": "generate(..., do_sample=False): the model and the loop, and the least choice of a token.",
        "role": "limit",
    },
    "hf": {
        "title": "HF transformers",
        "notes": "generate(..., do_sample=True): its warpers, softmax and multinomial.",
        "role": "peer",
    },
}


class Bench:
    """Times one model's generations."""

    def __init__(self, model: Any, device: torch.device, prompt_tokens: int, new_tokens: int) -> None:
        self._model = model
        self._device = device
        self._prompt_tokens = prompt_tokens
        self._new_tokens = new_tokens

    def generate(self, key: str, filters: Filters, batch: int, seed: int) -> Any:
        """One generate() of `batch` sequences; the same prompts for everybody."""
        generator = torch.Generator().manual_seed(batch)
        shape = (batch, self._prompt_tokens)
        ids = torch.randint(self._model.config.vocab_size, shape, generator=generator).to(self._device)
        settings: dict[str, Any] = {"do_sample": False}
        if key != "argmax":
            settings = {
                "do_sample": True,
                "temperature": filters.temperature,
                "top_k": filters.top_k,
                "top_p": filters.top_p,
                "min_p": filters.min_p or None,
            }
        if key == "fire":
            config = fire_sampling.SamplingConfig(hot_steps=0)
            settings |= {"custom_generate": fire_generate, "fire_config": config, "fire_seed": seed}
        torch.manual_seed(seed)
        return self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            min_new_tokens=None,
            max_new_tokens=self._new_tokens,
            eos_token_id=None,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,  # what is checked; the loop keeps a reference, nothing is copied
            **settings,
        )

    def seconds(self, key: str, filters: Filters, batch: int, seed: int) -> tuple[float, Any]:
        self._wait()
        begin = time.perf_counter()
        output = self.generate(key, filters, batch, seed)
        self._wait()
        return time.perf_counter() - begin, output

    def run(self, key: str, filters: Filters, batch: int, seed: int) -> tuple[float, float, Any]:
        """Seconds, the share of them between a step's logits and its token, and what was generated.

        On a GPU the clock of that share waits for the device, so it runs in a second generation.
        """
        clock = SamplingClock(self._device)
        timed = None if self._device.type == "cpu" else self.seconds(key, filters, batch, seed)
        with clock.running():
            whole, output = self.seconds(key, filters, batch, seed)
        share = clock.seconds / whole
        return (whole, share, output) if timed is None else (timed[0], share, timed[1])

    def check(self, key: str, filters: Filters, batch: int, seed: int, output: Any) -> tuple[int, int]:
        """How many tokens were checked, and how many their own logits forbid, or for ours do not ask for."""
        tokens = output.sequences[:, self._prompt_tokens :].cpu().numpy()
        checked = batch if key == "fire" else min(batch, CHECKED_ROWS)
        tokens = tokens[:checked]
        logits = [step[:checked].float().cpu().numpy() for step in output.logits]
        if key == "fire":
            config = fire_sampling.SamplingConfig(**filters.arguments(seed))
            records = fire_numpy.pack(config, rows=batch)
            drawn = [fire_numpy.sample(rows, step, records) for step, rows in enumerate(logits)]
            return tokens.size, int((np.stack(drawn, axis=1) != tokens).sum())
        kept = Filters(temperature=0.0) if key == "argmax" else filters
        wrong = (
            KeptSets(torch.from_numpy(rows)).wrong(Drawn(torch.from_numpy(drawn)), 0, [kept])
            for rows, drawn in zip(logits, tokens.T, strict=True)
        )
        return tokens.size, sum(wrong)

    def measure(self, setting: str, batch: int, runs: int, rehearse: bool) -> dict[str, Generation]:
        """Everybody in turns, in an order that changes with each round."""
        filters, shuffle = SETTINGS[setting].of_rows[0], random.Random(batch)
        speeds: dict[str, list[float]] = {key: [] for key in CONTENDERS}
        shares: dict[str, list[float]] = {key: [] for key in CONTENDERS}
        checked, wrong = dict.fromkeys(CONTENDERS, 0), dict.fromkeys(CONTENDERS, 0)
        for key in CONTENDERS:
            self.generate(key, filters, batch, SEED)
        for number in range(runs):
            for key in shuffle.sample(list(CONTENDERS), len(CONTENDERS)):
                seconds, share, output = self.run(key, filters, batch, SEED + number)
                speeds[key].append(batch * self._new_tokens / seconds)
                shares[key].append(share)
                found = self.check(key, filters, batch, SEED + number, output)
                checked[key], wrong[key] = checked[key] + found[0], wrong[key] + found[1]
        results: dict[str, Generation] = {}
        for key in CONTENDERS:
            speed = sorted(speeds[key])
            low, middle, high = (round(quantile(speed, part), 2) for part in (0.1, 0.5, 0.9))
            results[key] = {
                "tokens_per_second": None if rehearse else middle,
                "low": None if rehearse else low,
                "high": None if rehearse else high,
                "sampling_share": None if rehearse else round(quantile(sorted(shares[key]), 0.5), 5),
                "runs": runs,
                "checked": checked[key],
                "wrong": wrong[key],
            }
        return results

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=models.NAMES, help="default: smollm2 on a CPU, 8b on a GPU")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batches", nargs="+", type=int, help="default: 1 8 32, on a GPU 1 32 128")
    parser.add_argument("--settings", nargs="+", default=["k=50 p=0.95 T=0.7", "p=0.9"], choices=SAMPLED)
    parser.add_argument("--prompt-tokens", type=int, default=16)
    parser.add_argument("--new-tokens", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rehearse", action="store_true", help="make and check the calls, store no times")
    parser.add_argument("--out", type=Path, help="default: bench/results/generate_DEVICE.json")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace) -> Run:
    begin, device = time.monotonic(), torch.device(options.device)
    cuda = device.type == "cuda"
    name = options.model or ("8b" if cuda else "smollm2")
    made = models.load(name, device)
    bench = Bench(made.model, device, options.prompt_tokens, options.new_tokens)
    entries: list[EndToEnd] = []
    for setting in options.settings:
        for batch in options.batches or ([1, 32, 128] if cuda else [1, 8, 32]):
            print(f"{time.monotonic() - begin:.0f} s: {setting}, batch {batch}", file=sys.stderr)
            entries.append(
                {
                    "model": made.title,
                    "parameters": made.parameters,
                    "vocabulary": made.model.config.vocab_size,
                    "dtype": made.dtype,
                    "setting": setting,
                    "batch": batch,
                    "prompt_tokens": options.prompt_tokens,
                    "new_tokens": options.new_tokens,
                    "results": bench.measure(setting, batch, options.runs, options.rehearse),
                }
            )
    return check(
        {
            "schema": SCHEMA,
            "device": options.device,
            "machine": machine.describe(cuda),
            "about": [
                f"{options.prompt_tokens} prompt tokens, {options.new_tokens} new ones.",
                f"Whole generate() calls: the median of {options.runs}, in turns.",
                made.about,
                f"{torch.get_num_threads()} threads." if not cuda else "Eager launches.",
            ],
            "settings": {setting: str(SETTINGS[setting]) for setting in options.settings},
            "contenders": CONTENDERS,
            "end_to_end": entries,
            "seconds": round(time.monotonic() - begin),
        }
    )


def main() -> int:
    options = parse_arguments()
    run = measure(options)
    out = options.out or ROOT / "bench" / "results" / f"generate_{options.device}.json"
    results_file.write(out, run)
    wrong = Results(run).wrong()
    print(f"{len(run['end_to_end'])} cases in {run['seconds']} s, {wrong} wrong tokens: {out}")
    print(f"To read it: python bench/report.py {out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
