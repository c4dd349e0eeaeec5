"""What every picture as SVG is drawn with."""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib


@contextmanager
def same_bytes() -> Iterator[None]:
    """The same drawing gives the same bytes, whatever the process has set before: matplotlib's own defaults,
    letters as paths, ids without chance.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.hashsalt": "fire-sampling", "svg.fonttype": "path"})
        yield
