"""How a request asks an engine for FIRE: flat `fire_` keys, and a default for the requests that have none.

Engines carry such keys unread: vLLM in `extra_args`, SGLang in `custom_params`. Their values are flat, as
HTTP brings them: numbers, and lists of them. Nothing here needs an engine, or torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fire_sampling._messages import is_integer, shown
from fire_sampling.config import GROUP_FIELDS, HOT_FIELDS, RULES, SPREADING, SamplingConfig

_KEY, _FIELD = "fire_", "hot_"
AFTER = "fire_after"

# Key → the field of `SamplingConfig` that checks its value and gives it its meaning.
FIELDS = {_KEY + name.removeprefix(_FIELD): name for name in (*HOT_FIELDS, *GROUP_FIELDS)}


@dataclass(frozen=True)
class FireSettings:
    """The hot phase as a request, or the engine's default, describes it.

    Attributes:
        phase: the hot fields, and those of the group, that were given, all others unset.
        after: ids of tokens after each of which the hot window opens anew.
    """

    phase: SamplingConfig
    after: tuple[int, ...] = ()


class HotKeys:
    """The keys that the requests of one engine may carry.

    Args:
        variable: the environment variable that holds the default, a JSON object of these keys.
        after: whether the engine knows `fire_after`.

    Attributes:
        names: the keys.
    """

    def __init__(self, variable: str, after: bool) -> None:
        self.variable = variable
        self.names = (*FIELDS, AFTER) if after else tuple(FIELDS)
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
        except ValueError as error:
            raise ValueError(f"{self.variable}: {error}") from None
        if settings.phase.design not in (None, "none"):
            expected = "none: every member of a group says for itself which one it is"
            raise ValueError(
                f"{self.variable}: fire_design: got {settings.phase.design!r}, expected {expected}"
            )
        return settings

    def _settings(self, keys: Mapping[str, Any]) -> FireSettings:
        fields: dict[str, Any] = {}
        after: tuple[int, ...] = ()
        for key, value in keys.items():
            if key not in self.names:
                expected = self._meant.get(key, f"one of {', '.join(self.names)}")
                raise ValueError(f"{shown(key)}: no such key, expected {expected}")
            if key == AFTER:
                after = _token_ids(value)
                continue
            fields[FIELDS[key]] = RULES[FIELDS[key]].check(key, value)
        try:
            phase = SamplingConfig(**fields)
        except ValueError as error:  # what the fields of a group refuse of each other
            raise ValueError(_KEY + str(error)) from None
        if after and phase.hot_steps == 0:
            raise ValueError(f"{AFTER}: got token ids, expected none with fire_steps 0: no window opens")
        return FireSettings(phase, after)


def refusal_of_greedy(phase: SamplingConfig) -> str | None:
    """Why a greedy request cannot have this hot phase: nothing of it counts without `fire_steps`; or None."""
    if phase.hot_steps is not None:
        return None
    return (
        "fire_steps: got none with temperature 0, expected 1 for a hot first token, 0 for none, or another "
        "temperature: a greedy request is hot only in the steps that it names"
    )


def refusal_of_group(phase: SamplingConfig, seed: int | None, completions: int) -> str | None:
    """Why a request cannot be a member of the group that it names; or None.

    Args:
        phase: its hot and group fields.
        seed: its own, which its group shares.
        completions: how many the request asks for.
    """
    if phase.design in (None, "none"):
        return None
    named = f"fire_design: got {phase.design!r}"
    if phase.design in SPREADING and not phase.hot_window:
        return f"{named} without a hot step, expected one or more: designs other than iid act at no other"
    if completions != 1:
        return f"{named} with n = {completions}, expected n requests, each of which names its fire_member"
    if phase.group_size is None or phase.member is None:
        return f"{named} alone, expected fire_group_size, and fire_member from 0 below it, too"
    if seed is None:
        return f"{named} without a seed, expected the one that the members of the group share"
    return None


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
