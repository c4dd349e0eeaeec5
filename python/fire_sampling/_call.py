"""What both entries, torch's and NumPy's, make of `logits`, `step`, `config` and `slot`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from fire_sampling import _native
from fire_sampling._messages import came, integer
from fire_sampling.config import SPREADING, SamplingConfig
from fire_sampling.packing import require_configs

# The functions whose result depends on a seed.
_DRAWING = (
    "sample",
    "sample_with_logprobs",
    "sample_with_support",
    "sample_group",
    "sample_group_with_logprobs",
    "sample_coded",
    "first_code",
    "heat_logits_",
)
# Those of them that take the size of a group as an argument, whatever a config says.
_SIZED = ("sample_group", "sample_group_with_logprobs")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One of the two: where its functions are, which arrays it takes, and how it makes its own.

    The compiled part checks what the arrays hold; what is checked here is what only Python sees.

    Attributes:
        module: Where its functions are, for messages.
        array: The type of its arrays, and how messages call one.
        scalar: Makes the 0-d int64 array of a step that came as an integer, beside another array.
        pack: Makes the records of one config for `rows` rows, or of a sequence of them, beside another array,
            which may be None.
    """

    module: str
    array: tuple[type[Any], str]
    scalar: Callable[[int, Any], Any]
    pack: Callable[[Any, int | None, Any], Any]

    def arguments(
        self, function: str, logits: Any, step: Any, config: Any, slot: Any
    ) -> tuple[Any, Any, Any, Any]:
        """Logits, step, records and slot as the compiled part takes them.

        A function that draws nothing leaves the generator of missing seeds alone.

        Raises:
            TypeError: An argument that is of none of the types that `sample` documents.
            ValueError: `step` beyond 64 bits; `slot` with a single config.
        """
        self.require_array(function, "logits", logits)
        rows = logits.shape[0] if logits.ndim > 1 else 1
        step = self._step(function, step, logits)
        return logits, step, self._records(function, config, slot, rows, logits), slot

    def sequences(self, function: str, step: Any, config: Any, slot: Any) -> tuple[Any, Any, Any]:
        """Step, records and slot of a function without logits, as the compiled part takes them.

        One config is packed for as many rows as there are steps.

        Raises:
            TypeError: An argument that is of none of the types that `first_code` documents.
            ValueError: `step` beyond 64 bits; a single config with `slot`, or with one step for all rows.
        """
        kind, _ = self.array
        steps = step if isinstance(step, kind) else None
        if isinstance(config, SamplingConfig) and slot is None and (steps is None or steps.ndim == 0):
            raise ValueError(
                f"{self.module}.{function}: config is a single SamplingConfig beside one step for all, "
                f"expected the records that {self.module}.pack makes for as many rows as there are, or a "
                "step for each row"
            )
        records = self._records(function, config, slot, None if steps is None else len(steps), steps)
        return self._step(function, step, records), records, slot

    def group_size(self, function: str, size: Any) -> int:
        """The size of a group as an int.

        Raises:
            TypeError: It is no integer.
            ValueError: It is out of range.
        """
        expected = f"an integer from 1 to {_native.MAX_GROUP_SIZE}"
        return integer(f"{self.module}.{function}", "size", size, 1, _native.MAX_GROUP_SIZE, expected)

    def support_width(self, function: str, width: Any) -> int:
        """The places of a support as an int.

        Raises:
            TypeError: It is no integer.
            ValueError: It is out of range.
        """
        expected = f"an integer from 1 to {_native.MAX_VOCABULARY}"
        return integer(f"{self.module}.{function}", "width", width, 1, _native.MAX_VOCABULARY, expected)

    def require_array(self, function: str, argument: str, value: Any) -> None:
        """Raises a TypeError unless `value` is an array of this entry."""
        kind, kind_name = self.array
        if not isinstance(value, kind):
            raise TypeError(f"{self.module}.{function}: {argument} {came(value)}, expected {kind_name}")

    def _step(self, function: str, step: Any, beside: Any) -> Any:
        kind, kind_name = self.array
        if isinstance(step, kind):
            return step
        expected = f"{kind_name} of integers, or an integer of 64 bits"
        name = f"{self.module}.{function}"
        return self.scalar(integer(name, "step", step, -(2**63), 2**63 - 1, expected), beside)

    def _records(self, function: str, config: Any, slot: Any, rows: int | None, beside: Any) -> Any:
        if slot is not None:
            self.require_array(function, "slot", slot)
        if not draws(function):
            config = _with_any_seed(config)
        name = f"{self.module}.{function}"
        kind, kind_name = self.array
        if isinstance(config, kind):
            return config
        if isinstance(config, SamplingConfig):
            if slot is not None:
                raise ValueError(
                    f"{name}: slot comes with a single SamplingConfig, expected a sequence of them or the "
                    f"records that {self.module}.pack makes to choose from"
                )
            self._require_group(function, [config])
            return self.pack(config, rows, beside)
        if hasattr(config, "dtype"):
            raise TypeError(
                f"{name}: config {came(config)}, records of the other entry; use {self.module}.pack, which "
                f"makes {kind_name}"
            )
        expected = f"a SamplingConfig, a sequence of them, or records made by {self.module}.pack"
        require_configs(name, config, expected)
        self._require_group(function, config)
        return self.pack(config, None, beside)

    def _require_group(self, function: str, configs: Sequence[SamplingConfig]) -> None:
        """Refuses a design of nobody but the row itself, where `function` draws one token a row."""
        if not draws(function) or function in _SIZED:
            return
        name = f"{self.module}.{function}"
        for config in configs:
            if config.design in SPREADING and config.group_size is None:
                raise ValueError(
                    f"{name}: config has design {config.design!r} and no group_size, expected the records "
                    f"that {self.module}.pack_group makes, or group_size and member: a row alone has nothing "
                    "to spread"
                )


def draws(function: str) -> bool:
    """Whether a function's result depends on a seed. Its folder's name may stand before its own."""
    return function.rpartition(".")[2] in _DRAWING


def _with_any_seed(config: Any) -> Any:
    """`config` with a seed wherever one is missing; what is neither config nor sequence stays as it is."""
    if isinstance(config, SamplingConfig):
        return config if config.seed is not None else config.replace(seed=0)
    if isinstance(config, Sequence) and not isinstance(config, str):
        return [_with_any_seed(item) for item in config]
    return config
