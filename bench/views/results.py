"""A results file, as the tables and pictures ask it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property

from harness.schema import AXES, Cell, Result, Run, Shape
from harness.settings import SETTINGS

# Where shapes are shown by as many cells, the one that most models sample from.
_PREFERRED = {
    "vocabulary": 151_936,
    "dtype": "bfloat16",
    "place": "out of cache",
    "outputs": "token",
    "rows": 1,
}
_SHAPE = tuple(axis for axis in AXES if axis not in ("setting", "kind"))


def group(cells: list[Cell], *axes: str) -> dict[tuple[object, ...], list[Cell]]:
    """The cells by their values of these axes, in the order in which they come."""
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell[axis] for axis in axes), []).append(cell)  # type: ignore[literal-required]
    return groups


def usual(cell: Cell) -> bool:
    """Whether the logits are of a kind on which its setting is shown by default."""
    setting = SETTINGS.get(cell["setting"])
    return cell["kind"] in (setting.kinds if setting else ("peaked",))


class Results:
    """A run, with names for what is looked up again and again."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.cells = run.get("cells", [])
        self.contenders = run["contenders"]

    def of_role(self, *roles: str) -> list[str]:
        """Contenders, in the order of the file."""
        return [key for key, one in self.contenders.items() if one["role"] in roles]

    @cached_property
    def leading(self) -> str:
        """The first of ours: the best instruction set of a CPU, or the only one."""
        return self.of_role("ours")[0]

    def title(self, key: str) -> str:
        return self.contenders[key]["title"]

    def limit(self, key: str) -> str | None:
        return self.contenders[key].get("limit")

    def setting_place(self, cell: Cell) -> tuple[int, str]:
        """To sort by: the settings in their order, each one's usual logits first."""
        names = list(self.run.get("settings", {}))
        name = cell["setting"]
        return (
            names.index(name) if name in names else len(names),
            "" if cell["kind"] == "peaked" else cell["kind"],
        )

    def shown(self, wanted: Callable[[Cell], bool] = lambda cell: True) -> list[Cell]:
        """The cells of the one shape that shows most settings, with their usual logits."""
        cells = [cell for cell in self.cells if usual(cell) and wanted(cell)]
        if not cells:
            return []
        by_shape = group(cells, *_SHAPE)
        likes = {
            shape: sum(
                dict(zip(_SHAPE, shape, strict=True))[axis] == like for axis, like in _PREFERRED.items()
            )
            for shape in by_shape
        }
        # One row cannot be mixed, so that setting does not count.
        sizes = {
            shape: sum(cell["setting"] != "mixed" for cell in found) for shape, found in by_shape.items()
        }
        best = max(by_shape, key=lambda shape: (sizes[shape], likes[shape]))
        return sorted(by_shape[best], key=self.setting_place)

    def fastest_peer(self, cell: Cell) -> tuple[str, float] | None:
        """The peer with the smallest median, and that."""
        timed = {key: time for key in self.of_role("peer") if (time := median(cell, key))}
        return min(timed.items(), key=lambda item: item[1]) if timed else None

    def ahead(self, cell: Cell) -> float | None:
        """How many times as long as the leading one of ours the fastest peer takes."""
        ours, peer = median(cell, self.leading), self.fastest_peer(cell)
        return peer[1] / ours if peer and ours else None

    def every_result(self) -> Iterator[Result]:
        for section in (self.cells, self.run.get("calls", []), self.run.get("threads", [])):
            for cell in section:
                yield from cell["results"].values()

    def wrong(self) -> int:
        generated = [one for entry in self.run.get("end_to_end", []) for one in entry["results"].values()]
        return sum(result["wrong"] for result in [*self.every_result(), *generated])

    def checked(self) -> int:
        return sum(result["checked"] for result in self.every_result())


def median(cell: Cell, key: str | None) -> float | None:
    """Microseconds a call of a contender, where it is in the cell and was timed."""
    return cell["results"][key]["median"] if key is not None and key in cell["results"] else None


def shape_name(cell: Shape) -> str:
    """`V = 151,936, bfloat16, 1 row, out of cache`; what is as usual is not said."""
    rows = "1 row" if cell["rows"] == 1 else f"{cell['rows']} rows"
    parts = [f"V = {cell['vocabulary']:,}", cell["dtype"], rows, cell["place"]]
    parts += [cell["outputs"]] * (cell["outputs"] != "token") + [cell["launch"]] * (cell["launch"] != "eager")
    return ", ".join(parts)


def setting_name(cell: Shape) -> str:
    return cell["setting"] if cell["kind"] == "peaked" else f"{cell['setting']}, {cell['kind']}"


def most_common(values: Iterator[object], count: int) -> list[object]:
    """The `count` values that come most often, the most common first."""
    return [value for value, _ in Counter(values).most_common(count)]
