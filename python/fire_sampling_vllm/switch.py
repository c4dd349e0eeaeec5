"""The names by which FIRE is switched on in vLLM, and the log that says so. Standard library alone."""

from __future__ import annotations

import logging
import os
from typing import Any

SWITCH = "FIRE_VLLM"
DEFAULT = "FIRE_VLLM_DEFAULT"
PROCESSOR = "fire_sampling.integrations.vllm:FireLogitsProcessor"

# Below vLLM's own logger, whose handlers and level it shares, in all of its processes.
logger = logging.getLogger("vllm.fire_sampling")


def asked() -> bool:
    """Whether FIRE_VLLM=1."""
    return os.environ.get(SWITCH, "") == "1"


def draws_alone(config: Any) -> bool:
    """Whether FIRE is the fused sampler alone in an engine of vLLM's `VllmConfig`, with FIRE_VLLM=1.

    Of an engine that returns sampling masks vLLM lets no logits processor be a part. So there the front end
    reads and checks the `fire_` keys of requests itself, and whatever is hot the workers' sampler draws hot.
    """
    return (
        asked()
        and bool(getattr(getattr(config, "model_config", None), "return_sampling_mask", False))
        and bool(getattr(config, "use_v2_model_runner", False))
        and getattr(config, "speculative_config", None) is None
        and getattr(config, "watermark_config", None) is None
    )
