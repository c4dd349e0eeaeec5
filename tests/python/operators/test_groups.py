"""A group is its members one by one; a code draws what it should."""

from __future__ import annotations

import pytest
import torch
from backends import BACKEND, pack
from operator_inputs import CONFIGS, DTYPES, assert_same_bits, make_inputs, random_normal, results_of
from torch import Tensor

import fire_sampling as fire
from fire_sampling import _native

pytestmark = pytest.mark.every_backend

assert _native.RECORD.names is not None
FLAGS, GROUP = _native.RECORD.names.index("flags"), _native.RECORD.names.index("group")
DESIGNS = range(8)  # none, iid, stratified, lattice, enumerated, and three that count as none
SIZES = (1, 2, 3, 7, 16) if BACKEND == "simulated" else (1, 2, 3, 7, 16, 64)
# The simulated device takes milliseconds for a row. A block draws 512 members at once, lists 2,048 tokens.
MOST_MEMBERS, LONG_ROW = (700, 5000) if BACKEND == "simulated" else (65536, 40000)


def of_design(records: Tensor, design: int) -> Tensor:
    """The records with a design, and any size and member at all."""
    records = records.clone()
    records[:, FLAGS] = records[:, FLAGS] & ~(7 << 5) | design << 5
    rows = torch.arange(records.shape[0], dtype=torch.int32)
    records[:, GROUP] = rows * 0x5851F42D + 0x14057B7E
    return records


def members(records: Tensor, size: int) -> Tensor:
    """The records of all members, prompt by prompt."""
    count = records.shape[0]
    records = records.repeat_interleave(size, dim=0)
    design = records[:, FLAGS] >> 5 & 7
    none = (design == 0) | (design > 4)
    iid = records[:, FLAGS] & ~(7 << 5) | 1 << 5
    records[:, FLAGS] = torch.where(none, iid, records[:, FLAGS])
    records[:, GROUP] = size - 1 | torch.arange(size, dtype=torch.int32).repeat(count) << 16
    return records


def assert_a_group_is_its_members(logits: Tensor, step: Tensor, records: Tensor, size: int) -> None:
    rows = logits.shape[0]
    ours = results_of("sample_group_with_logprobs", (logits, step, records), size=size)
    each = (logits.repeat_interleave(size, 0), step.repeat_interleave(size), members(records, size))
    expected = tuple(e.view(rows, size) for e in results_of("sample_with_logprobs", each))
    assert_same_bits(ours[:4], expected[:4])
    for output, wanted in zip(ours[4:], expected[4:], strict=True):  # kept and status are equal for all
        assert_same_bits((output[:, None].expand(-1, size),), (wanted,))
    assert torch.equal(torch.ops.fire.sample_group(logits, step, records, size=size), ours[0])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_group_equals_sample_of_each_members_record_in_every_bit(design: int, size: int) -> None:
    for dtype in DTYPES:
        logits, step, cfg = make_inputs(rows=12, vocabulary=300, dtype=dtype, seed=size)
        logits[3, ::7] = torch.nan
        logits[5, 20] = torch.inf
        logits[6] = logits[6].round()
        assert_a_group_is_its_members(logits, step, of_design(cfg, design), size)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_group_of_very_many_members_of_a_small_row_equals_sample_of_each(design: int) -> None:
    logits, _, _ = make_inputs(rows=3, vocabulary=20)
    records = of_design(pack(list(CONFIGS[:3])), design)
    assert_a_group_is_its_members(logits, torch.tensor([0, 0, 1]), records, MOST_MEMBERS)


@pytest.mark.parametrize("design", DESIGNS)
def test_rows_beyond_a_list_of_candidates_have_groups_too(design: int) -> None:
    logits = random_normal(2, LONG_ROW, seed=3)
    open_record = fire.SamplingConfig(hot_top_k=0, hot_temperature=2.0, seed=4)
    records = of_design(pack([open_record, open_record.replace(hot_top_p=0.95)]), design)
    assert_a_group_is_its_members(logits, torch.tensor([0, 0]), records, 16)


def test_slot_chooses_the_record_of_each_prompt() -> None:
    logits, step, _ = make_inputs(rows=4)
    records = of_design(pack(list(CONFIGS)), 3)
    slot = torch.tensor([6, 0, 0, 3], dtype=torch.int32)
    chosen = results_of("sample_group_with_logprobs", (logits, step, records), slot=slot, size=5)
    gathered = results_of("sample_group_with_logprobs", (logits, step, records[slot.long()]), size=5)
    assert_same_bits(chosen, gathered)


