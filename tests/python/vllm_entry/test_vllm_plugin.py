"""The entry point that vLLM calls, where there is no vLLM: inert unless asked, and never in its way."""

from __future__ import annotations

import configparser
import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from packaging_support import run

import fire_sampling_vllm as plugin
from fire_sampling.integrations.vllm import fused

WORKERS = "vllm.v1.worker.worker_base"


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A package called vllm whose module of workers notes what happens; returns the module's name."""
    folder = tmp_path / "vllm" / "v1" / "worker"
    folder.mkdir(parents=True)
    for package in (folder, *list(folder.parents)[:2]):
        (package / "__init__.py").touch()
    (folder / "worker_base.py").write_text(
        "class WorkerWrapperBase:\n"
        "    def __init__(self, worker):\n"
        "        self.worker = worker\n"
        "    def initialize_from_config(self, configs):\n"
        "        self.worker.configs = configs\n"
        "        return 'done'\n"
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setenv("FIRE_VLLM", "1")
    return WORKERS


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The runners that `install` was called with; it does nothing else."""
    runners: list[Any] = []
    monkeypatch.setattr(fused, "install", runners.append)
    return runners


def initialize(module: ModuleType) -> Any:
    """What vLLM does with a worker; returns its wrapper."""
    wrapper = module.WorkerWrapperBase(SimpleNamespace(model_runner="runner"))
    assert wrapper.initialize_from_config(["config"]) == "done"
    assert wrapper.worker.configs == ["config"]
    return wrapper


def test_the_distribution_names_the_plugin_and_no_logits_processor(source: Path) -> None:
    make = "from setuptools import build_meta as build; build.prepare_metadata_for_build_wheel('.')"
    run([sys.executable, "-c", make], cwd=source)
    (found,) = source.glob("*.dist-info/entry_points.txt")
    points = configparser.ConfigParser()
    points.read(found)
    # Anything in the group vllm.logits_processors would change vLLM's runner by being there.
    assert [name for name in points.sections() if name.startswith("vllm.")] == ["vllm.general_plugins"]
    assert dict(points["vllm.general_plugins"]) == {"fire_sampling": "fire_sampling_vllm:register"}
    assert importlib.import_module("fire_sampling_vllm").register is plugin.register


def test_an_unasked_plugin_loads_neither_torch_nor_the_operators_and_leaves_imports_alone() -> None:
    program = (
        "import sys; before = list(sys.meta_path); import fire_sampling_vllm; fire_sampling_vllm.register();"
        "assert sys.meta_path == before;"
        "assert not {'torch', 'numpy', 'fire_sampling', 'vllm'} & set(sys.modules)"
    )
    for environment in ({}, {"FIRE_VLLM": "0"}, {"FIRE_VLLM": ""}):
        run([sys.executable, "-c", program], None, **environment)


def test_an_asked_plugin_still_loads_nothing_where_no_engine_and_no_worker_is_made() -> None:
    program = (
        "import sys, fire_sampling_vllm; fire_sampling_vllm.register(); fire_sampling_vllm.register();"
        "assert not {'torch', 'numpy', 'fire_sampling', 'vllm'} & set(sys.modules);"
        "assert sum(type(f).__module__ == 'fire_sampling_vllm' for f in sys.meta_path) == 2"
    )
    run([sys.executable, "-c", program], None, FIRE_VLLM="1")


def test_a_worker_made_after_the_plugin_was_called_gets_the_sampler_when_it_is_initialised(
    workers: str, installed: list[Any]
) -> None:
    plugin.register()
    plugin.register()
    initialize(importlib.import_module(workers))
    assert installed == ["runner"]


def test_a_plugin_called_after_the_workers_module_was_imported_and_again_installs_once_a_worker(
    workers: str, installed: list[Any]
) -> None:
    module = importlib.import_module(workers)
    plugin.register()
    plugin.register()
    initialize(module)
    initialize(module)
    assert installed == ["runner", "runner"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            fused.UnfitError("the sampler is another one"),
            "vLLM's own sampler stays: the sampler is another one",
        ),
        (ValueError("unforeseen"), "vLLM's own sampler stays, because installing another failed"),
    ],
)
def test_whatever_goes_wrong_is_logged_and_the_worker_goes_on(
    workers: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    message: str,
) -> None:
    def fail(model_runner: Any) -> None:
        raise error

    monkeypatch.setattr(fused, "install", fail)
    plugin.register()
    with caplog.at_level(logging.WARNING):
        initialize(importlib.import_module(workers))
    (record,) = caplog.records
    assert message in record.getMessage()


def test_a_vllm_without_the_worker_that_is_known_is_left_alone_which_is_said(
    workers: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, workers, ModuleType(workers))
    with caplog.at_level(logging.WARNING):
        plugin.register()
    assert "has no WorkerWrapperBase.initialize_from_config" in caplog.text


def test_a_switch_that_is_neither_1_nor_0_is_said_and_left_off(
    workers: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, installed: list[Any]
) -> None:
    monkeypatch.setenv("FIRE_VLLM", "yes")
    with caplog.at_level(logging.WARNING):
        plugin.register()
    assert "FIRE_VLLM=yes, expected 1 or 0" in caplog.text
    initialize(importlib.import_module(workers))
    assert installed == []
