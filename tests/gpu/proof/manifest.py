"""The manifest of a pack: what it was made from, so that a stale one is noticed."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .context import ROOT

NAME = "manifest.json"
SOURCES = ("CMakeLists.txt", "cmake", "csrc", "kernels", "tests/gpu", "tests/cpp/cpu_backend_rows.h")
SOURCE_SUFFIXES = (".txt", ".cmake", ".in", ".h", ".cpp", ".cuh", ".cu")


def source_files(root: Path = ROOT) -> Iterator[Path]:
    """Every file that compiled objects and golden answers depend on."""
    for name in SOURCES:
        path = root / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in files if file.is_file() and file.suffix in SOURCE_SUFFIXES)


def source_digest(root: Path = ROOT) -> str:
    digest = hashlib.sha256()
    for file in source_files(root):
        contents = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()} {len(contents)}\n".encode())
        digest.update(contents)
    return digest.hexdigest()


def write(pack: Path, about: dict[str, Any]) -> None:
    files = {
        str(file.relative_to(pack)): file.stat().st_size
        for file in sorted(pack.rglob("*"))
        if file.is_file() and file.name != NAME
    }
    manifest = {"sources": source_digest(), "commit": commit(), **about, "files": files}
    (pack / NAME).write_text(json.dumps(manifest, indent=1) + "\n")


def read(pack: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((pack / NAME).read_text())
    return found


def differences(pack: Path) -> list[str]:
    """What keeps a pack from being that of this tree; empty if nothing does."""
    try:
        manifest = read(pack)
    except (OSError, ValueError) as error:
        return [f"no pack: {error}; `python tests/gpu/pack` makes it"]
    wrong = [] if manifest["sources"] == source_digest() else ["the pack is of other sources; pack again"]
    for name, size in manifest["files"].items():
        file = pack / name
        if not file.exists() or file.stat().st_size != size:
            wrong.append(f"the pack lacks {name} of {size} bytes")
    return wrong


def commit() -> str:
    """The commit checked out, with + where the tree differs; unknown outside git."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
