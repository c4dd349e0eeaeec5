"""Imported before `proof`: the harness of tests/gpu, which it puts on the path."""

from __future__ import annotations

import sys

from packaging_support import ROOT

PROOF = ROOT / "tests" / "gpu"
sys.path.insert(0, str(PROOF))
