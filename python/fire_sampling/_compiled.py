"""Imports the compiled part first of all, to say in words why it cannot be."""

from __future__ import annotations

import platform
from pathlib import Path

try:
    from fire_sampling import _native as _native
except ImportError as error:
    _folder = Path(__file__).parent
    _parts = sorted(path.name for path in _folder.glob("_native*.so"))
    if _parts:
        _reason = (
            f"{_folder} has the compiled part {', '.join(_parts)}, which Python {platform.python_version()} "
            f"cannot load ({error}); install fire_sampling again with this Python"
        )
    else:
        _reason = (
            f"{_folder} has no compiled part. Where that is the source tree, start Python in another folder "
            "to have the installed package, or install the tree with `pip install --no-build-isolation -e .`"
        )
    raise ImportError(f"fire_sampling: {_reason}") from error
