"""docs/cpp.md: its commands and programs work as they stand, and C++ packs as Python does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pages import blocks

from fire_sampling import SamplingConfig
from fire_sampling import numpy as fire

ROOT = Path(__file__).resolve().parents[3]
PAGE = "docs/cpp.md"
STRICT = ("-std=c++17", "-pedantic-errors", "-Wall", "-Wextra", "-Wconversion", "-Werror")


def run(command: str, folder: Path) -> str:
    """What the commands of the page print, run in `folder`."""
    result = subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader works: the repository beside `fire-prefix`, installed by the page's own commands."""
    folder = tmp_path_factory.mktemp("cpp_docs")
    (folder / "fire-sampling").symlink_to(ROOT)
    run(blocks(PAGE, "sh", "--install")[0], folder)
    return folder


def project(folder: Path, lists: str) -> None:
    app = folder / "app"
    shutil.rmtree(app, ignore_errors=True)
    app.mkdir()
    (app / "CMakeLists.txt").write_text(lists)
    (app / "main.cpp").write_text(blocks(PAGE, "cpp", "int main")[0])


def test_the_project_of_the_page_builds_against_the_installed_package_and_samples(folder: Path) -> None:
    project(folder, blocks(PAGE, "cmake", "add_executable")[0])
    printed = run(blocks(PAGE, "sh", "app-build/app")[0], folder)
    tokens = [int(token) for token in printed.splitlines()[-1].split()]
    rows = np.zeros((4, 32000), np.float32)
    records = fire.pack(SamplingConfig(temperature=0.8, top_k=50, seed=7), rows=4)
    assert tokens == [fire.sample(rows, step, records)[0] for step in range(3)]


def test_the_repository_can_be_a_part_of_another_project_instead(folder: Path) -> None:
    whole, part = blocks(PAGE, "cmake", "add_executable")[0], blocks(PAGE, "cmake", "add_subdirectory")[0]
    project(folder, whole.replace("find_package(fire_sampling REQUIRED)\n", part))
    commands = "cmake -S app -B part-build && cmake --build part-build --parallel 2 && part-build/app"
    assert len(run(commands, folder).splitlines()[-1].split()) == 3


@pytest.mark.parametrize("program", blocks(PAGE, "cpp", "int main"))
def test_every_program_of_the_page_is_strict_cpp17_and_runs(
    folder: Path, tmp_path: Path, program: str
) -> None:
    (tmp_path / "main.cpp").write_text(program)
    flags = f"{' '.join(STRICT)} -isystem {folder}/fire-prefix/include"
    run(f"c++ {flags} main.cpp {folder}/fire-prefix/lib*/libfire_sampling.a -pthread -o program", tmp_path)
    printed = run("./program", tmp_path)
    if "std::puts(error.what());" in program:
        assert printed.strip() in program


def test_the_gpu_code_of_the_page_compiles_without_a_toolkit(tmp_path: Path) -> None:
    (tmp_path / "gpu.cpp").write_text(blocks(PAGE, "cpp", "fire/cuda.h")[0])
    run(f"c++ {' '.join(STRICT)} -isystem {ROOT}/csrc/include -fsyntax-only gpu.cpp", tmp_path)


@pytest.mark.parametrize("header", sorted(path.name for path in (ROOT / "csrc/include/fire").glob("*.h")))
def test_every_header_is_cpp17_that_stands_alone(header: str, tmp_path: Path) -> None:
    (tmp_path / "alone.cpp").write_text(f'#include "fire/{header}"\n')
    run(f"c++ {' '.join(STRICT)} -I {ROOT}/csrc/include -fsyntax-only alone.cpp", tmp_path)


# Settings as Python's keywords; the program sets the fields of the same names.
SETTINGS: list[dict[str, float]] = [
    {},
    {"temperature": 0.7, "top_k": 50, "top_p": 0.95, "min_p": 0.05},
    {"top_k": 5},
    {"top_k": -1, "top_p": 0.5},
    {"temperature": 0.0, "top_k": 3},
    {"temperature": 2.0**-65},
    {"temperature": 0.0, "hot_steps": 2, "hot_begin": 1},
    {"top_k": 50, "hot_temperature": 5.0, "hot_top_k": 0, "hot_top_p": 0.25, "hot_min_p": 0.125},
    {"top_p": 0.5, "ref_temperature": 2.0, "stream": 9, "seed": 2**64 - 3},
]
PRINT_RECORDS = """
#include <cstdio>
#include <cstring>
#include "fire/sampling_config.h"
int main() {{
  const auto print = [](const fire::Record& record) {{
    uint32_t words[fire::kRecordWords];
    std::memcpy(words, &record, sizeof words);
    for (uint32_t word : words) std::printf("%u ", word);
    std::puts("");
  }};
{settings}
}}
"""


def setting(fields: dict[str, float]) -> str:
    assignments = "".join(
        f"config.{name} = {f'{value.hex()}f' if isinstance(value, float) else f'{value}u'};"
        if name in ("seed", "stream") or isinstance(value, float)
        else f"config.{name} = {value};"
        for name, value in fields.items()
    )
    printing = (
        "print(fire::RecordOf(config)); for (const auto& record : fire::Pack(config, 2, 5)) print(record);"
    )
    return f"  {{ fire::SamplingConfig config; {assignments} {printing} }}"


def test_cpp_packs_every_setting_to_the_words_that_python_packs_it_to(folder: Path, tmp_path: Path) -> None:
    program = PRINT_RECORDS.format(settings="\n".join(map(setting, SETTINGS)))
    (tmp_path / "main.cpp").write_text(program)
    library = f"{folder}/fire-prefix/lib*/libfire_sampling.a"
    run(f"c++ -std=c++17 -I {folder}/fire-prefix/include main.cpp {library} -pthread -o program", tmp_path)
    printed = [[int(word) for word in line.split()] for line in run("./program", tmp_path).splitlines()]
    expected: list[list[int]] = []
    for fields in SETTINGS:
        config = SamplingConfig(**{"seed": 0, **fields})  # type: ignore[arg-type]
        expected += fire.pack([config]).tolist() + fire.pack(config, rows=2, first_row=5).tolist()
    assert printed == expected
