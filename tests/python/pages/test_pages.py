"""Every code block of every page does what a reader who pastes it expects: it runs, alone."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import page_server
import pytest
import tiny_models
from conftest import RunPython
from pages import ENGINES, LANGUAGES, ROOT, Block, complete, pages, read

ALL = [block for page in pages() for block in read(page)]
MODELS = {model for block in ALL if block.language == "python" for model in block.models}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the Hugging Face hub that holds a tiny model under every name that the pages use."""
    folder = tmp_path_factory.mktemp("hub")
    for name in MODELS:
        tiny_models.write_to_hub(folder, name)
    return folder


@pytest.fixture(scope="module")
def programs(hub: Path) -> Iterator[page_server.Programs]:
    with page_server.programs(HF_HUB_CACHE=str(hub), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1") as server:
        yield server


@pytest.mark.parametrize("block", complete("python", "py", environment="torch"), ids=str)
def test_a_block_with_torch_runs_alone_and_without_a_warning(
    block: Block, programs: page_server.Programs, tmp_path: Path
) -> None:
    status, output = programs.run(block.code, str(block), tmp_path)
    assert status == 0, output


@pytest.mark.parametrize("block", complete("python", "py", environment="numpy"), ids=str)
def test_a_block_without_torch_runs_alone_where_there_is_none(block: Block, run_python: RunPython) -> None:
    result = run_python(block.code, torch=False)
    assert result.returncode == 0, result.stderr


def test_a_block_of_an_engine_is_run_by_the_tests_of_that_engine() -> None:
    for engine in {block.environment for block in complete("python", "py")} & set(ENGINES):
        tests = [path.read_text() for path in sorted((ROOT / ENGINES[engine]).glob("test_*.py"))]
        assert any(f'environment="{engine}"' in text for text in tests), f"{ENGINES[engine]} runs no {engine}"


@pytest.mark.parametrize("page", pages())
def test_every_block_of_a_page_is_fenced_and_names_its_language(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in read(page):
        assert block.language in LANGUAGES, f"{block}: {block.language!r} is none of {sorted(LANGUAGES)}"
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^\n {4}\S.*", outside, re.MULTILINE), "an indented block cannot say what it is"


@pytest.mark.parametrize("block", [block for block in ALL if block.language in ("python", "py")], ids=str)
def test_fragments_too_are_python(block: Block) -> None:
    compile(block.code, str(block), "exec")


@pytest.mark.parametrize("block", [block for block in ALL if block.language == "json"], ids=str)
def test_json_on_a_page_is_json(block: Block) -> None:
    json.loads(block.code)


@pytest.mark.parametrize("block", complete("sh"), ids=str)
def test_a_shell_block_names_targets_files_and_options_that_exist(block: Block) -> None:
    checked = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    _check_make(block)
    _check_paths(block)
    _check_options(block)


def test_a_fragment_says_why() -> None:
    assert all(len(block.fragment.split()) >= 2 for block in ALL if block.fragment)


def _check_make(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    targets = {
        target for line in re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE) for target in line.split()
    }
    for command in re.findall(r"^(?:\w+=\S+ )*make ([^#\n]*)", block.code, re.MULTILINE):
        for word in command.split():
            assert "=" in word or word in targets, f"{block}: the Makefile has no target {word!r}"


def _check_paths(block: Block) -> None:
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build", ".venv"}
    words = ["", *shlex.split(block.code, comments=True)]
    for before, word in pairwise(words):
        if "/" in word and word.partition("/")[0] in tops and before != "--out":
            assert (ROOT / word).exists(), f"{block}: no {word}"


def _check_options(block: Block) -> None:
    """Options of a program of this repository are spelt in its source, or in a file beside it."""
    code = block.code.replace("\\\n", " ")
    for program, arguments in re.findall(
        r"\bpython (-m (?:examples|fire_sampling)\S*|\S+\.py)([^#\n]*)", code
    ):
        if program.startswith("-m "):
            module = program.removeprefix("-m ").replace(".", "/")
            folder = (ROOT / "python" if module.startswith("fire") else ROOT) / module
        else:
            folder = (ROOT / program).parent
        text = "".join(path.read_text() for path in folder.glob("*.py"))
        for option in re.findall(r"--[a-z-]+", arguments):
            assert option == "--help" or f'"{option}"' in text, f"{block}: {program} has no option {option}"
