#!/usr/bin/env python3
"""Tables and pictures of the results files of any benchmark here, CPU or GPU.

python bench/report.py                        the committed files, as text
python bench/report.py RESULTS.json ...       these
python bench/report.py --markdown             the same tables as Markdown
python bench/report.py --pictures FOLDER      their pictures too, as SVG
python bench/report.py --write-docs           docs/benchmarks.md and its pictures, and the README's claims
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness.schema import check
from views import generate_plot, heat_map, roofline, rows_plot, settings_plot, speed_plot
from views.results import Results
from views.tables import Tables
from views.text import write_between_markers

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / "bench" / "results"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
README, README_FILE = ROOT / "README.md", "cpu.json"
IMAGES = ROOT / "docs" / "images"
# Each picture's name, and what a reader who cannot see it is told.
PICTURES = {
    "speed": "Time of one sampled row, fire-sampling beside each peer and beside one read of the row",
    "settings": "Time of a call in each setting: fire-sampling, its peers and the limit, on a log scale",
    "rows": "Time of a call against the rows of its batch, with the limit as a dashed line",
    "heat_map": "How many times as long as fire-sampling the fastest peer takes, over settings and shapes",
    "roofline": "Instructions a nanosecond against instructions a byte, under the machine's roofs",
    "generate": "Tokens a second of generate() with and without fire-sampling, and the share spent sampling",
}


def read(path: Path) -> Results:
    """ValueError: not a results file; the message names file and field."""
    try:
        return Results(check(json.loads(path.read_text())))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def draw_pictures(results: Results, name: str, folder: Path) -> dict[str, Path]:
    """Those that the file has data for, as `NAME_picture.svg`."""
    draws = (
        *(speed_plot.draw, settings_plot.draw, rows_plot.draw, heat_map.draw),
        *(roofline.draw, generate_plot.draw),
    )
    drawn = {}
    for picture, draw in zip(PICTURES, draws, strict=True):
        path = folder / f"{name}_{picture}.svg"
        if draw(results, path):
            drawn[picture] = path
        else:
            path.unlink(missing_ok=True)  # of an earlier file that had data for it
    return drawn


def write_documents(results: Results, path: Path) -> None:
    """The part of docs/benchmarks.md that shows this file, and its pictures."""
    pictures = draw_pictures(results, f"benchmark_{path.stem}", IMAGES)
    parts = [f"![{PICTURES[name]}](images/{picture.name})" for name, picture in pictures.items()]
    parts.append(Tables(results, markdown=True).summary())
    parts.append(
        f"Every number, and what each contender does: `python bench/report.py bench/results/{path.name}`."
    )
    write_between_markers(DOCUMENT, f"bench/results/{path.name}", "\n\n".join(parts))
    if path.name == README_FILE:
        write_between_markers(README, f"bench/results/{path.name}", claims(results, pictures["speed"]))


def claims(results: Results, picture: Path) -> str:
    """The README's picture, and what it says of speed and of exactness."""
    ours = [cell["results"].get(key) for cell in results.cells for key in results.of_role("ours")]
    checked, wrong = (sum(one[count] for one in ours if one) for count in ("checked", "wrong"))
    image = f"![{PICTURES['speed']}](docs/images/{picture.name})"
    return (
        f"{image}\n\n- **Fast**, with nothing sorted: {speed_plot.sentence(results)}\n"
        "- **Exact**: a token is a function of its logits, settings, seed and step "
        f"([the contract](docs/semantics.md)).\n  Of {checked:,} tokens drawn while the benchmark ran, "
        f"{wrong:,} differed from the plainest instruction set's."
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="default: bench/results/*.json")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="where to draw the pictures")
    parser.add_argument(
        "--write-docs", action="store_true", help="only files of bench/results, measured whole"
    )
    options = parser.parse_args(arguments)
    wrong = 0
    for path in options.files or sorted(FILES.glob("*.json")):
        results = read(path)
        tables = Tables(results, options.markdown)
        print(f"{path}\n\n{tables.summary()}\n{tables.details()}")
        if options.pictures:
            for picture in draw_pictures(results, path.stem, options.pictures).values():
                print(picture)
        if options.write_docs:
            write_documents(results, path)
        wrong += results.wrong()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
