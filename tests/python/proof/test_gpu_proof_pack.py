"""What tests/gpu takes to a machine with a GPU: the pack, its golden answers, its measurements."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest
from gpu_harness import PROOF  # noqa: F401 (finds the next ones)
from packaging_support import ROOT
from proof import context, golden, manifest, pack, peers
from proof.context import StageError


def test_a_pack_of_other_sources_or_with_a_file_missing_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "golden.bin").write_bytes(b"answers")
    manifest.write(tmp_path, {})
    assert manifest.differences(tmp_path) == []
    (tmp_path / "golden.bin").write_bytes(b"half")
    assert manifest.differences(tmp_path) == ["the pack lacks golden.bin of 7 bytes"]
    (tmp_path / "golden.bin").write_bytes(b"answers")
    monkeypatch.setattr(manifest, "source_digest", lambda: "another")
    assert manifest.differences(tmp_path) == ["the pack is of other sources; pack again"]
    assert "no pack" in manifest.differences(tmp_path / "elsewhere")[0]


def test_the_digest_of_the_sources_sees_a_change_of_one_byte(tmp_path: Path) -> None:
    kernel = tmp_path / "kernels" / "a.cu"
    kernel.parent.mkdir()
    (tmp_path / "CMakeLists.txt").touch()
    for name in ("tests/cpp/cpu_backend_rows.h",):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    kernel.write_text("a")
    before = manifest.source_digest(tmp_path)
    kernel.write_text("b")
    assert manifest.source_digest(tmp_path) != before


def test_a_pack_names_all_that_it_lacks_and_leaves_the_last_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDACXX", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "golden.bin").touch()
    assert pack.main(["--pack", str(tmp_path / "pack"), "--googletest", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    for name in ("libgtest-dev", "strip", "pip is not installed", "pybind11 is not", "torch is not"):
        assert name in told
    assert (tmp_path / "pack" / "golden.bin").exists()


def test_peers_that_cannot_be_packed_keep_nothing_else_from_being(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(folder: Path, *_: object) -> list[str]:
        folder.mkdir()
        raise StageError("pip downloaded no wheel")

    for name in ("check_prerequisites", "copy_googletest", "copy_pure_python", "write_golden"):
        monkeypatch.setattr(pack, name, lambda *_, **__: None)
    monkeypatch.setattr(peers, "gather", fail)
    arguments = ["--no-objects", "--pack", str(tmp_path / "pack"), "--work", str(tmp_path / "work")]
    assert pack.main(arguments) == 1
    assert "pip downloaded no wheel" in capsys.readouterr().err
    assert manifest.differences(tmp_path / "pack") == []
    assert not (tmp_path / "pack" / "peers").exists()
    assert pack.main([*arguments, "--no-peers"]) == 0


def test_the_measurements_assemble_for_devices_with_clusters_and_without(tmp_path: Path) -> None:
    """What is shipped is compiled for both: what only newer ones have must not reach the older ones' code."""
    sources = sorted((ROOT / "tests" / "gpu" / "micro").glob("*.cu"))
    assert sources
    for source in sources:
        for architecture in ("80", "90"):
            words = [context.tool("nvcc"), "-std=c++17", f"-I{ROOT}", f"-I{ROOT / 'csrc'}", "-cubin"]
            words += [f"-arch=sm_{architecture}", "-o", str(tmp_path / "code"), str(source)]
            compiled = subprocess.run(words, capture_output=True, text=True)
            assert compiled.returncode == 0, compiled.stderr


def test_golden_answers_of_another_form_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.bin"
    path.write_bytes(os.urandom(64))
    with pytest.raises(ValueError, match="no golden answers"):
        list(golden.read(path))
