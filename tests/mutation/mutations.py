"""What is broken, one place at a time: text of the kernels that occurs once, and what it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOST_FILES = (
    *("csrc/definition/shard_list.h", "csrc/definition/shard_row_solver.h"),
    "csrc/cpu/shard_answers.h",
)


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str  # from the root of the project
    breaks: str
    find: str
    replace: str
    logits: str = "float32"  # the logit type whose kernels are built anew and tested
    architecture: int = 90  # the PTX that runs: 80 has no clusters
    tests: str = ""  # a GoogleTest filter, where the list of checks has none for it
    source: str = ""  # the file of kernels/ that is built anew, where it is not that of the type's rows

    @property
    def is_of_the_host(self) -> bool:
        """Whether tests of tests/cpp are to notice."""
        return self.file in HOST_FILES

    def complaint(self, root: Path) -> str | None:
        """Why it does not fit the sources under `root`."""
        found = (root / self.file).read_text().count(self.find)
        return None if found == 1 else f"{self.name}: {self.file} holds the text to find {found} times"

    def apply(self, root: Path) -> None:
        path = root / self.file
        path.write_text(path.read_text().replace(self.find, self.replace))


def in_file(file: str, *mutations: tuple[str, str, str, str], **options: object) -> list[Mutation]:
    """Each: name, what it breaks, what to find, what to put there."""
    return [
        Mutation(name, file, breaks, find, replace, **options)  # type: ignore[arg-type]
        for name, breaks, find, replace in mutations
    ]


def without(file: str, *mutations: tuple[str, str, str], **options: object) -> list[Mutation]:
    """Each: name, what it breaks, the text to drop."""
    return in_file(file, *((name, breaks, text, "") for name, breaks, text in mutations), **options)
