"""What docs/vllm.md says of the fused sampler's cost is what was measured."""

from __future__ import annotations

import json
import sys

from packaging_support import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import vllm_engine


def test_the_table_in_the_docs_is_that_of_the_committed_results() -> None:
    results = json.loads(vllm_engine.RESULTS.read_text())
    page = (ROOT / "docs" / "vllm.md").read_text()
    assert set(results["runners"]) == {"1", "2"}
    for runner in (1, 2):
        assert vllm_engine.summary(results, runner) in page
    # Every number of the table is a median that lies between the least and the most of its turns.
    cells = [cell for runner in results["runners"].values() for cell in runner["cells"]]
    for cell in cells:
        for kind in ("vllm", "fused"):
            for quantity in ("sampler_ms_a_step", "tokens_per_second"):
                assert cell[kind][quantity] == sorted(cell[kind][quantity])
    assert len(vllm_engine.report(results).splitlines()) == len(cells) + 2
