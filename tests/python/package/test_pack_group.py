"""`pack_group`: the records of the completions of some prompts, of which each member knows its place."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import fire_sampling as fire
from fire_sampling import SamplingConfig
from fire_sampling import numpy as fire_numpy
from fire_sampling.config import DESIGNS, SEED_WORDS, SPREADING, word_of

GROUP, FLAGS = word_of("group"), word_of("flags")
LATTICE = SamplingConfig(design="lattice", seed=5, top_k=3, stream=2)


def words(records: torch.Tensor | npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    return np.asarray(records).view(np.uint32)


def test_members_count_through_their_group_blocks_through_their_prompt_and_prompts_come_last() -> None:
    records = words(fire.pack_group(LATTICE, 3, 4, blocks=2)).reshape(3, 2, 4, 16)
    assert (records[..., GROUP] & 0xFFFF == 3).all()
    assert (records[..., GROUP] >> 16 == np.arange(4)).all()


@pytest.mark.parametrize(("first_prompt", "blocks"), [(0, 1), (0, 3), (5, 1), (5, 2), (2**40, 7)])
def test_a_block_has_the_seed_that_pack_would_give_the_sequence_of_its_number(
    first_prompt: int, blocks: int
) -> None:
    grouped = words(fire.pack_group(LATTICE, 3, 4, first_prompt, blocks)).reshape(3 * blocks, 4, 16)
    spread = words(fire.pack(LATTICE, rows=3 * blocks, first_row=first_prompt * blocks))
    assert (grouped[..., SEED_WORDS] == spread[:, None, SEED_WORDS]).all()


def test_prompts_that_are_packed_in_two_calls_get_the_records_of_one() -> None:
    parts = [fire.pack_group(LATTICE, 2, 3, blocks=2), fire.pack_group(LATTICE, 3, 3, 2, 2)]
    assert torch.equal(torch.cat(parts), fire.pack_group(LATTICE, 5, 3, blocks=2))


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("size", [1, 2, 7, 65536])
def test_a_member_is_the_record_of_a_config_that_names_it_and_without_a_design_it_is_independent(
    design: Any, size: int
) -> None:
    config = LATTICE.replace(design=design)
    records = words(fire.pack_group(config, 2, size))
    named = config.replace(design="iid" if design == "none" else design, group_size=size)
    for member in {0, size // 2, size - 1}:
        assert (words(fire.pack(named.replace(member=member), rows=2)) == records[member::size]).all()


def test_the_numpy_entry_packs_the_same_words() -> None:
    torch_records = fire.pack_group(LATTICE, 3, 5, 7, 2)
    numpy_records = fire_numpy.pack_group(LATTICE, 3, 5, 7, 2)
    assert torch_records.dtype == torch.int32
    assert numpy_records.dtype == np.uint32
    assert (words(torch_records) == numpy_records).all()
    assert torch_records.shape == (30, 16)
    assert fire.pack_group(LATTICE, 0, 4).shape == (0, 16)


def test_a_missing_seed_is_drawn_once_for_all_prompts_from_the_generator_of_its_entry() -> None:
    torch.manual_seed(3)
    first = fire.pack_group(SamplingConfig(), 2, 4)
    torch.manual_seed(3)
    assert torch.equal(first, fire.pack_group(SamplingConfig(), 2, 4))
    assert not torch.equal(first, fire.pack_group(SamplingConfig(), 2, 4))
    rng = np.random.default_rng
    assert (
        fire_numpy.pack_group(SamplingConfig(), 2, 4, rng=rng(3))
        == fire_numpy.pack_group(SamplingConfig(), 2, 4, rng=rng(3))
    ).all()


def test_records_lie_on_the_device_asked_for() -> None:
    assert fire.pack_group(LATTICE, 1, 2, device="meta").device.type == "meta"
    with pytest.raises(RuntimeError, match=r"^fire_sampling.pack_group: device is 'nonsense', expected one"):
        fire.pack_group(LATTICE, 1, 2, device="nonsense")


BAD_CALLS: list[tuple[dict[str, Any], type[Exception], str]] = [
    (dict(config=3), TypeError, "config is 3, expected a SamplingConfig"),
    (dict(config=[LATTICE]), TypeError, "config is of type list, expected a SamplingConfig"),
    (dict(prompts=-1), ValueError, "prompts is -1, expected an integer from 0"),
    (dict(prompts=2.0), TypeError, "prompts is 2.0, expected an integer from 0"),
    (dict(prompts=2**50, size=2**14), ValueError, "prompts is 1125899906842624, expected an integer from 0"),
    (dict(size=0), ValueError, "size is 0, expected an integer from 1 to 65536"),
    (dict(size=65537), ValueError, "size is 65537, expected an integer from 1 to 65536"),
    (dict(size=True), TypeError, "size is True, expected an integer from 1"),
    (dict(blocks=0), ValueError, "blocks is 0, expected an integer from 1"),
    (dict(first_prompt=-1), ValueError, "first_prompt is -1, expected an integer from 0, the last block"),
    (dict(first_prompt=2**62, blocks=2), ValueError, "first_prompt is 4611686018427387904, expected an"),
    (
        dict(config=LATTICE.replace(group_size=4)),
        ValueError,
        "config has group_size 4, expected none: size says it",
    ),
    *(
        (
            dict(config=LATTICE.replace(design=design, hot_steps=0)),
            ValueError,
            f"config has design '{design}' and no hot step, expected hot_steps of 1 or more, or design 'iid'",
        )
        for design in SPREADING
    ),
    (dict(config=LATTICE.replace(temperature=0)), ValueError, "config has design 'lattice' and no hot step"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_CALLS)
def test_a_bad_call_names_the_argument_what_came_and_what_was_expected(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"config": LATTICE, "prompts": 2, "size": 4, **arguments}
    for entry, pack_group in (
        ("fire_sampling", fire.pack_group),
        ("fire_sampling.numpy", fire_numpy.pack_group),
    ):
        with pytest.raises(error) as raised:
            pack_group(**arguments)
        assert str(raised.value).startswith(f"{entry}.pack_group: {message}")


def test_independent_members_need_no_hot_step() -> None:
    for design in ("none", "iid"):
        assert fire.pack_group(LATTICE.replace(design=design, hot_steps=0), 1, 4).shape == (4, 16)


def test_a_generator_of_the_wrong_kind_is_blamed_on_pack_group() -> None:
    rng: Any = np.random.RandomState(0)
    with pytest.raises(TypeError, match=r"^fire_sampling\.numpy\.pack_group: rng is .*, expected a numpy"):
        fire_numpy.pack_group(LATTICE, 1, 2, rng=rng)


def test_a_torch_that_cannot_be_imported_is_named_by_pack_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    expected = r"^fire_sampling\.pack_group: torch is not installed; fire_sampling\.numpy\.pack_group needs"
    with pytest.raises(ImportError, match=expected):
        fire.pack_group(LATTICE, 1, 2)


@pytest.mark.parametrize("function", ["sample", "sample_with_logprobs", "sample_coded", "heat_logits_"])
@pytest.mark.parametrize("as_list", [False, True])
def test_a_design_of_rows_that_are_no_group_is_refused_instead_of_spreading_nothing(
    function: str, as_list: bool
) -> None:
    logits, code = torch.zeros(4, 9), torch.zeros(4, dtype=torch.int64)
    arguments = (logits, code, 0) if function == "sample_coded" else (logits, 0)
    expected = rf"^fire_sampling.{function}: config has design 'lattice' and no group_size, expected the rec"
    with pytest.raises(ValueError, match=expected):
        getattr(fire, function)(*arguments, [LATTICE] * 4 if as_list else LATTICE)
    named = LATTICE.replace(group_size=4, member=1)
    getattr(fire, function)(*arguments, [named] * 4 if as_list else named)


def test_the_numpy_entry_refuses_it_too_and_a_group_of_named_size_needs_none() -> None:
    with pytest.raises(
        ValueError, match=r"^fire_sampling\.numpy\.sample: config has design 'lattice' and no"
    ):
        fire_numpy.sample(np.zeros((4, 9), np.float32), 0, LATTICE)
    assert fire.sample_group(torch.zeros(2, 9), 0, LATTICE, size=4).shape == (2, 4)
