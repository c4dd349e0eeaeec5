"""`FireLogitsProcessor`: FIRE as a logits processor of vLLM, on both of its model runners.

vLLM goes on to apply temperature and filters and to draw: `heat_logits_` prepares the hot rows such that what
comes out is the hot distribution. docs/vllm.md says what it is exact for.
"""

from __future__ import annotations

import importlib
import types
from typing import Any

import torch

from fire_sampling.integrations.vllm.admission import calling_engine, check
from fire_sampling.integrations.vllm.heat.v1 import HeatV1Rows
from fire_sampling.integrations.vllm.heat.v2 import HeatV2Slots

# Each runner asks for a subclass of its own interface. V2's is in vLLM from 0.31.
_INTERFACES = ("vllm.v1.sample.logits_processor", "vllm.v1.worker.gpu.sample.logits_processor")


class _FireLogitsProcessor:
    """What requests ask for by `fire_` keys in `extra_args`, or `FIRE_VLLM_DEFAULT` for all of them.

    Give its name to the engine, `fire_sampling.integrations.vllm:FireLogitsProcessor`, as `logits_processors`
    of `vllm.LLM` or `--logits-processors` of the server, and behind any other processor there.
    """

    # By this the fused sampler knows it, whichever way it was built.
    is_fire = True

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """vLLM's question at admission.

        Raises:
            ValueError: A `fire_` key is wrong, or the engine cannot draw the request exactly; over HTTP
                status 400 with the message.
        """
        check(sampling_params, calling_engine())

    def __init__(self, vllm_config: Any, place: Any, is_pin_memory: bool | None = None) -> None:
        """`place` is a device and comes with `is_pin_memory` on V1; on V2 it is `LogitsProcRequestState`."""
        self._rows = None if is_pin_memory is None else HeatV1Rows(vllm_config)
        self.slots = HeatV2Slots(vllm_config, place) if is_pin_memory is None else None

    def apply(self, logits: torch.Tensor, context: Any = None) -> torch.Tensor:
        """Heats the hot rows of `logits`, float32 [rows, V], in place, and returns it."""
        if self._rows is not None:
            self._rows.heat(logits)
        elif self.slots is not None:
            self.slots.heat(logits, context)
        return logits

    # ---- V1 ----

    def is_argmax_invariant(self) -> bool:
        """Never: a request may be hot by its own keys though it is greedy."""
        return False

    def update_state(self, batch_update: Any) -> None:
        assert self._rows is not None
        self._rows.update(batch_update)

    # ---- V2 ----

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        assert self.slots is not None
        return self.slots.add(req_idx, sampling_params)

    def apply_staged_writes(self) -> None:
        assert self.slots is not None
        self.slots.flush()


def build(name: str, module: str) -> type[Any]:
    """The processor as a subclass of the interfaces that this vLLM has.

    Raises:
        ImportError: vLLM is missing, or has neither interface.
    """
    interfaces = []
    for interface in _INTERFACES:
        try:
            interfaces.append(importlib.import_module(interface).LogitsProcessor)
        except ModuleNotFoundError as error:
            if error.name is None or not interface.startswith(error.name):
                raise
    if not interfaces:
        raise ImportError(
            f"{module}.{name}: vLLM is missing, or older than 0.10.2: none of {', '.join(_INTERFACES)}"
        )

    def fill(namespace: dict[str, Any]) -> None:
        namespace.update(__doc__=_FireLogitsProcessor.__doc__, __module__=module, __qualname__=name)

    return types.new_class(name, (_FireLogitsProcessor, *interfaces), exec_body=fill)
