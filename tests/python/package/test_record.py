"""The packed record of a `SamplingConfig`: sixteen words, laid out as docs/semantics.md says."""

from __future__ import annotations

import dataclasses
import math
import pickle
import struct
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fire_sampling import SamplingConfig, _native, config
from fire_sampling import numpy as fire
from fire_sampling.config import DESIGNS, ORDERS, RECORD_WORDS, SEED_WORDS, TIES

INF = math.inf


def words_of(config: SamplingConfig) -> tuple[int, ...]:
    return tuple(fire.pack([config])[0].tolist())


def test_the_names_in_python_are_those_of_the_compiled_part() -> None:
    assert tuple(_native.ORDER_FLAGS) == ORDERS == get_args(config.Order)
    assert tuple(_native.TIES_FLAGS) == TIES == get_args(config.Ties)
    assert tuple(_native.DESIGN_FLAGS) == DESIGNS == get_args(config.Design)
    assert RECORD_WORDS == 16
    assert (SEED_WORDS.start, SEED_WORDS.stop) == (12, 14)
    fields = {field.name for field in dataclasses.fields(SamplingConfig)}
    assert fields - set(_native.RECORD.names or ()) == {
        *("order", "ties", "seed"),
        *config.GROUP_FIELDS,
    }


def test_a_config_is_frozen_hashable_and_survives_pickling_after_its_record_was_cached() -> None:
    config = SamplingConfig(temperature=0.5, seed=3)
    words = words_of(config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 4  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(config))
    assert copy == config
    assert hash(copy) == hash(config)
    assert words_of(copy) == words


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
        design="enumerated",
        group_size=65536,
        member=40000,
    )
    bits = [int(np.float32(x).view(np.uint32)) for x in (0.5, 0.25, 0.125, INF, 0.75, 1.0, 2.0)]
    assert words_of(config) == (
        *(bits[0], 2**32 - 1, bits[1], bits[2]),
        *(bits[3], 7, bits[4], bits[5]),
        *(2, 3, 2 | 1 << 2 | 1 << 4 | 4 << 5, 0xFFFFFFFF),
        *(0x89ABCDEF, 0x01234567, bits[6], 65535 | 40000 << 16),
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("ties", TIES)
def test_the_flags_hold_order_and_ties(order: Any, ties: Any) -> None:
    flags = words_of(SamplingConfig(order=order, ties=ties, seed=0))[10]
    assert (
        flags == {"hf": 0, "vllm": 1, "joint": 2}[order] | {"exact": 0, "keep_top_k": 1, "keep": 2}[ties] << 2
    )


@pytest.mark.parametrize(
    ("design", "bits"), [("none", 0), ("iid", 1), ("stratified", 2), ("lattice", 3), ("enumerated", 4)]
)
def test_the_flags_hold_the_design_and_a_record_without_one_has_an_empty_group(
    design: Any, bits: int
) -> None:
    words = words_of(SamplingConfig(design=design, seed=0))
    assert (words[10], words[15]) == (bits << 5, 0)


@pytest.mark.parametrize(
    ("seed", "low", "high"), [(-1, 2**32 - 1, 2**32 - 1), (-(2**63), 0, 2**31), (2**32, 0, 1)]
)
def test_a_seed_is_taken_modulo_two_to_the_64(seed: int, low: int, high: int) -> None:
    assert words_of(SamplingConfig(seed=seed))[12:14] == (low, high)


def test_a_temperature_beyond_float32_is_packed_as_infinite() -> None:
    assert words_of(SamplingConfig(temperature=1e39, seed=0))[0] == 0x7F800000


def test_a_top_k_beyond_int32_keeps_everything_rather_than_wrapping_around() -> None:
    assert words_of(SamplingConfig(top_k=2**32 + 1, seed=0))[1] == 2**31 - 1


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
    assert words_of(resolved) == words_of(config)


@given(configs)
def test_words_hold_the_float32_nearest_to_every_real_field(config: SamplingConfig) -> None:
    resolved = config.resolve()
    words = words_of(config)
    names = {0: "temperature", 2: "top_p", 3: "min_p", 4: "hot_temperature", 6: "hot_top_p", 7: "hot_min_p"}
    for place, name in names.items():
        with np.errstate(over="ignore"):
            expected = np.float64(getattr(resolved, name)).astype(np.float32)
        assert struct.unpack("=f", struct.pack("=I", words[place]))[0] == expected, name
