"""The parts of a documentation page that a command writes."""

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
