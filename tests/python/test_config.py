"""`SamplingConfig`: its checks, its defaults, its sixteen words."""

from __future__ import annotations

import dataclasses
import math
import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from fire_sampling import SamplingConfig
from fire_sampling.config import ORDERS, TIES

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
INTEGER_FIELDS = ("top_k", "hot_top_k", "hot_begin", "hot_steps", "seed", "stream")

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


def test_a_config_is_frozen_hashable_and_survives_pickling_after_its_record_was_cached() -> None:
    config = SamplingConfig(temperature=0.5, seed=3)
    words = config.record_words()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 4  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert hash(copy) == hash(config)
    assert copy.record_words() == words


def test_every_field_is_none_until_it_is_resolved() -> None:
    assert all(value is None for value in dataclasses.asdict(SamplingConfig()).values())


def test_the_defaults_are_those_of_the_semantics_page() -> None:
    assert SamplingConfig().resolve() == SamplingConfig(
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


def test_resolving_with_a_seed_keeps_an_explicit_one() -> None:
    assert SamplingConfig().resolve(seed=5).seed == 5
    assert SamplingConfig(seed=0).resolve(seed=5).seed == 0


def test_the_words_are_laid_out_as_the_semantics_page_says() -> None:
    config = SamplingConfig(
        temperature=0.5,
        top_k=-1,
        top_p=0.25,
        min_p=0.125,
        hot_temperature=INF,
        hot_top_k=7,
        hot_top_p=0.75,
        hot_min_p=1.0,
        hot_begin=2,
        hot_steps=3,
        order="joint",
        ties="keep_top_k",
        seed=0x0123456789ABCDEF,
        stream=0xFFFFFFFF,
        ref_temperature=2.0,
    )
    bits = [int(np.float32(x).view(np.uint32)) for x in (0.5, 0.25, 0.125, INF, 0.75, 1.0, 2.0)]
    assert config.record_words() == (
        *(bits[0], 2**32 - 1, bits[1], bits[2]),
        *(bits[3], 7, bits[4], bits[5]),
        *(2, 3, 2 | 1 << 2 | 1 << 4, 0xFFFFFFFF),
        *(0x89ABCDEF, 0x01234567, bits[6], 0),
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("ties", TIES)
def test_the_flags_hold_order_and_ties(order: Any, ties: Any) -> None:
    flags = SamplingConfig(order=order, ties=ties, seed=0).record_words()[10]
    assert (
        flags == {"hf": 0, "vllm": 1, "joint": 2}[order] | {"exact": 0, "keep_top_k": 1, "keep": 2}[ties] << 2
    )


@pytest.mark.parametrize(
    ("seed", "low", "high"), [(-1, 2**32 - 1, 2**32 - 1), (-(2**63), 0, 2**31), (2**32, 0, 1)]
)
def test_a_seed_is_taken_modulo_two_to_the_64(seed: int, low: int, high: int) -> None:
    assert SamplingConfig(seed=seed).record_words()[12:14] == (low, high)


def test_a_temperature_beyond_float32_is_packed_as_infinite() -> None:
    assert SamplingConfig(temperature=1e39, seed=0).record_words()[0] == 0x7F800000


def test_a_top_k_beyond_int32_keeps_everything_rather_than_wrapping_around() -> None:
    assert SamplingConfig(top_k=2**32 + 1, seed=0).record_words()[1] == 2**31 - 1


def test_words_without_a_seed_are_an_error_that_says_who_draws_seeds() -> None:
    with pytest.raises(ValueError, match=r"^seed: got None.*pack"):
        SamplingConfig().record_words()


fractions = st.none() | st.floats(0, 1)
temperatures = st.none() | st.floats(2.0**-100, INF) | st.just(0.0)
configs = st.builds(
    SamplingConfig,
    temperature=temperatures,
    top_k=st.none() | st.integers(-1, 2**40),
    top_p=fractions,
    min_p=fractions,
    hot_temperature=temperatures,
    hot_top_k=st.none() | st.integers(-1, 2**40),
    hot_top_p=fractions,
    hot_min_p=fractions,
    hot_begin=st.none() | st.integers(0, 2**31 - 1),
    hot_steps=st.none() | st.integers(0, 2**31 - 1),
    order=st.none() | st.sampled_from(ORDERS),
    ties=st.none() | st.sampled_from(TIES),
    seed=st.integers(-(2**63), 2**64 - 1),
    stream=st.none() | st.integers(0, 2**32 - 1),
    ref_temperature=st.none() | st.floats(2.0**-100, INF),
)


@given(configs)
def test_resolving_twice_changes_nothing_and_keeps_the_words(config: SamplingConfig) -> None:
    resolved = config.resolve()
    assert resolved.resolve() == resolved
    assert resolved.record_words() == config.record_words()


@given(configs)
def test_words_hold_the_float32_nearest_to_every_real_field(config: SamplingConfig) -> None:
    resolved = config.resolve()
    words = config.record_words()
    names = {0: "temperature", 2: "top_p", 3: "min_p", 4: "hot_temperature", 6: "hot_top_p", 7: "hot_min_p"}
    for place, name in names.items():
        with np.errstate(over="ignore"):
            expected = np.float64(getattr(resolved, name)).astype(np.float32)
        assert struct.unpack("=f", struct.pack("=I", words[place]))[0] == expected, name


def generation_config(**fields: Any) -> GenerationConfig:
    return GenerationConfig(**fields)  # type: ignore[no-untyped-call]


def test_a_generation_config_without_do_sample_is_greedy() -> None:
    config = SamplingConfig.from_generation_config(generation_config(temperature=0.7, top_k=5))
    assert config == SamplingConfig(temperature=0.0, order="hf", ties="keep_top_k")
    assert config.resolve().hot_steps == 0


def test_what_a_generation_config_leaves_unset_is_what_generate_itself_would_use() -> None:
    defaults = GenerationConfig._get_default_generation_params()
    config = SamplingConfig.from_generation_config(generation_config(do_sample=True))
    assert (config.temperature, config.top_k, config.top_p) == tuple(
        defaults[name] for name in ("temperature", "top_k", "top_p")
    )
    assert config.min_p == 0.0
    assert config.resolve().hot_top_k == 50


def test_the_fields_of_a_generation_config_are_taken_over() -> None:
    source = generation_config(do_sample=True, temperature=0.7, top_k=0, top_p=0.9, min_p=0.02)
    assert SamplingConfig.from_generation_config(source) == SamplingConfig(
        temperature=0.7, top_k=0, top_p=0.9, min_p=0.02, order="hf", ties="keep_top_k"
    )


@pytest.mark.parametrize(
    ("name", "value"), [("typical_p", 0.9), ("epsilon_cutoff", 3e-4), ("eta_cutoff", 3e-4), ("top_h", 0.4)]
)
def test_a_warper_without_an_equivalent_is_refused_rather_than_dropped(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: got {value}"):
        SamplingConfig.from_generation_config(generation_config(do_sample=True, **{name: value}))


def test_warpers_that_are_off_are_not_refused() -> None:
    SamplingConfig.from_generation_config(
        generation_config(do_sample=True, typical_p=1.0, epsilon_cutoff=0.0)
    )
