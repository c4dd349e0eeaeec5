"""`fire_seed` and `fire_first_row`: which random numbers a sequence gets, and which seeds are refused."""

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from tiny_models import CONFIG, generate, one_thread  # noqa: F401

import fire_sampling as fire


def test_num_return_sequences_draws_each_sequence_by_a_seed_of_its_own() -> None:
    inputs = tiny_models.prompts(rows=2)
    expanded = generate(tiny_models.bigram(), inputs, num_return_sequences=3, fire_seed=[1, 2, 3, 4, 5, 6])
    assert len({tuple(row) for row in expanded.tolist()}) == 6
    repeated = generate(tiny_models.bigram(), inputs.repeat_interleave(3, 0), fire_seed=[1, 2, 3, 4, 5, 6])
    assert torch.equal(expanded, repeated)


@pytest.mark.parametrize("build", ["bigram", "llama"])
def test_given_one_seed_a_sequence_a_batch_of_8_is_8_batches_of_1(build: str) -> None:
    # Llama in float64: what the batch does to its sums is far below the float32 logits that are sampled.
    model = tiny_models.bigram() if build == "bigram" else copy.deepcopy(tiny_models.llama()).double()
    inputs, seeds = tiny_models.prompts(rows=8), [2**63 + 5, -1, 2, 3, 4, 5, 6, 7]
    arguments: dict[str, Any] = {
        "top_p": 0.95,
        "top_k": 40,
        "eos_token_id": [tiny_models.VOCABULARY + 1],
        "max_new_tokens": 12,
    }
    together = generate(model, inputs, fire_seed=seeds, **arguments)
    alone = [generate(model, inputs[row : row + 1], fire_seed=[seeds[row]], **arguments) for row in range(8)]
    assert torch.equal(together, torch.cat(alone))
    reversed_ = generate(model, inputs.flip(0), fire_seed=seeds[::-1], **arguments)
    assert torch.equal(together, reversed_.flip(0))


def test_one_seed_is_spread_over_the_rows_as_pack_spreads_it() -> None:
    records = fire.pack(fire.SamplingConfig(seed=42), rows=4)
    low, high = records[:, 12:14].long().unbind(1)
    seeds = [int(a) % 2**32 + (int(b) % 2**32 << 32) for a, b in zip(low, high, strict=True)]
    inputs = tiny_models.prompts(rows=4)
    spread = generate(tiny_models.bigram(), inputs, fire_seed=42)
    assert torch.equal(spread, generate(tiny_models.bigram(), inputs, fire_seed=seeds))
    in_config = generate(tiny_models.bigram(), inputs, fire_seed=None, fire_config=CONFIG.replace(seed=42))
    assert torch.equal(spread, in_config)
    overridden = generate(tiny_models.bigram(), inputs, fire_seed=42, fire_config=CONFIG.replace(seed=1))
    assert torch.equal(spread, overridden)


def test_fire_first_row_continues_where_another_call_ended() -> None:
    inputs = tiny_models.prompts(rows=5)
    arguments: dict[str, Any] = {"eos_token_id": [tiny_models.VOCABULARY + 1]}
    together = generate(tiny_models.bigram(), inputs, **arguments)
    first = generate(tiny_models.bigram(), inputs[:2], **arguments)
    rest = generate(tiny_models.bigram(), inputs[2:], fire_first_row=2, **arguments)
    assert torch.equal(together, torch.cat([first, rest]))


def test_without_a_seed_manual_seed_reproduces_and_calls_differ() -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        runs.append([generate(tiny_models.bigram(), fire_seed=None) for _ in range(2)])
    assert torch.equal(torch.cat(runs[0]), torch.cat(runs[1]))
    assert not torch.equal(runs[0][0], runs[0][1])


def test_seeds_may_come_as_a_tensor() -> None:
    inputs = tiny_models.prompts(rows=2)
    assert torch.equal(
        generate(tiny_models.bigram(), inputs, fire_seed=torch.tensor([8, 9])),
        generate(tiny_models.bigram(), inputs, fire_seed=[8, 9]),
    )


@pytest.mark.parametrize("seed", [torch.tensor(42), np.array(42), np.int64(42)], ids=repr)
def test_one_seed_may_come_as_a_scalar_of_numpy_or_torch(seed: Any) -> None:
    assert torch.equal(
        generate(tiny_models.bigram(), fire_seed=seed), generate(tiny_models.bigram(), fire_seed=42)
    )


@pytest.mark.parametrize(
    "seeds",
    [
        np.array([2**64 - 1, 2, 3], dtype=np.uint64),
        [torch.tensor(-1), np.uint64(2), 3],
        iter([-1, 2, 3]),
    ],
    ids=["uint64", "mixed", "iterator"],
)
def test_seeds_may_come_as_whatever_holds_integers(seeds: Any) -> None:
    assert torch.equal(
        generate(tiny_models.bigram(), fire_seed=seeds), generate(tiny_models.bigram(), fire_seed=[-1, 2, 3])
    )


@pytest.mark.parametrize(
    ("seed", "got"),
    [
        (5.9, "5.9"),
        ([5.9, 6.2, 7.0], "5.9"),
        ([1, 2, 7.0], "7.0"),
        (torch.tensor([5.0, 6.0, 7.0]), "5.0"),
        (torch.tensor(5.0), "5.0"),
        ("abc", "'abc'"),
        (b"abc", "b'abc'"),
        (["1", "2", "3"], "'1'"),
        (True, "True"),
        ([1, 2, True], "True"),
        (torch.tensor([True, False, True]), "True"),
        (np.array(True), "True"),
        ([[1], [2], [3]], "[1]"),
        (torch.tensor([[1], [2], [3]]), "[1]"),
        ([1, None, 3], "None"),
    ],
    ids=str,
)
def test_a_seed_that_is_no_integer_is_refused_rather_than_coerced(seed: Any, got: str) -> None:
    expected = f"fire_generate: fire_seed: got {got}, expected an integer, or one integer a sequence"
    with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
        generate(tiny_models.bigram(), fire_seed=seed)


@pytest.mark.parametrize("wrap", [lambda seed: seed, lambda seed: [1, 2, seed]], ids=["one", "each"])
@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_beyond_64_bits_is_refused_by_the_name_of_the_argument(
    seed: int, wrap: Callable[[int], Any]
) -> None:
    with pytest.raises(ValueError, match=f"^fire_generate: fire_seed: got {seed}, expected"):
        generate(tiny_models.bigram(), fire_seed=wrap(seed))
