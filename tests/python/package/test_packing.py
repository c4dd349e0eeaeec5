"""`pack`: one config over many rows, many configs, and where seeds come from."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fire_sampling as fire
from fire_sampling import SamplingConfig
from fire_sampling import numpy as fire_numpy


def philox4x32(counter: npt.NDArray[np.uint64], key: tuple[int, int]) -> npt.NDArray[np.uint64]:
    """Philox4x32-10 as Salmon et al. print it, over uint64 [4, n] that hold 32-bit words."""
    mask, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    c = list(counter)
    k = [np.uint64(word) for word in key]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> shift) ^ c[1] ^ k[0], b & mask, (a >> shift) ^ c[3] ^ k[1], a & mask]
        k = [k[0] + np.uint64(0x9E3779B9) & mask, k[1] + np.uint64(0xBB67AE85) & mask]
    return np.stack(c)


def spread_seeds(seed: int, rows: int, first_row: int) -> list[int]:
    """The seeds that docs/semantics.md gives rows first_row … first_row + rows − 1."""
    index = np.arange(rows, dtype=np.uint64) + np.uint64(first_row)
    zero = np.zeros(rows, dtype=np.uint64)
    counter = np.stack([index & np.uint64(0xFFFFFFFF), index >> np.uint64(32), zero, zero + np.uint64(1)])
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))
    seeds: list[int] = (words[1] << np.uint64(32) | words[0]).tolist()
    return seeds


def seeds_of(records: torch.Tensor | npt.NDArray[Any]) -> list[int]:
    words = np.asarray(records).view(np.uint32).astype(np.uint64)
    seeds: list[int] = (words[:, 13] << np.uint64(32) | words[:, 12]).tolist()
    return seeds


def test_the_oracle_returns_the_published_vectors_of_random123() -> None:
    cases = [
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF,) * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ]
    for counter, key, expected in cases:
        assert philox4x32(np.array(counter, dtype=np.uint64)[:, None], key)[:, 0].tolist() == expected


@given(st.integers(-(2**63), 2**64 - 1), st.integers(0, 40), st.integers(0, 2**63 - 41))
def test_one_config_gives_every_row_the_seed_that_philox_spreads(
    seed: int, rows: int, first_row: int
) -> None:
    config = SamplingConfig(seed=seed, top_k=3)
    records = fire.pack(config, rows=rows, first_row=first_row)
    assert records.shape == (rows, 16)
    assert seeds_of(records) == spread_seeds(seed % 2**64, rows, first_row)


def test_spreading_changes_nothing_but_the_seed() -> None:
    config = SamplingConfig(seed=9, temperature=0.5, top_k=3, stream=4, order="vllm")
    words = np.delete(fire.pack(config, rows=5).numpy().view(np.uint32), [12, 13], axis=1)
    assert (words == np.delete(fire.pack([config]).numpy().view(np.uint32), [12, 13], axis=1)).all()


def test_a_batch_split_in_two_keeps_the_seed_of_every_row() -> None:
    config = SamplingConfig(seed=123)
    whole = fire.pack(config, rows=10)
    parts = [fire.pack(config, rows=4), fire.pack(config, rows=6, first_row=4)]
    assert torch.equal(whole, torch.cat(parts))


def test_rows_of_one_config_draw_different_numbers() -> None:
    logits = torch.zeros(1, 2**20).expand(64, -1)
    token = torch.ops.fire.sample(logits, torch.tensor(1), fire.pack(SamplingConfig(seed=1), rows=64))
    assert token.unique().numel() == 64  # equal seeds would give one token; a chance collision has p < 0.002


def test_configs_in_a_sequence_keep_their_seeds_and_their_order() -> None:
    configs = [SamplingConfig(seed=seed, top_k=k) for k, seed in enumerate([5, -1, 2**64 - 2, 0])]
    records = fire.pack(configs)
    assert seeds_of(records) == [5, 2**64 - 1, 2**64 - 2, 0]
    assert records[:, 1].tolist() == [0, 1, 2, 3]


def test_a_tuple_of_configs_is_a_sequence_too_and_none_at_all_is_no_record() -> None:
    assert fire.pack((SamplingConfig(), SamplingConfig())).shape == (2, 16)
    assert fire.pack([]).shape == (0, 16)
    assert fire.pack(SamplingConfig(), rows=0).shape == (0, 16)


def test_missing_seeds_come_from_torchs_generator_so_manual_seed_reproduces_them() -> None:
    configs = [SamplingConfig(), SamplingConfig(seed=7), SamplingConfig()]
    torch.manual_seed(11)
    first = [fire.pack(SamplingConfig(), rows=3), fire.pack(configs)]
    second = fire.pack(SamplingConfig(), rows=3)
    torch.manual_seed(11)
    again = [fire.pack(SamplingConfig(), rows=3), fire.pack(configs)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], second)
    drawn = seeds_of(first[1])
    assert drawn[1] == 7
    assert drawn[0] != drawn[2]


def test_given_seeds_leave_torchs_generator_alone() -> None:
    state = torch.random.get_rng_state()
    fire.pack(SamplingConfig(seed=1), rows=3)
    fire.pack([SamplingConfig(seed=1)])
    assert torch.equal(state, torch.random.get_rng_state())


def test_drawn_seeds_use_all_64_bits() -> None:
    torch.manual_seed(0)
    seeds = seeds_of(fire.pack([SamplingConfig()] * 256))
    ones = [sum(seed >> bit & 1 for seed in seeds) for bit in range(64)]
    # Each is binomial(256, 1/2): mean 128, deviation 8; below 56 or above 200 has p < 1e-18 a bit.
    assert all(56 <= count <= 200 for count in ones)


@pytest.mark.parametrize("device", ["xpu" if torch.cuda.is_available() else "cuda", "nonsense"])
def test_a_device_that_torch_lacks_is_refused_by_name_and_not_by_an_assertion_of_torchs(device: str) -> None:
    with pytest.raises(RuntimeError, match=rf"^fire_sampling.pack: device is '{device}', expected one that"):
        fire.pack(SamplingConfig(seed=1), rows=2, device=device)


def test_records_lie_on_the_device_asked_for_and_on_the_cpu_otherwise() -> None:
    assert fire.pack(SamplingConfig(seed=1), rows=2, device="meta").device.type == "meta"
    with torch.device("meta"):
        records = fire.pack(SamplingConfig(), rows=2)
    assert records.device.type == "cpu"
    assert records.dtype == torch.int32


def test_records_may_be_written_in_place_as_engines_do() -> None:
    config = SamplingConfig(seed=1)
    records = fire.pack([config])
    records[0, 8] = 40
    assert fire.pack([config])[0, 8] == 0
    assert fire.pack(config, rows=1)[0, 8] == 0


BAD_CALLS: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        dict(config=3),
        TypeError,
        "fire_sampling.pack: config is 3, expected a SamplingConfig or a sequence of them",
    ),
    (dict(config="hf"), TypeError, "fire_sampling.pack: config is 'hf', expected"),
    (
        dict(config=[SamplingConfig(), 3]),
        TypeError,
        "fire_sampling.pack: config is a list of SamplingConfig, int, expected",
    ),
    (dict(config=torch.zeros(1, 16)), TypeError, "fire_sampling.pack: config is of type Tensor, expected"),
    (
        dict(config=SamplingConfig(), rows=-1),
        ValueError,
        "fire_sampling.pack: rows is -1, expected an integer from 0 to 2^63 - 1",
    ),
    (
        dict(config=SamplingConfig()),
        TypeError,
        "fire_sampling.pack: rows is missing, expected the number of sequences that draw by this config",
    ),
    (dict(config=SamplingConfig(), rows=2.0), TypeError, "fire_sampling.pack: rows is 2.0, expected"),
    (dict(config=SamplingConfig(), rows=True), TypeError, "fire_sampling.pack: rows is True, expected"),
    (dict(config=""), TypeError, "fire_sampling.pack: config is '', expected a SamplingConfig"),
    (
        dict(config=SamplingConfig(), rows=1, first_row=-1),
        ValueError,
        "fire_sampling.pack: first_row is -1, expected",
    ),
    (
        dict(config=SamplingConfig(), rows=1, first_row=2**63),
        ValueError,
        "fire_sampling.pack: first_row is 9223372036854775808",
    ),
    (
        dict(config=[SamplingConfig()], rows=1),
        ValueError,
        "fire_sampling.pack: rows is 1 and first_row 0, expected neither",
    ),
    (
        dict(config=[SamplingConfig()], first_row=1),
        ValueError,
        "fire_sampling.pack: rows is None and first_row 1, expected",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_CALLS)
def test_a_bad_call_names_the_argument_what_came_and_what_was_expected(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        fire.pack(**arguments)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("config", [3, [SamplingConfig(), 3]])
def test_a_bad_config_is_blamed_on_the_entry_that_was_called(config: Any) -> None:
    with pytest.raises(TypeError, match=r"^fire_sampling\.numpy\.pack: config is "):
        fire_numpy.pack(config)


@pytest.mark.parametrize("rng", [np.random.RandomState(0), 7, np.random])
@pytest.mark.parametrize("config", [SamplingConfig(), SamplingConfig(seed=1)])
def test_a_generator_of_the_wrong_kind_is_a_type_error_and_no_attribute_error(
    config: SamplingConfig, rng: Any
) -> None:
    expected = r"^fire_sampling\.numpy\.pack: rng is .*, expected a numpy\.random\.Generator"
    with pytest.raises(TypeError, match=expected):
        fire_numpy.pack(config, 1, rng=rng)


def test_a_torch_that_cannot_be_imported_is_named_by_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ImportError, match=r"^fire_sampling\.pack: torch is not installed; fire_sampling\.numpy"
    ):
        fire.pack(SamplingConfig())
