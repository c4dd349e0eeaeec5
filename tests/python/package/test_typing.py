"""What a type checker sees of the parts that are imported on first use. The test is as much mypy's, which
objects to an ignored error that does not come, as pytest's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fire_sampling as fire

install: Callable[..., Any] = fire.integrations.transformers.install


def test_parts_that_are_imported_on_first_use_are_no_modules_of_unknown_contents_to_mypy() -> None:
    with pytest.raises(AttributeError):
        _ = fire.rl.no_such_function  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = fire.numpy.no_such_function  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = fire.integrations.transformers.no_such_function  # type: ignore[attr-defined]
