"""docs/evaluate.md shows the committed result, and the result follows from what each prompt came to."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from bench_runs import BENCH
from pages import ROOT

from fire_sampling.evaluate import picture
from fire_sampling.metrics import mean_interval, paired_bootstrap, pass_at_k

RESULT: dict[str, Any] = json.loads((BENCH / "results/evaluate/smollm2_135m.json").read_text())
PAGE = (ROOT / "docs/evaluate.md").read_text(encoding="utf-8")
WAYS = ("plain", "FIRE")


def test_the_page_shows_the_committed_result_to_the_letter() -> None:
    from views import evaluate_page

    assert f"\n{evaluate_page.section(RESULT, 'images/evaluate_smollm2.svg')}\n<!-- end: written" in PAGE


def test_the_picture_is_of_the_committed_result(tmp_path: Any) -> None:
    picture.draw(RESULT, tmp_path / "drawn.svg")
    drawn, committed = (
        # Ids of paths follow matplotlib's version; words and numbers do not.
        re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())
        for path in (tmp_path / "drawn.svg", ROOT / "docs/images/evaluate_smollm2.svg")
    )
    assert drawn == committed
    assert len(drawn) > 20


@pytest.mark.parametrize("k", RESULT["settings"]["pass_at"])
def test_every_pass_at_k_and_its_interval_follow_from_the_counts_of_the_prompts(k: int) -> None:
    samples, lines = RESULT["settings"]["samples"], RESULT["by prompt"]
    values = {way: [pass_at_k(samples, line[way]["correct"], k) for line in lines] for way in WAYS}
    for way in WAYS:
        assert RESULT[way][f"pass@{k}"] == pytest.approx(mean_interval(values[way])._asdict(), abs=1e-6)
    difference = paired_bootstrap(values["plain"], values["FIRE"])._asdict()
    assert RESULT["FIRE - plain"][f"pass@{k}"] == pytest.approx(difference, abs=1e-6)


def test_the_settings_are_those_that_were_registered() -> None:
    registered = PAGE[PAGE.index("## Registered") : PAGE.index("## What came")]
    settings = RESULT["settings"]
    for words in (
        f"{settings['samples']} samples a prompt and way, at most {settings['max_new_tokens']} tokens",
        f"T {settings['temperature']:g}, top-k {settings['top_k']}, top-p {settings['top_p']:g}",
        f"T {settings['hot_temperature']:g}, top-k {settings['hot_top_k']}, the\n  first token",
        f"Seed {settings['seed']}",
        f"`--judge {settings['judge']}`",
    ):
        assert words in registered, words
    assert settings["hot_begin"] == 0
    assert settings["hot_steps"] == 1
