"""Packages that only the evaluation needs, and what to say where one is missing."""

from __future__ import annotations

import importlib
from typing import Any

EXTRA = "fire-sampling[evaluate]"


class EvaluationError(Exception):
    """What keeps an evaluation from running; the message names the argument and says what was expected."""


def need(module: str, package: str, purpose: str) -> Any:
    """The imported `module`.

    Raises:
        EvaluationError: It cannot be imported; the message names the package and the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EvaluationError(
            f"{purpose} needs {package}, which cannot be imported ({error}). "
            f"Run: pip install '{EXTRA}' (or pip install {package})"
        ) from error
