"""The table of stages: what runs, in which order, how long, and what it stands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from . import build, checks, environment, measure, table
from .context import Context


@dataclass(frozen=True)
class Definition:
    """One row. `limit_s` ends it; `expected_s` is kept back for it from the stages before."""

    name: str
    function: Callable[[Context], None]
    limit_s: float
    expected_s: float
    needs: Sequence[str] = ()
    may_lack_tool: bool = False  # it needs a tool that a machine may lack: said, not failed
    optional: bool = False


DEFINITIONS: tuple[Definition, ...] = (
    Definition("environment", environment.record, 60, 10),
    Definition("smoke-shipped", checks.smoke_shipped, 60, 15),
    Definition("operators-shipped", checks.operators_shipped, 60, 20),
    Definition("build", build.native, 240, 90),
    Definition("smoke", checks.smoke_native, 60, 15, needs=("build",)),
    Definition("googletest", checks.googletest, 120, 40, needs=("build",)),
    Definition("pytest", checks.pytest, 120, 60, needs=("build",)),
    Definition("equality", checks.equality, 90, 40),
    *(
        Definition(tool, partial(checks.sanitizer, tool_name=tool), 45, 20, may_lack_tool=True)
        for tool in ("memcheck", "racecheck", "initcheck", "synccheck")
    ),
    *(Definition(f"measure-{name}", partial(measure.unknown, name=name), 20, 4) for name in measure.UNKNOWNS),
    Definition("kernels", measure.kernels, 90, 60),
    Definition("profile", measure.profile, 60, 0, optional=True),
    Definition("table", table.write, 10, 3),
)


def names() -> list[str]:
    return [stage.name for stage in DEFINITIONS]


def definition(name: str) -> Definition:
    return next(stage for stage in DEFINITIONS if stage.name == name)
