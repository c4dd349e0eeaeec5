"""How a request asks an engine for FIRE: flat `fire_` keys, and a default for the requests that have none.

Engines carry such keys unread: vLLM in `extra_args`, SGLang in `custom_params`. Their values are flat, as
HTTP brings them: numbers, lists of them, and names. Nothing here needs an engine, or torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fire_sampling import _native
from fire_sampling._messages import is_integer, shown
from fire_sampling.config import GROUP_FIELDS, HOT_FIELDS, RULES, SPREADING, SamplingConfig

_KEY, _FIELD = "fire_", "hot_"
AFTER = "fire_after"
DESIGN, GROUP_SIZE, MEMBER = "fire_design", "fire_group_size", "fire_member"

# Key → the field of `SamplingConfig` that checks its value and gives it its meaning.
FIELDS = {_KEY + name.removeprefix(_FIELD): name for name in (*HOT_FIELDS, *GROUP_FIELDS)}


@dataclass(frozen=True)
class FireSettings:
    """The hot phase as a request, or the engine's default, describes it.

    Attributes:
        phase: the hot fields that were given, and those of the group; all others unset. A design without a
            group size is of the samples of one request.
        after: ids of tokens after each of which the hot window opens anew.
    """

    phase: SamplingConfig
    after: tuple[int, ...] = ()

    @property
    def design(self) -> str | None:
        """The design by which the request's group is drawn; None where it is of no group."""
        return None if self.phase.design == "none" else self.phase.design

    @property
    def is_member(self) -> bool:
        """Whether the request is itself a member of a group, which it names."""
        return self.phase.group_size is not None


class HotKeys:
    """The keys that the requests of one engine may carry.

    Args:
        variable: the environment variable that holds the default, a JSON object of these keys.
        after: whether the engine knows `fire_after`.
        samples: whether it tells apart the n samples of a request, so that they can be a group.

    Attributes:
        names: the keys.
    """

    def __init__(self, variable: str, after: bool, samples: bool) -> None:
        self.variable = variable
        self.names = (*FIELDS, AFTER) if after else tuple(FIELDS)
        self._samples = samples
        hot = [name for name in self.names if FIELDS.get(name) not in GROUP_FIELDS]
        self._meant = {_FIELD + name.removeprefix(_KEY): name for name in hot}

    def read(self, given: Mapping[str, Any] | None) -> FireSettings | None:
        """What the `fire_` keys among those of a request say; None where there are none.

        Raises:
            ValueError: An unknown `fire_` key, a field's name for a key, or a value out of range: names the
                key, what came, what was expected.
        """
        if not given:
            return None
        for name in given:
            if name in self._meant:
                raise ValueError(f"{shown(name)}: no such key, expected {self._meant[name]}")
        ours = {key: value for key, value in given.items() if isinstance(key, str) and key.startswith(_KEY)}
        return self._settings(ours) if ours else None

    def default(self, environment: Mapping[str, str] = os.environ) -> FireSettings | None:
        """What holds for requests without such keys; None where the variable is unset or empty.

        Raises:
            ValueError: The variable holds anything but a JSON object of the keys; begins with its name.
        """
        text = environment.get(self.variable, "").strip()
        if not text:
            return None
        try:
            keys = json.loads(text)
        except json.JSONDecodeError:
            keys = None
        if not isinstance(keys, dict) or not keys:
            expected = 'a JSON object of fire_ keys such as {"fire_temperature": 30, "fire_top_k": 16}'
            raise ValueError(f"{self.variable}: got {shown(text)}, expected {expected}")
        try:
            settings = self._settings(keys)
            self._check_group_of_default(settings)
        except ValueError as error:
            raise ValueError(f"{self.variable}: {error}") from None
        return settings

    def _check_group_of_default(self, settings: FireSettings) -> None:
        if settings.is_member:
            size = settings.phase.group_size
            raise ValueError(f"{GROUP_SIZE}: got {size}, expected none: a request names its own group")
        if settings.design is not None and not self._samples:
            raise ValueError(
                f"{DESIGN}: got {settings.design!r}, expected none: this engine does not tell apart the "
                "samples of a request, so each request names its group"
            )

    def _settings(self, keys: Mapping[str, Any]) -> FireSettings:
        given: dict[str, Any] = {}
        after: tuple[int, ...] = ()
        for key, value in keys.items():
            if key not in self.names:
                expected = self._meant.get(key, f"one of {', '.join(self.names)}")
                raise ValueError(f"{shown(key)}: no such key, expected {expected}")
            if key == AFTER:
                after = _token_ids(value)
                continue
            given[FIELDS[key]] = RULES[FIELDS[key]].check(key, value)
        if after and given.get("hot_steps") == 0:
            raise ValueError(f"{AFTER}: got token ids, expected none with fire_steps 0: no window opens")
        _check_group(given)
        return FireSettings(SamplingConfig(**given), after)


