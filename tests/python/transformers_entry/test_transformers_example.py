"""examples/transformers_generate.py, started by its first line, over a tiny model on disk."""

import ast
import shlex
import subprocess
import sys
from pathlib import Path

import tiny_models

ROOT = Path(__file__).parents[3]


def test_the_example_runs_by_its_first_line_and_streams_the_first_of_its_answers(tmp_path: Path) -> None:
    tiny_models.llama().save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)
    command = (ROOT / "examples" / "transformers_generate.py").read_text().splitlines()[0]
    marker, python, script, flag, model = shlex.split(command)
    assert (marker, python, flag) == ("#", "python", "--model")
    assert "/" in model
    arguments = [str(ROOT / script), flag, str(tmp_path), "--prompt", "NameOneWay:", "--tokens", "8"]
    result = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    *answers, streamed = result.stdout.splitlines()
    texts = [ast.literal_eval(answer) for answer in answers]
    assert len(texts) == len(set(texts)) == 4
    assert streamed.strip() == texts[0].strip()
