"""Picture and table of docs/groups.md: of the committed counts, which no draw can exceed."""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from tiny_models import one_thread, prompts  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

import fire_sampling as fire  # noqa: E402
from examples import group_spread  # noqa: E402

RESULT: dict[str, Any] = json.loads(group_spread.RESULT.read_text())


def test_the_page_shows_the_committed_counts_to_the_letter() -> None:
    written = f"\n{group_spread.table(RESULT)}\n<!-- end: written by {group_spread.WRITER} -->"
    assert written in group_spread.PAGE.read_text(encoding="utf-8")


def test_the_same_counts_draw_the_same_picture(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        group_spread.draw(RESULT, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert group_spread.PICTURE.is_file()


def test_every_way_was_counted_at_every_size_and_no_more_differ_than_were_drawn() -> None:
    found = [(mean["first"], mean["way"], mean["n"]) for mean in RESULT["means"]]
    assert found == list(itertools.product(group_spread.FIRST, group_spread.WAYS, group_spread.SIZES))
    for mean in RESULT["means"]:
        assert 1 <= mean["first tokens"] <= mean["completions"] <= mean["n"]


@pytest.mark.parametrize("coded", [False, True])
def test_completions_are_those_of_a_loop_without_a_cache(coded: bool) -> None:
    model, asked = tiny_models.llama(), prompts(1, 7)
    config = fire.SamplingConfig(top_k=9, hot_top_k=16, design="lattice", seed=5)
    with torch.inference_mode():
        drawn = group_spread.completions(group_spread.Rows(model, asked), config, 16, coded)
        records = fire.pack_group(config, 1, 16, blocks=group_spread.DRAWN // 16)
        text, code = asked.expand(group_spread.DRAWN, -1), None
        for step in range(group_spread.TOKENS):
            logits, now = model(text).logits[:, -1], torch.tensor(step)
            if coded:
                code = torch.ops.fire.first_code(now, records) if code is None else code
                token, code = torch.ops.fire.sample_coded(logits, code, now, records)
            else:
                token = fire.sample(logits, step, records)
            text = torch.cat([text, token[:, None]], 1)
    assert drawn == [tuple(row) for row in text[:, 7:].tolist()]