def _check_group(given: Mapping[str, Any]) -> None:
    """Raises a ValueError unless what was given of a group, by the names of fields, makes one."""
    design, size, member = given.get("design"), given.get("group_size"), given.get("member")
    if design in (None, "none"):
        if size is not None or member is not None:
            key, value = (GROUP_SIZE, size) if size is not None else (MEMBER, member)
            raise ValueError(
                f"{key}: got {value}, expected none without a {DESIGN}, by which a group is drawn"
            )
        return
    if size is None and member is not None:
        raise ValueError(f"{GROUP_SIZE}: got none with {MEMBER} {member}, expected the size of its group")
    if size is not None and member is None:
        raise ValueError(f"{MEMBER}: got none with {GROUP_SIZE} {size}, expected 0 to {size - 1}")
    if size is not None and member >= size:
        raise ValueError(f"{MEMBER}: got {member}, expected 0 to {size - 1} with {GROUP_SIZE} {size}")
    if design in SPREADING:
        _check_hot_step(design, given)


def _check_hot_step(design: str, given: Mapping[str, Any]) -> None:
    begin, steps = given.get("hot_begin", 0), given.get("hot_steps", 1)
    if begin > 0 or steps == 0:
        raise ValueError(
            f"fire_begin, fire_steps: got {begin}, {steps} with {DESIGN} {design!r}, expected a hot "
            "window from step 0 on: the members of a group have the same row at their first token alone"
        )
    temperature = given.get("hot_temperature")
    if temperature is not None and _native.is_greedy(temperature):
        raise ValueError(
            f"fire_temperature: got {temperature} with {DESIGN} {design!r}, expected above 0: a greedy token "
            "leaves a group nothing to share out"
        )


def refusal_of_greedy(phase: SamplingConfig) -> str | None:
    """Why a greedy request cannot have this hot phase: nothing of it counts without `fire_steps`; or None."""
    if phase.hot_steps is not None:
        return None
    return (
        "fire_steps: got none with temperature 0, expected 1 for a hot first token, 0 for none, or another "
        "temperature: a greedy request is hot only in the steps that it names"
    )


def require_seed_of_group(settings: FireSettings, key: str, seed: int | None) -> None:
    """Raises a ValueError where a request names its group, and has no seed by which others are of it too.

    Args:
        settings: the request's.
        key: how the engine calls the seed.
        seed: the request's.
    """
    size = settings.phase.group_size
    if seed is None and size not in (None, 1):
        raise ValueError(
            f"{key}: got none with {GROUP_SIZE} {size}, expected the group's, which all of its requests have"
        )


def token_ids(argument: str, value: Iterable[int]) -> tuple[int, ...]:
    """The ids in `value`, each once.

    Raises:
        TypeError, ValueError: It is no iterable of integers from 0; the message names `argument`.
    """
    if hasattr(value, "tolist"):  # a tensor's elements are no integers
        value = value.tolist()
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{argument}: got {shown(value)}, expected token ids, integers from 0")
    ids = list(value)
    for token in ids:
        if not is_integer(token):
            raise TypeError(f"{argument}: got {shown(token)} among them, expected integers from 0")
        if token < 0:
            raise ValueError(f"{argument}: got {token} among them, expected integers from 0")
    return tuple(sorted({int(token) for token in ids}))


def _token_ids(value: Any) -> tuple[int, ...]:
    try:
        return token_ids(AFTER, value)
    except TypeError as error:
        raise ValueError(str(error)) from None
