"""Code of verl and OpenRLHF, taken out of the installed packages.

Instead of imported, because they import Ray and DeepSpeed along.
"""

from __future__ import annotations

import ast
import importlib.metadata
from typing import Any

import torch


def file_of(distribution: str, path: str) -> str:
    """The text of a file of an installed distribution."""
    (file,) = (file for file in importlib.metadata.files(distribution) or () if str(file) == path)
    return file.read_text()


def extracted(distribution: str, path: str, names: set[str], **namespace: Any) -> dict[str, Any]:
    """The functions, classes and constants of these names, of a file of an installed distribution."""
    kept = [
        node
        for node in ast.parse(file_of(distribution, path)).body
        if getattr(node, "name", None) in names
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in names)
    ]
    scope = {"torch": torch, "Optional": Any, "Any": Any, "nn": torch.nn, "Tuple": tuple, "Union": Any}
    scope.update(namespace)
    # Their annotations are of Python's typing; unevaluated, they need none of it.
    source = "from __future__ import annotations\n" + "\n\n".join(map(ast.unparse, kept))
    exec(compile(source, path, "exec"), scope)
    assert names <= set(scope)
    return scope
