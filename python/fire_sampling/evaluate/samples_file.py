"""The file of samples: a line of settings, then a line a prompt, written when the prompt is done.

A run that is killed loses the prompt under way. The next one with `--resume` reads what is there and goes on;
as a sample depends on its prompt's place and its own, the file ends up as it would have without the kill.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any

from fire_sampling._messages import shown
from fire_sampling.evaluate.packages import EvaluationError

Entry = dict[str, Any]

# How a result is shown: a finished run can be told again with others.
SHOWN_ONLY = ("title", "pass_at")


class SamplesFile:
    """The file of a run, open for the next prompt.

    Attributes:
        entries: What is done, in order.
    """

    def __init__(self, path: Path, settings: dict[str, Any], resume: bool) -> None:
        """Begins a file, or goes on with one.

        Raises:
            EvaluationError: The file is there and `resume` is false, or it is one of other settings.
        """
        self.entries: list[Entry] = []
        header = json.loads(json.dumps({"settings": settings}))
        whole = _whole_lines(path)
        if whole:
            if not resume:
                raise EvaluationError(
                    f"--output: {path} is there already; --resume goes on with the samples of an earlier run"
                )
            self.entries = _read(path, whole, header["settings"])
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("r+b" if whole else "wb")
        self._file.truncate(len(whole))  # what a kill left of a line
        self._file.seek(len(whole))
        if not whole:
            self._write(header)

    def add(self, entry: Entry) -> None:
        """Writes a prompt's samples to the disk."""
        self._write(entry)
        self.entries.append(entry)

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _whole_lines(path: Path) -> bytes:
    """What the file holds up to its last end of line."""
    if not path.exists():
        return b""
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def _read(path: Path, data: bytes, settings: dict[str, Any]) -> list[Entry]:
    try:
        header, *entries = [json.loads(line) for line in data.split(b"\n")[:-1]]
        earlier = header["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"--output: {path} is no file of samples: {error}") from error
    for name in {**earlier, **settings}:
        if name not in SHOWN_ONLY and earlier.get(name) != settings.get(name):
            raise EvaluationError(
                f"--resume: {path} was begun with {name} {shown(earlier.get(name))}, and this run has "
                f"{shown(settings.get(name))}; expected the same"
            )
    return entries
