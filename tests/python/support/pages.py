"""The code blocks of the documentation, and how each of them is to be tried.

A reader pastes one block and runs it, so each runs alone, in a process of its own. What cannot says so in its
first line, where the reader sees it: `# fragment: why` (`// fragment: why` in C++).
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
LANGUAGES = {"python", "py", "sh", "cpp", "cmake", "json", "text", "bibtex"}
# Packages with an environment and a folder of tests of their own: what imports one of them is run there.
ENGINES = {
    "vllm": "tests/engines",
    "trl": "tests/rollouts",
    "sglang": "tests/rollouts",
    "verl": "tests/rollouts",
    "openrlhf": "tests/rollouts",
    "openai": "tests/engines",
    "llama_cpp": "tests/python/pages",
}
_TORCH = {"torch", "transformers", "fire_sampling", "peft", "datasets"}
_FENCED = re.compile(r"^```([^`\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FRAGMENT = re.compile(r"(?:#|//) fragment: (\S.*)\n")


class Block(NamedTuple):
    """A fenced block: its page, by its path here, the line it begins on, its language and its text."""

    page: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def fragment(self) -> str | None:
        """Why the block does not run alone; None where it does."""
        marked = _FRAGMENT.match(self.code)
        return marked[1] if marked else None

    @property
    def imports(self) -> set[str]:
        """The modules that Python code imports, by their full names."""
        found = set()
        for node in ast.walk(ast.parse(self.code)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
        return found

    @property
    def environment(self) -> str:
        """What Python code needs: an engine's name, "torch", or "numpy" for nothing but NumPy."""
        modules = self.imports
        packages = {module.partition(".")[0] for module in modules}
        for engine in ENGINES:
            if engine in packages:
                return engine
        needs_torch = packages & _TORCH - {"fire_sampling"} or any(
            module.startswith("fire_sampling.integrations") for module in modules
        )
        return "torch" if needs_torch else "numpy"

    @property
    def models(self) -> set[str]:
        """The models of the Hugging Face hub that Python code names, as organisation/name."""
        return {
            node.value
            for node in ast.walk(ast.parse(self.code))
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"[A-Za-z][\w-]*/[A-Za-z][\w.-]*", node.value)
        }


def pages() -> list[str]:
    """Every page of the documentation, by its path in the repository."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for folder in ("docs", "bench", "examples", "tests"):
        found += sorted((ROOT / folder).rglob("*.md"))
    return [page.relative_to(ROOT).as_posix() for page in found]


def read(page: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _FENCED.finditer(text)
    ]


def complete(*languages: str, environment: str | None = None) -> list[Block]:
    """The blocks of all pages that run alone, in these languages; of Python's, those of one environment."""
    return [
        block
        for page in pages()
        for block in read(page)
        if block.language in languages and block.fragment is None
        if environment is None or block.environment == environment
    ]


def blocks(page: str, language: str, containing: str = "") -> list[str]:
    """The blocks in `language` that contain a text, in order, at least one; of a page, by its path here."""
    found = [block.code for block in read(page) if block.language == language and containing in block.code]
    assert found, f"{page} has no {language} block with {containing!r}"
    return found
