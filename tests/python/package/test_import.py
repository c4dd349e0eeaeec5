"""`import fire_sampling` beside every kind of torch: absent, broken, or one that the operators do not fit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import RunPython

import fire_sampling

PACKAGE = Path(fire_sampling.__file__).parent
NUMPY_SAMPLES = """
import numpy as np, fire_sampling
from fire_sampling import numpy as fire
print(fire.sample(np.zeros((2, 9), np.float32), 1, fire_sampling.SamplingConfig(seed=1)).shape)
for function in (fire_sampling.pack, fire_sampling.sample):
    try:
        function(*(None, 0, None)[: 1 if function is fire_sampling.pack else 3])
    except (ImportError, TypeError) as error:
        print(type(error).__name__, error)
"""


def path_of(*folders: Path) -> str:
    return os.pathsep.join(map(str, folders))


@pytest.fixture
def package_without_operators(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("libfire_sampling_torch*", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "fire_sampling", ignore=ignored)
    return tmp_path


@pytest.mark.parametrize(
    "error", ["OSError('libtorch.so: bad')", "RuntimeError('bad')", "ImportError('bad')"]
)
def test_a_torch_whose_import_fails_leaves_the_numpy_entry_alive_and_is_warned_of(
    run_python: RunPython, tmp_path: Path, error: str
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text(f"raise {error}")
    child = run_python("-c", NUMPY_SAMPLES, PYTHONPATH=path_of(tmp_path, PACKAGE.parent))
    assert child.returncode == 0, child.stderr
    shape, pack, sample = child.stdout.splitlines()
    assert shape == "(2,)"
    broken = f"torch is installed but cannot be imported ({error.split('(')[0]}: "
    assert pack.startswith(f"ImportError fire_sampling.pack: {broken}")
    assert sample.startswith(f"ImportError fire_sampling.sample: {broken}")
    assert child.stderr.count("RuntimeWarning") == 1
    assert f"the operators torch.ops.fire are missing: {broken}" in child.stderr


def test_operators_that_do_not_load_are_warned_of_once_at_import_where_the_user_imports(
    run_python: RunPython, package_without_operators: Path
) -> None:
    program = "import fire_sampling\nimport fire_sampling.functional, fire_sampling.numpy"
    child = run_python("-c", program, PYTHONPATH=str(package_without_operators))
    assert child.returncode == 0, child.stderr
    assert child.stderr.count("RuntimeWarning") == 1
    assert (
        "<string>:1: RuntimeWarning: fire_sampling: the operators torch.ops.fire are missing: "
        in child.stderr
    )
    assert (
        "was built without its torch operators, with FIRE_TORCH=off. Install it again without" in child.stderr
    )
    assert "fire_sampling.numpy works without them" in child.stderr


def test_a_source_tree_without_compiled_parts_says_so_instead_of_a_circular_import(
    run_python: RunPython, tmp_path: Path
) -> None:
    shutil.copytree(PACKAGE, tmp_path / "fire_sampling", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    child = run_python("-c", "import fire_sampling.numpy", PYTHONPATH=str(tmp_path))
    assert child.returncode == 1
    folder = tmp_path / "fire_sampling"
    assert (
        f"\nImportError: fire_sampling: {folder} has no compiled part. Where that is the source"
        in child.stderr
    )
    assert "pip install --no-build-isolation -e ." in child.stderr
    other = folder / "_native.cpython-39-x86_64-linux-gnu.so"
    other.touch()
    child = run_python("-m", "fire_sampling", "info", PYTHONPATH=str(tmp_path))
    assert f"{folder} has the compiled part {other.name}, which Python " in child.stderr


def test_a_locale_that_cannot_encode_the_folder_of_the_installation_keeps_the_operators(
    run_python: RunPython, tmp_path: Path
) -> None:
    shutil.copytree(PACKAGE, tmp_path / "Feuer-für-é/fire_sampling")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    program = "import fire_sampling, torch; print(ascii(fire_sampling.__file__), torch.ops.fire.sample)"
    child = run_python("-W", "error", "-c", program, PYTHONPATH=str(tmp_path / "Feuer-für-é"), **locale)
    assert child.returncode == 0, child.stderr
    assert r"Feuer-f\udcc3\udcbcr" in child.stdout
    assert "fire.sample" in child.stdout


def test_where_torch_is_absent_importing_says_nothing(run_python: RunPython) -> None:
    child = run_python("import fire_sampling", torch=False)
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")
