"""Runs programs, each in a process of its own that has torch and transformers loaded but nothing else.

Importing them takes seconds, and a page has a dozen programs: so they are imported once, and every program is
a fork of the process that did, which has neither called them nor seen another program. On its standard input:
a JSON object a line with `code`, `name` and `folder`, its working directory. On its standard output:
one with `status` and `output`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

# Seconds that a program may take before a signal ends it: a hung one would otherwise hold the tests for ever.
LONGEST = 300


class Programs:
    """The server's end in the tests."""

    def __init__(self, **environment: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def run(self, code: str, name: str, folder: Path) -> tuple[int, str]:
        """The exit status of a program and all it wrote."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"code": code, "name": name, "folder": str(folder)}) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        assert line, f"the server of programs ended with status {self._server.wait()} while it ran {name}"
        result = json.loads(line)
        return result["status"], result["output"]

    def close(self) -> None:
        self._server.communicate()


@contextmanager
def programs(**environment: str) -> Iterator[Programs]:
    """A server with these environment variables, ended with the block."""
    server = Programs(**environment)
    try:
        yield server
    finally:
        server.close()


def _child(program: dict[str, Any], output: int) -> NoReturn:
    status = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.alarm(LONGEST)
        os.chdir(program["folder"])
        warnings.simplefilter("error")
        # What tracebacks, pickles and dataclasses expect of a program.
        sys.argv = [program["name"]]
        exec(compile(program["code"], program["name"], "exec"), {"__name__": "__main__"})
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _serve() -> None:
    import torch  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, pipeline  # noqa: F401

    answers = sys.stdout
    for line in sys.stdin:
        with tempfile.TemporaryFile() as output:
            child = os.fork()  # with nothing but imports behind it, no thread holds a lock
            if child == 0:
                _child(json.loads(line), output.fileno())
            _, status = os.waitpid(child, 0)
            output.seek(0)
            text = output.read().decode(errors="replace")
        answers.write(json.dumps({"status": os.waitstatus_to_exitcode(status), "output": text}) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
