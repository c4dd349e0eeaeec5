"""The kernels' machine code, read once for all tests."""

from __future__ import annotations

from typing import Any

import pytest
from hot_loops import HotLoop
from resources import Cubins, measure, sm90_loops
from toolchain import built_kernels


@pytest.fixture(scope="session")
def cubins() -> Cubins:
    return built_kernels()


@pytest.fixture(scope="session")
def loops(cubins: Cubins) -> list[HotLoop]:
    return sm90_loops(cubins)


@pytest.fixture(scope="session")
def made(cubins: Cubins, loops: list[HotLoop]) -> dict[str, Any]:
    return measure(cubins, loops)
