"""How to sample one sequence: `SamplingConfig`, its checks, its defaults, and its packed record."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import struct
from typing import Any, Literal, TypeVar

import numpy as np

from fire_sampling import _native
from fire_sampling._checks import is_integer, shown

Order = Literal["hf", "vllm", "joint"]
Ties = Literal["exact", "keep_top_k", "keep"]

ORDERS: tuple[Order, ...] = ("hf", "vllm", "joint")
TIES: tuple[Ties, ...] = ("exact", "keep_top_k", "keep")

_WORD_BYTES = 4
RECORD_WORDS = _native.RECORD.itemsize // _WORD_BYTES


def word_of(field: str) -> int:
    """The word of a packed record at which `field` stands."""
    offset: int = _native.RECORD.fields[field][1]  # type: ignore[index]
    return offset // _WORD_BYTES


SEED_WORDS = slice(word_of("seed_low"), word_of("seed_low") + 2)

_GREEDY_BELOW = 2.0**-64
_INT32_MAX = 2**31 - 1

_REAL_FIELDS = (
    *("temperature", "top_p", "min_p", "hot_temperature", "hot_top_p", "hot_min_p"),
    "ref_temperature",
)
_DEFAULT_HOT_TEMPERATURE = 30.0
_DEFAULT_HOT_TOP_K = 16

_Value = TypeVar("_Value")


@dataclasses.dataclass(frozen=True, repr=False)
class SamplingConfig:
    """How to sample one sequence, or many alike. docs/semantics.md defines every field.

    A field left `None` takes its default when the config is packed, after every `replace`: hot fields follow
    the regular ones they default to, and an explicit value can be told from a default.

    Attributes:
        temperature: Softmax temperature in [0, inf]; 0 is greedy. Default 1.
        top_k: Keep the k most probable tokens; 0 or -1 keeps all. Default 0.
        top_p: Keep the nucleus of this mass, in [0, 1]; 1 keeps all. Default 1.
        min_p: Keep tokens at least this probable relative to the most probable, in [0, 1]. Default 0.
        hot_temperature, hot_top_k, hot_top_p, hot_min_p: The same for the hot steps. Defaults 30, `top_k` if
            that is on and else 16, `top_p`, `min_p`.
        hot_begin: The first hot step, from 0 to 2^31 - 1. Default 0.
        hot_steps: The number of hot steps, from 0 to 2^31 - 1. Default 1; 0 when `temperature` is greedy.
        order: The order of the filters: "hf", "vllm" or "joint". Default "hf".
        ties: What happens to logits equal to the last one kept: "exact", "keep_top_k" or "keep". Default
            "exact".
        seed: 64 bits, from -2^63 to 2^64 - 1, taken modulo 2^64. Default: drawn when packed.
        stream: 32 bits that separate draws of equal seed and step. Default 0.
        ref_temperature: The temperature of `ref_logprob`, in (0, inf]. Default: `temperature`, or 1 if
            greedy.

    Raises:
        ValueError: A value outside its range or of a wrong type; the message begins with the field's name.
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    hot_temperature: float | None = None
    hot_top_k: int | None = None
    hot_top_p: float | None = None
    hot_min_p: float | None = None
    hot_begin: int | None = None
    hot_steps: int | None = None
    order: Order | None = None
    ties: Ties | None = None
    seed: int | None = None
    stream: int | None = None
    ref_temperature: float | None = None

    def __post_init__(self) -> None:
        for name in ("temperature", "hot_temperature"):
            self._check_temperature(name, zero_is_greedy=True)
        self._check_temperature("ref_temperature", zero_is_greedy=False)
        for name in ("top_p", "min_p", "hot_top_p", "hot_min_p"):
            self._check_fraction(name)
        for name in ("top_k", "hot_top_k"):
            self._check_integer(name, -1, None)
        for name in ("hot_begin", "hot_steps"):
            self._check_integer(name, 0, _INT32_MAX)
        self._check_integer("seed", -(2**63), 2**64 - 1)
        self._check_integer("stream", 0, 2**32 - 1)
        self._check_choice("order", ORDERS)
        self._check_choice("ties", TIES)

    def __repr__(self) -> str:
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        given = ", ".join(f"{name}={value!r}" for name, value in fields.items() if value is not None)
        return f"SamplingConfig({given}{'; ' if given else ''}{self._hot_phase()})"

    def _hot_phase(self) -> str:
        """The hot phase in words, its defaults filled in: what a reader else overlooks."""
        full = self.resolve()
        begin, count = full.hot_begin or 0, full.hot_steps or 0
        if count == 0:
            return "no step is hot"
        steps = f"step {begin} is" if count == 1 else f"steps {begin} to {begin + count - 1} are"
        names = ("temperature", "top_k", "top_p", "min_p")
        values = {name: getattr(full, f"hot_{name}") for name in names}
        off = {"top_k": (0, -1), "top_p": (1.0,), "min_p": (0.0,)}
        told = [
            f"{name} {value:{'g' if isinstance(value, float) else 'd'}}"
            for name, value in values.items()
            if value not in off.get(name, ())
        ]
        return f"{steps} hot: {', '.join(told)}"

    def replace(self, **changes: Any) -> SamplingConfig:
        """A copy with the given fields changed; `None` returns a field to its default."""
        return dataclasses.replace(self, **changes)

    def resolve(self, seed: int | None = None) -> SamplingConfig:
        """A copy with every default filled in.

        Only `ref_temperature` may stay `None`, where None has a meaning of its own, and `seed`, which stays
        as it is unless it is None and `seed` is given. Resolve last: a later `replace` of a regular field no
        longer moves the hot fields that had followed it.
        """
        temperature = _given(self.temperature, 1.0)
        top_k = _given(self.top_k, 0)
        top_p = _given(self.top_p, 1.0)
        min_p = _given(self.min_p, 0.0)
        return SamplingConfig(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            hot_temperature=_given(self.hot_temperature, _DEFAULT_HOT_TEMPERATURE),
            hot_top_k=_given(self.hot_top_k, top_k if top_k > 0 else _DEFAULT_HOT_TOP_K),
            hot_top_p=_given(self.hot_top_p, top_p),
            hot_min_p=_given(self.hot_min_p, min_p),
            hot_begin=_given(self.hot_begin, 0),
            hot_steps=_given(self.hot_steps, 0 if _float32(temperature) < _GREEDY_BELOW else 1),
            order=_given(self.order, "hf"),
            ties=_given(self.ties, "exact"),
            seed=_given(self.seed, seed),
            stream=_given(self.stream, 0),
            ref_temperature=self.ref_temperature,
        )

    @property
    def hot_window(self) -> range:
        """The steps that are hot, hot_begin ≤ t < hot_begin + hot_steps; empty for none."""
        full = self.resolve()
        begin, count = full.hot_begin or 0, full.hot_steps or 0
        return range(begin, begin + count)

    @functools.cached_property
    def _record_without_seed(self) -> bytes:
        """The packed record, its seed 0: what does not change from one `pack` of this config to the next."""
        full = self.resolve()
        record = np.zeros((), _native.RECORD)
        for name in _REAL_FIELDS:
            record[name] = _float32(getattr(full, name))
        for name in ("top_k", "hot_top_k", "hot_begin", "hot_steps"):
            record[name] = _int32(getattr(full, name))
        record["flags"] = (
            _native.ORDER_FLAGS[_given(full.order, "hf")] | _native.TIES_FLAGS[_given(full.ties, "exact")]
        )
        if full.ref_temperature is not None:
            record["flags"] |= _native.REF_TEMPERATURE_GIVEN
        record["stream"] = full.stream
        return record.tobytes()

    def _check_temperature(self, name: str, zero_is_greedy: bool) -> None:
        value = self._check_real(name)
        if value is None:
            return
        if not value >= 0 or (value == 0 and not zero_is_greedy):
            raise ValueError(f"{name}: got {value}, expected {'[0, inf]' if zero_is_greedy else '(0, inf]'}")
        if value > 0 and _float32(value) == 0:
            raise ValueError(f"{name}: got {value}, which is 0 in float32; expected 0 or at least 1e-45")

    def _check_fraction(self, name: str) -> None:
        value = self._check_real(name)
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"{name}: got {value}, expected [0, 1]")

    def _check_real(self, name: str) -> float | None:
        value = getattr(self, name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError(f"{name}: got {shown(value)}, expected a number")
        try:
            real = float(value)
        except OverflowError:
            raise ValueError(f"{name}: got {shown(value)}, expected a number that a float can hold") from None
        object.__setattr__(self, name, real)
        return real

    def _check_integer(self, name: str, low: int, high: int | None) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if not is_integer(value):
            raise ValueError(f"{name}: got {shown(value)}, expected an integer")
        integer = int(value)
        if integer < low or (high is not None and integer > high):
            expected = f"at least {low}" if high is None else f"{low} to {high}"
            raise ValueError(f"{name}: got {shown(integer)}, expected {expected}")
        object.__setattr__(self, name, integer)

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        # A string first: the comparison of an array is an array.
        if value is not None and not (isinstance(value, str) and value in choices):
            raise ValueError(f"{name}: got {shown(value)}, expected one of {', '.join(map(repr, choices))}")


def _given(value: _Value | None, default: _Value) -> _Value:
    return default if value is None else value


def _float32(value: float | None) -> float:
    """The nearest float32, infinite on overflow; 0 for None."""
    try:
        rounded: float = struct.unpack("=f", struct.pack("=f", value or 0.0))[0]
    except OverflowError:
        return math.inf
    return rounded


def _int32(value: int | None) -> int:
    """A top-k above 2^31 - 1 keeps every token of every vocabulary, as does 2^31 - 1."""
    return min(value or 0, _INT32_MAX)
