"""What is documented with llama.cpp runs as it stands: the example, and the block of docs/numpy.md.

llama.cpp itself is compiled from source where it is installed, so a stand-in takes its place: the few
functions that are called, over logits in memory of C's own, reached through a pointer.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import RunPython
from pages import Block, complete

from fire_sampling import SamplingConfig
from fire_sampling import numpy as fire

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "llama_cpp_numpy.py"
VOCABULARY = 300
LLAMA_CPP = """
import ctypes
import numpy as np

class Llama:
    def __init__(self, path, n_ctx=512, verbose=True):
        self.path, self.ctx = path, (ctypes.c_float * 300)()
        self.reset()
    def n_vocab(self): return 300
    def token_eos(self): return 299
    def tokenize(self, text): return list(text)
    def detokenize(self, tokens): return " ".join(map(str, tokens)).encode()
    def reset(self): self.history = []
    def eval(self, tokens):
        self.history += tokens
        logits = 3 * np.random.default_rng(self.history).standard_normal(300, dtype=np.float32)
        ctypes.memmove(self.ctx, logits.ctypes.data, 1200)

def llama_get_logits_ith(ctx, i):
    assert i == -1
    return ctypes.cast(ctx, ctypes.POINTER(ctypes.c_float))
"""


@pytest.fixture
def llama_cpp(tmp_path: Path) -> str:
    """PYTHONPATH with the stand-in."""
    (tmp_path / "llama_cpp.py").write_text(LLAMA_CPP)
    return os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))


def continuation(prompt: bytes, record: npt.NDArray[np.uint32], count: int) -> list[int]:
    """What the example is to draw after `prompt`: the stand-in's logits, in plain NumPy."""
    history, drawn = list(prompt), list[int]()
    for step in range(count):
        logits = 3 * np.random.default_rng(history).standard_normal((1, VOCABULARY), dtype=np.float32)
        token = int(fire.sample(logits, step, record)[0])
        if token == VOCABULARY - 1:
            break
        history.append(token)
        drawn.append(token)
    return drawn


def test_the_example_with_llama_cpp_draws_each_continuation_with_a_seed_of_its_own(
    run_python: RunPython, llama_cpp: str
) -> None:
    arguments = ("model.gguf", "Once", "--samples", "3", "--tokens", "8")
    child = run_python(str(EXAMPLE), *arguments, PYTHONPATH=llama_cpp)
    assert (child.returncode, child.stderr) == (0, "")
    config = SamplingConfig(temperature=0.8, top_k=50, top_p=0.95, hot_temperature=30.0, seed=7)
    records = fire.pack(config, rows=3)
    expected = [continuation(b"Once", records[row : row + 1], 8) for row in range(3)]
    lines = [f"{row}: {' '.join(map(str, tokens))!r}" for row, tokens in enumerate(expected)]
    assert child.stdout.splitlines() == lines
    assert len({tokens[0] for tokens in expected}) > 1


def test_the_example_begins_with_the_command_that_starts_it() -> None:
    first = EXAMPLE.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# python examples/llama_cpp_numpy.py ")


@pytest.mark.parametrize("block", complete("python", environment="llama_cpp"), ids=str)
def test_a_block_with_llama_cpp_runs_alone_and_draws_from_its_logits(
    run_python: RunPython, llama_cpp: str, block: Block
) -> None:
    child = run_python(block.code, torch=False, PYTHONPATH=llama_cpp)
    assert (child.returncode, child.stderr) == (0, "")
    record = fire.pack(SamplingConfig(temperature=0.8, top_k=50, seed=7), rows=1)
    history = list(b"Once upon a time")
    for step in range(32):
        logits = 3 * np.random.default_rng(history).standard_normal((1, VOCABULARY), dtype=np.float32)
        history.append(int(fire.sample(logits, step, record)[0]))
    assert child.stdout == "".join(map(str, history[-32:]))
