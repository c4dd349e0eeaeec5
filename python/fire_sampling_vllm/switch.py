"""The names by which FIRE is switched on in vLLM, and the log that says so. Standard library alone."""

from __future__ import annotations

import logging
import os

SWITCH = "FIRE_VLLM"
DEFAULT = "FIRE_VLLM_DEFAULT"
PROCESSOR = "fire_sampling.integrations.vllm:FireLogitsProcessor"

# Below vLLM's own logger, whose handlers and level it shares, in all of its processes.
logger = logging.getLogger("vllm.fire_sampling")


def asked() -> bool:
    """Whether FIRE_VLLM=1."""
    return os.environ.get(SWITCH, "") == "1"
