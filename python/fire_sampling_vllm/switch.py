"""The environment variables that switch FIRE on in vLLM, and the log that says so."""

from __future__ import annotations

import logging
import os

SWITCH = "FIRE_VLLM"
DEFAULT = "FIRE_VLLM_DEFAULT"

# A child of vLLM's own logger, which prints in all of its processes.
logger = logging.getLogger("vllm.fire_sampling")


def asked() -> bool:
    """Whether FIRE_VLLM=1."""
    return os.environ.get(SWITCH, "") == "1"
