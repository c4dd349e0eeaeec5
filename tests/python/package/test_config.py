"""`SamplingConfig`: its checks and its defaults."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fire_sampling import SamplingConfig
from fire_sampling.config import ResolvedConfig

INF = math.inf
REAL_FIELDS = (
    "temperature",
    "hot_temperature",
    "ref_temperature",
    "top_p",
    "min_p",
    "hot_top_p",
    "hot_min_p",
)
INTEGER_FIELDS = ("top_k", "hot_top_k", "hot_begin", "hot_steps", "seed", "stream", "group_size", "member")

ACCEPTED: list[tuple[str, Any]] = [
    *(
        (name, value)
        for name in ("temperature", "hot_temperature")
        for value in (0, 0.0, 1e-45, 1, 1e39, INF)
    ),
    *(("ref_temperature", value) for value in (1e-45, 1, INF)),
    *(
        (name, value)
        for name in ("top_p", "min_p", "hot_top_p", "hot_min_p")
        for value in (0, 1e-300, 0.5, 1)
    ),
    *((name, value) for name in ("top_k", "hot_top_k") for value in (-1, 0, 1, 2**40)),
    *((name, value) for name in ("hot_begin", "hot_steps") for value in (0, 1, 2**31 - 1)),
    *(("seed", value) for value in (-(2**63), -1, 0, 2**64 - 1)),
    *(("stream", value) for value in (0, 2**32 - 1)),
    *(("order", value) for value in ("hf", "vllm", "joint")),
    *(("ties", value) for value in ("exact", "keep_top_k", "keep")),
    *(("design", value) for value in ("none", "iid", "stratified", "lattice", "enumerated")),
    ("group_size", 1),
    ("member", 0),
]

REFUSED: list[tuple[str, Any]] = [
    *((name, value) for name in REAL_FIELDS for value in (-1e-9, -1, math.nan, -INF, "1", True, 1j, [1.0])),
    *(
        (name, value)
        for name in ("temperature", "hot_temperature", "ref_temperature")
        for value in (1e-46, 5e-324)
    ),
    ("ref_temperature", 0),
    ("ref_temperature", 0.0),
    *(
        (name, value)
        for name in ("top_p", "min_p", "hot_top_p", "hot_min_p")
        for value in (1.0000001, 2, INF)
    ),
    *((name, value) for name in INTEGER_FIELDS for value in (1.0, 1.5, "1", True, math.nan, [1])),
    *((name, value) for name in ("top_k", "hot_top_k") for value in (-2, -(2**31))),
    *((name, value) for name in ("hot_begin", "hot_steps") for value in (-1, 2**31)),
    *(("seed", value) for value in (-(2**63) - 1, 2**64)),
    *(("stream", value) for value in (-1, 2**32)),
    *((name, value) for name in ("order", "ties") for value in ("HF", "", 0, "none")),
    *(("design", value) for value in ("Lattice", "", 0, 3)),
    *(("group_size", value) for value in (0, -1, 65537)),
    *(("member", value) for value in (-1, 65536)),
]


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_every_value_inside_a_range_is_accepted_and_kept(name: str, value: Any) -> None:
    assert getattr(SamplingConfig(**{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_every_value_outside_a_range_is_a_value_error_that_begins_with_the_field(
    name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: got .*"):
        SamplingConfig(**{name: value})


def test_replace_checks_as_the_constructor_does() -> None:
    with pytest.raises(ValueError, match=r"^top_p: got 1.5, expected \[0, 1\]$"):
        SamplingConfig().replace(top_p=1.5)


def test_replace_with_a_misspelt_field_is_an_error() -> None:
    with pytest.raises(TypeError, match="hot_temp"):
        SamplingConfig().replace(hot_temp=3.0)


def test_numpy_scalars_become_plain_numbers() -> None:
    config = SamplingConfig(temperature=np.float32(0.5), top_k=np.int64(4))  # type: ignore[arg-type]
    assert (type(config.temperature), type(config.top_k)) == (float, int)
    assert config == SamplingConfig(temperature=0.5, top_k=4)


@pytest.mark.parametrize("kind", [int, Fraction])
@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("name", REAL_FIELDS)
def test_a_number_beyond_every_float_is_a_value_error_and_no_overflow_error(
    name: str, digits: int, kind: Any
) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: got .*, expected a number that a float can hold$"):
        SamplingConfig(**{name: kind(10**digits)})


@pytest.mark.parametrize("name", ["seed", "stream", "hot_begin", "hot_steps", "group_size"])
def test_an_integer_too_long_to_print_is_refused_by_the_name_of_its_field(name: str) -> None:
    fields: dict[str, Any] = {name: 10**5000}
    with pytest.raises(ValueError, match=rf"^{name}: got a huge int, expected "):
        SamplingConfig(**fields)


@pytest.mark.parametrize("name", ["order", "ties", "design"])
@pytest.mark.parametrize("value", [np.array(["hf", "exact"]), np.array("hf"), ["hf"]])
def test_an_array_of_names_is_refused_by_field_instead_of_having_no_truth_value(
    name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: got .*, expected one of "):
        SamplingConfig(**{name: value})


def test_every_field_is_none_until_it_is_resolved() -> None:
    assert all(value is None for value in dataclasses.asdict(SamplingConfig()).values())


def test_the_defaults_are_those_of_the_semantics_page() -> None:
    assert dataclasses.asdict(SamplingConfig().resolve()) == dict(
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        min_p=0.0,
        hot_temperature=30.0,
        hot_top_k=16,
        hot_top_p=1.0,
        hot_min_p=0.0,
        hot_begin=0,
        hot_steps=1,
        order="hf",
        ties="exact",
        seed=None,
        stream=0,
        ref_temperature=None,
        design="none",
        group_size=1,
        member=0,
    )


def test_hot_filters_follow_regular_ones_that_are_set_later() -> None:
    config = SamplingConfig(top_k=5, top_p=0.5).replace(top_k=50, top_p=0.9, min_p=0.1).resolve()
    assert (config.hot_top_k, config.hot_top_p, config.hot_min_p) == (50, 0.9, 0.1)


def test_an_explicit_hot_filter_does_not_follow() -> None:
    config = SamplingConfig(
        top_k=50, top_p=0.9, hot_top_k=0, hot_top_p=1.0, hot_min_p=0.0, min_p=0.1
    ).resolve()
    assert (config.hot_top_k, config.hot_top_p, config.hot_min_p) == (0, 1.0, 0.0)


@pytest.mark.parametrize("top_k", [0, -1, None])
def test_hot_top_k_is_16_when_the_regular_top_k_is_off(top_k: int | None) -> None:
    assert SamplingConfig(top_k=top_k).resolve().hot_top_k == 16


@pytest.mark.parametrize("temperature", [0.0, 1e-20, float(np.nextafter(np.float32(2**-64), np.float32(0)))])
def test_a_greedy_request_stays_greedy_unless_it_asks_for_hot_steps(temperature: float) -> None:
    assert SamplingConfig(temperature=temperature).resolve().hot_steps == 0
    assert SamplingConfig(temperature=temperature, hot_steps=2).resolve().hot_steps == 2


@pytest.mark.parametrize("temperature", [2.0**-64, 0.1, INF])
def test_a_request_that_is_not_greedy_is_hot_for_one_step(temperature: float) -> None:
    assert SamplingConfig(temperature=temperature).resolve().hot_steps == 1


def test_a_resolved_config_promises_a_value_for_every_field_but_the_two_whose_none_has_a_meaning() -> None:
    source = inspect.getsource(ResolvedConfig)
    promised = dict(re.findall(r"^        (\w+): (\w+)$", source, re.MULTILINE))
    optional = {field.name: str(field.type) for field in dataclasses.fields(SamplingConfig)}
    assert {name: f"{kind} | None" for name, kind in promised.items()} == {
        name: kind for name, kind in optional.items() if name not in ("seed", "ref_temperature")
    }


def test_a_change_of_a_resolved_config_is_a_plain_config_that_has_defaults_again() -> None:
    changed = SamplingConfig(top_p=0.5).resolve().replace(hot_top_p=None, top_p=0.9)
    assert type(changed) is SamplingConfig
    assert changed.hot_top_p is None
    assert changed.resolve().hot_top_p == 0.9


def test_the_repr_names_each_hot_filter_that_is_on_and_none_that_is_off() -> None:
    off = SamplingConfig(hot_temperature=1.0, hot_top_k=-1, hot_begin=2, hot_steps=3)
    assert repr(off).endswith("; steps 2 to 4 are hot: temperature 1)")
    on = off.replace(hot_top_k=1, hot_top_p=0.5, min_p=0.25, hot_steps=1)
    assert repr(on).endswith("; step 2 is hot: temperature 1, top_k 1, top_p 0.5, min_p 0.25)")
    assert repr(off.replace(hot_steps=0)).endswith("; no step is hot)")


def test_resolving_with_a_seed_keeps_an_explicit_one() -> None:
    assert SamplingConfig().resolve(seed=5).seed == 5
    assert SamplingConfig(seed=0).resolve(seed=5).seed == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(group_size=4), "group_size: got 4 with design None, expected 1, or a design"),
        (dict(group_size=4, design="none"), "group_size: got 4 with design 'none', expected 1, or a design"),
        (dict(member=1), "member: got 1, expected less than group_size, which is 1"),
        (dict(member=1, design="iid"), "member: got 1, expected less than group_size, which is 1"),
        (
            dict(member=4, group_size=4, design="iid"),
            "member: got 4, expected less than group_size, which is 4",
        ),
    ],
)
def test_a_group_that_would_do_nothing_and_a_member_outside_of_it_are_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        SamplingConfig(**fields)


def test_the_repr_says_of_a_design_without_a_hot_step_that_it_does_nothing() -> None:
    lattice = SamplingConfig(design="lattice", hot_steps=0)
    assert repr(lattice).endswith("design='lattice'; no step is hot, so the design does nothing)")
    assert repr(lattice.replace(design="iid")).endswith("; no step is hot)")
    assert repr(lattice.replace(hot_steps=1)).endswith("; step 0 is hot: temperature 30, top_k 16)")


def test_the_most_tokens_kept_are_the_larger_top_k_of_a_configs_steps_and_none_where_ties_go_beyond() -> None:
    assert SamplingConfig(top_k=50).most_kept == 50
    assert SamplingConfig(top_k=5, hot_top_k=16).most_kept == 16
    assert SamplingConfig(top_k=5, hot_top_k=16, hot_steps=0).most_kept == 5
    assert SamplingConfig(top_k=50, hot_top_k=0).most_kept is None
    assert SamplingConfig().most_kept is None
    assert SamplingConfig(top_k=50, ties="keep_top_k").most_kept is None
    assert SamplingConfig(top_k=50, ties="keep").most_kept is None
