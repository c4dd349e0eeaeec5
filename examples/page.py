"""The parts of a documentation page that a command writes."""

import argparse
from collections.abc import Callable
from pathlib import Path


def fill(page: Path, writer: str, text: str) -> None:
    """Puts `text` between the two markers of `page` that name its writer.

    Raises:
        ValueError: the page has no such markers.
    """
    begin, end = (f"<!-- {edge}: written by {writer} -->" for edge in ("begin", "end"))
    before, found_begin, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{page} has no {begin!r} with {end!r} after it")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def print_or_fill(
    about: str | None,
    page: Path,
    writer: str,
    text: Callable[[], str],
    draw: Callable[[], None] | None = None,
) -> None:
    """A command: prints `text`, or with --write-docs puts it into the page and draws the page's picture."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0] if about else None)
    written = "write the text" if draw is None else "draw the picture, and write the text"
    parser.add_argument("--write-docs", action="store_true", help=f"{written} into {page.name}")
    if not parser.parse_args().write_docs:
        print(text())
        return
    fill(page, writer, text())
    if draw is not None:
        draw()
