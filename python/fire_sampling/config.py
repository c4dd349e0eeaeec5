"""How to sample one sequence: `SamplingConfig`, its defaults, and its packed record."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from fire_sampling import _fields, _native

Order = Literal["hf", "vllm", "joint"]
Ties = Literal["exact", "keep_top_k", "keep"]
Design = Literal["none", "iid", "stratified", "lattice", "enumerated"]

ORDERS: tuple[Order, ...] = get_args(Order)
TIES: tuple[Ties, ...] = get_args(Ties)
DESIGNS: tuple[Design, ...] = get_args(Design)
# Of these the members of a group differ from independent draws, at hot steps.
SPREADING: tuple[Design, ...] = ("stratified", "lattice", "enumerated")

_WORD_BYTES = 4
RECORD_WORDS = _native.RECORD.itemsize // _WORD_BYTES


def word_of(field: str) -> int:
    """The word of a packed record at which `field` stands."""
    offset: int = _native.RECORD.fields[field][1]  # type: ignore[index]
    return offset // _WORD_BYTES


SEED_WORDS = slice(word_of("seed_low"), word_of("seed_low") + 2)

_DEFAULT_HOT_TOP_K = 16


def _hot_top_k(above: Mapping[str, Any]) -> int:
    top_k: int = above["top_k"]
    return top_k if top_k > 0 else _DEFAULT_HOT_TOP_K


def _hot_steps(above: Mapping[str, Any]) -> int:
    return 0 if _native.is_greedy(above["temperature"]) else 1


@dataclass(frozen=True, repr=False)
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
        design: How the hot steps of a prompt's completions are spread: "none", "iid", "stratified",
            "lattice" or "enumerated". Default "none". docs/groups.md says how to choose; `pack_group` makes
            the records of a whole group.
        group_size: The number of completions, from 1 to 65,536. Default 1.
        member: Which of them this one is, from 0 to `group_size` - 1. Default 0.

    Raises:
        ValueError: A value outside its range or of a wrong type, or a `group_size` above 1 without a design;
            the message begins with the field's name.
    """

    temperature: float | None = _fields.temperature(default=1.0)
    top_k: int | None = _fields.integer(-1, None, default=0, off=(0, -1))
    top_p: float | None = _fields.fraction(default=1.0)
    min_p: float | None = _fields.fraction(default=0.0)
    hot_temperature: float | None = _fields.temperature(default=30.0)
    hot_top_k: int | None = _fields.integer(-1, None, default=_hot_top_k)
    hot_top_p: float | None = _fields.fraction(follows="top_p")
    hot_min_p: float | None = _fields.fraction(follows="min_p")
    hot_begin: int | None = _fields.integer(0, _fields.INT32_MAX, default=0)
    hot_steps: int | None = _fields.integer(0, _fields.INT32_MAX, default=_hot_steps)
    order: Order | None = _fields.choice(_native.ORDER_FLAGS, default="hf")
    ties: Ties | None = _fields.choice(_native.TIES_FLAGS, default="exact")
    seed: int | None = _fields.integer(-(2**63), 2**64 - 1)
    stream: int | None = _fields.integer(0, 2**32 - 1, default=0)
    ref_temperature: float | None = _fields.temperature(may_be_0=False, given=_native.REF_TEMPERATURE_GIVEN)
    design: Design | None = _fields.choice(_native.DESIGN_FLAGS, default="none")
    group_size: int | None = _fields.part(1, _native.MAX_GROUP_SIZE, 1, word="group", shift=0)
    member: int | None = _fields.part(
        0, _native.MAX_GROUP_SIZE - 1, 0, word="group", shift=_native.MEMBER_SHIFT
    )

    def __post_init__(self) -> None:
        for name, rule in RULES.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, rule.check(name, value))
        size, member = self.group_size or 1, self.member or 0
        if size > 1 and not self.has_design:
            raise ValueError(f"group_size: got {size} with design {self.design!r}, expected 1, or a design")
        if member >= size:
            raise ValueError(f"member: got {member}, expected less than group_size, which is {size}")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._values().items() if value is not None)
        return f"SamplingConfig({given}{'; ' if given else ''}{self._hot_phase()})"

    def replace(self, **changes: Any) -> SamplingConfig:
        """A copy with the given fields changed; `None` returns a field to its default."""
        return SamplingConfig(**{**self._values(), **changes})

    def resolve(self, seed: int | None = None) -> ResolvedConfig:
        """A copy with every default filled in.

        Only `ref_temperature` may stay `None`, where None has a meaning of its own, and `seed`, which stays
        as it is unless it is None and `seed` is given. Resolve last: a later `replace` of a regular field no
        longer moves the hot fields that had followed it.
        """
        full: dict[str, Any] = {}
        for name, rule in RULES.items():
            value = getattr(self, name)
            full[name] = rule.default(full) if value is None else value
        if full["seed"] is None:
            full["seed"] = seed
        return ResolvedConfig(**full)

    @property
    def hot_window(self) -> range:
        """The steps that are hot, hot_begin ≤ t < hot_begin + hot_steps; empty for none."""
        full = self.resolve()
        return range(full.hot_begin, full.hot_begin + full.hot_steps)

    @property
    def most_kept(self) -> int | None:
        """The most tokens that any of its steps keeps; None where the vocabulary alone bounds them.

        Top-k bounds them unless equal logits are kept beyond it (`ties`).
        """
        full = self.resolve()
        bounds = (full.top_k, full.hot_top_k) if full.hot_steps else (full.top_k,)
        return max(bounds) if full.ties == "exact" and min(bounds) > 0 else None

    @property
    def has_design(self) -> bool:
        """Whether the config is of a member of a group, which may be its only one."""
        return self.design not in (None, "none")

    @functools.cached_property
    def _record_without_seed(self) -> bytes:
        """The packed record, its seed 0: what does not change from one `pack` of this config to the next."""
        full = self.resolve()
        record = np.zeros((), _native.RECORD)
        for name, rule in RULES.items():
            value = getattr(full, name)
            if value is not None and name != "seed":
                rule.write(record, name, value)
        return record.tobytes()

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in RULES}

    def _hot_phase(self) -> str:
        """The hot phase in words, its defaults filled in: what a reader else overlooks."""
        window, full = self.hot_window, self.resolve()
        if not window:
            return "no step is hot" + (", so the design does nothing" if full.design in SPREADING else "")
        first, last = window[0], window[-1]
        steps = f"step {first} is" if first == last else f"steps {first} to {last} are"
        values = {twin: getattr(full, name) for name in HOT_FIELDS if (twin := _regular(name)) in RULES}
        told = [
            f"{name} {value:{'g' if isinstance(value, float) else 'd'}}"
            for name, value in values.items()
            if value not in RULES[name].off
        ]
        return f"{steps} hot: {', '.join(told)}"


class ResolvedConfig(SamplingConfig):
    """What `SamplingConfig.resolve` returns: no field is None but `seed` and `ref_temperature`."""

    if TYPE_CHECKING:
        temperature: float
        top_k: int
        top_p: float
        min_p: float
        hot_temperature: float
        hot_top_k: int
        hot_top_p: float
        hot_min_p: float
        hot_begin: int
        hot_steps: int
        order: Order
        ties: Ties
        stream: int
        design: Design
        group_size: int
        member: int


def _regular(hot_field: str) -> str:
    """The regular field that a hot one stands for; of the window's fields no field at all."""
    return hot_field.removeprefix("hot_")


RULES = _fields.rules_of(SamplingConfig)
HOT_FIELDS = tuple(name for name in RULES if name.startswith("hot_"))
GROUP_FIELDS = ("design", "group_size", "member")