def test_a_design_is_spread_and_without_one_the_members_are_independent() -> None:
    logits = torch.zeros(1, 64)  # equal logits: a lattice of 64 takes each of 64 once
    record = pack([fire.SamplingConfig(hot_top_k=0, seed=5)])
    lattice = torch.ops.fire.sample_group(logits, torch.tensor(0), of_design(record, 3), size=64)
    assert torch.equal(lattice.sort().values, torch.arange(64)[None])
    alone = torch.ops.fire.sample_group(logits, torch.tensor(0), of_design(record, 0), size=64)
    assert 30 < alone.unique().numel() < 60  # 64 draws of 64: 40.6 different ones, standard deviation 2.5
    iid = torch.ops.fire.sample_group(logits, torch.tensor(0), of_design(record, 1), size=64)
    assert torch.equal(alone, iid)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_code_draws_the_token_that_sample_draws(dtype: torch.dtype, design: int) -> None:
    logits, step, cfg = make_inputs(rows=20, vocabulary=300, dtype=dtype)
    records = of_design(cfg, design)
    code = torch.ops.fire.first_code(step, records)
    token, following = torch.ops.fire.sample_coded(logits, code, step, records)
    assert torch.equal(token, torch.ops.fire.sample(logits, step, records))
    status = torch.ops.fire.sample_with_logprobs(logits, step, records)[5]
    decided = (status & fire.Status.DECIDED) != 0
    assert torch.equal(following == code, decided)


def wide(code: Tensor) -> list[int]:
    """Codes as the unsigned integers that they are."""
    return [value % 2**64 for value in code.tolist()]


def test_the_next_code_is_what_is_left_of_the_code_in_integers_of_128_bits() -> None:
    """Of a row whose weights are known: equal logits, each of weight M / V."""
    logits = torch.zeros(1, 8)
    record = pack([fire.SamplingConfig(hot_steps=0, seed=6)])
    for value in (0, 1, 2**61 - 1, 2**61, 3 * 2**61 + 12345, 2**63, 2**64 - 1):
        code = torch.tensor([value if value < 2**63 else value - 2**64])
        token, following = torch.ops.fire.sample_coded(logits, code, torch.tensor(1), record)
        assert token.tolist() == [value >> 61]  # an eighth of the unit interval each
        low, high = value * 8 % 2**64, min(value * 8 % 2**64 + 8, 2**64 - 1)
        assert low <= wide(following)[0] <= high  # the fresh bits fill the three that the token took


def test_codes_carried_through_steps_are_those_of_calls_of_single_rows() -> None:
    logits, _, cfg = make_inputs(rows=9)
    code = torch.ops.fire.first_code(torch.tensor(0), cfg)
    singles = code.clone()
    for count in range(4):
        step = torch.tensor(count)
        token, code = torch.ops.fire.sample_coded(logits, code, step, cfg)
        for row in range(9):
            at = slice(row, row + 1)
            one, singles[at] = torch.ops.fire.sample_coded(logits[at], singles[at], step, cfg[at])
            assert torch.equal(one, token[at])
    assert torch.equal(code, singles)


def test_a_first_code_of_slots_has_one_for_each_slot() -> None:
    cfg = make_inputs(rows=5).cfg
    slot = torch.tensor([4, 0, 7, -1, 2, 2, 1], dtype=torch.int32)
    code = torch.ops.fire.first_code(torch.tensor(0), cfg, slot)
    assert torch.equal(code, torch.ops.fire.first_code(torch.tensor(0), cfg)[slot.long().clamp(0, 4)])
    assert torch.equal(torch.ops.fire.first_code(torch.zeros(7, dtype=torch.int32), cfg, slot), code)


def test_the_functions_take_configs_and_integer_steps() -> None:
    logits, _, _ = make_inputs(rows=4)
    config = fire.SamplingConfig(top_k=9, seed=8)
    records = pack(config, rows=4)
    drawn = fire.sample_group_with_logprobs(logits, 0, config, size=3)
    assert_same_bits(
        tuple(drawn), torch.ops.fire.sample_group_with_logprobs(logits, torch.tensor(0), records, size=3)
    )
    assert torch.equal(fire.sample_group(logits, 0, config, size=3), drawn.token)
    code = fire.first_code(torch.zeros(4, dtype=torch.int64), config)
    assert torch.equal(code, torch.ops.fire.first_code(torch.tensor(0), records))
    assert torch.equal(
        fire.first_code(0, [config]), torch.ops.fire.first_code(torch.tensor(0), pack([config]))
    )
    coded = fire.sample_coded(logits, code, 0, config)
    assert torch.equal(coded.token, fire.sample(logits, 0, config))
    assert_same_bits(tuple(coded), torch.ops.fire.sample_coded(logits, code, torch.tensor(0), records))
