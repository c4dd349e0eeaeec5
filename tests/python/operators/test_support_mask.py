"""`support_mask`: the bits of a support, for torch and for NumPy, held to numpy.unpackbits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from backends import DEVICE, pack
from torch.utils._python_dispatch import TorchDispatchMode

import fire_sampling as fire
from fire_sampling import numpy as fire_numpy

pytestmark = pytest.mark.every_backend

Support = npt.NDArray[np.int32]
Mask = npt.NDArray[np.uint8]


def by_torch(support: Support, vocabulary: int) -> Mask:
    mask = fire.support_mask(torch.from_numpy(support).to(DEVICE), vocabulary)
    assert str(mask.device) == DEVICE
    return mask.cpu().numpy()


ENTRIES = pytest.mark.parametrize("entry", [by_torch, fire_numpy.support_mask])
Entry = Callable[[Support, int], Mask]


def drawn_supports(rows: int, width: int, vocabulary: int, seed: int) -> Support:
    """Supports of every length from 1 to `width`, the first and the last token often among them."""
    rng = np.random.default_rng(seed)
    support = np.full((rows, width), -1, np.int32)
    for row in range(rows):
        size = int(rng.integers(1, min(width, vocabulary) + 1))
        ids = rng.choice(vocabulary, size, replace=False)
        if row % 3 == 0:
            ids[0] = vocabulary - 1 if vocabulary - 1 not in ids else ids[0]
        support[row, :size] = np.sort(ids)
    return support


@ENTRIES
@pytest.mark.parametrize("vocabulary", [1, 7, 8, 9, 64, 1003, 151_936])
@pytest.mark.parametrize("width", [1, 5, 64])
def test_bit_i_mod_8_of_byte_i_div_8_is_set_for_the_tokens_there_and_for_no_other(
    entry: Entry, vocabulary: int, width: int
) -> None:
    support = drawn_supports(12, width, vocabulary, seed=vocabulary + width)
    mask = entry(support, vocabulary)
    assert mask.dtype == np.uint8
    assert mask.shape == (12, -(-vocabulary // 8))
    for row, bits in enumerate(np.unpackbits(mask, axis=1, bitorder="little")):
        assert np.flatnonzero(bits).tolist() == support[row][support[row] >= 0].tolist()


@ENTRIES
@pytest.mark.parametrize("vocabulary", [1, 8, 21])
def test_a_support_of_no_ids_is_every_token_and_sets_no_bit_behind_the_vocabulary(
    entry: Entry, vocabulary: int
) -> None:
    support = np.array([[-1, -1], [0, -1]], np.int32)
    bits = np.unpackbits(entry(support, vocabulary), axis=1, bitorder="little")
    assert bits[0].tolist() == [int(token < vocabulary) for token in range(bits.shape[1])]
    assert np.flatnonzero(bits[1]).tolist() == [0]


@ENTRIES
def test_every_shape_with_a_last_dimension_of_places_is_taken_and_no_rows_too(entry: Entry) -> None:
    support = drawn_supports(6, 5, 40, seed=2)
    mask = entry(support, 40)
    assert entry(support.reshape(2, 3, 5), 40).tolist() == mask.reshape(2, 3, 5).tolist()
    assert entry(support[1], 40).tolist() == mask[1].tolist()
    assert entry(support[::2], 40).tolist() == mask[::2].tolist()
    assert entry(support[:0], 40).shape == (0, 5)
    transposed = np.ascontiguousarray(support.T).T  # places are not consecutive
    assert entry(transposed, 40).tolist() == mask.tolist()


def test_the_support_of_a_draw_is_the_mask_of_what_process_logits_keeps() -> None:
    logits = torch.randn(5, 300, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    config = fire.SamplingConfig(temperature=0.7, top_k=20, top_p=0.9, hot_top_k=33, seed=3)
    for step in (0, 1):
        records = pack(config, rows=5)
        drawn = fire.sample_with_support(logits, step, records, width=40)
        kept = fire.process_logits(logits, step, records).isfinite().cpu().numpy()
        mask = fire.support_mask(drawn.support, 300).cpu().numpy()
        assert mask.tolist() == np.packbits(kept, axis=1, bitorder="little").tolist()


def test_nothing_of_the_size_of_the_vocabulary_is_made_on_the_way() -> None:
    rows, width, vocabulary = 3, 16, 2**20
    largest = 0

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                largest = max(largest, made.nbytes)
            return made

    support = torch.arange(rows * width, dtype=torch.int32, device=DEVICE).reshape(rows, width)
    with Watch():  # type: ignore[no-untyped-call]
        mask = fire.support_mask(support, vocabulary)
    assert largest == mask.nbytes == rows * vocabulary // 8


BAD: list[tuple[list[list[int]], int]] = [
    ([[3, 3]], 9),
    ([[5, 3]], 9),
    ([[5, 3, 5]], 9),
    ([[-1, 3]], 9),
    ([[3, -1, 4]], 9),
    ([[3, 9]], 9),
    ([[-2, 3]], 9),
    ([[3, -2]], 9),
    ([[2**31 - 1, -1]], 9),
    ([[-(2**31), -1]], 9),
]


@ENTRIES
@pytest.mark.parametrize(("ids", "vocabulary"), BAD)
def test_what_is_no_support_is_refused_with_its_row_on_the_cpu(
    entry: Entry, ids: list[list[int]], vocabulary: int
) -> None:
    width = len(ids[0])
    support = np.array([[0, *[-1] * (width - 1)], *ids], np.int32)
    if entry is by_torch and DEVICE != "cpu":
        assert by_torch(support, vocabulary).tolist()[1] == [0, 0]
        return
    expected = "expected ids in ascending order, below the vocabulary, and -1 behind them"
    with pytest.raises(ValueError, match=r"support_mask: support holds \[.*\] in row 1, " + expected):
        entry(support, vocabulary)


@pytest.mark.parametrize(("ids", "vocabulary"), BAD)
def test_where_nothing_can_be_raised_what_is_no_support_has_no_bit(
    ids: list[list[int]], vocabulary: int
) -> None:
    width = len(ids[0])
    support = torch.tensor([[0, *[-1] * (width - 1)], *ids], dtype=torch.int32, device=DEVICE)
    compiled = torch.compile(fire.support_mask, fullgraph=True, dynamic=True, backend="aot_eager")
    assert compiled(support, vocabulary).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("support", "vocabulary", "error", "message"),
    [
        ([[0]], 9, TypeError, "support is of type list, expected a"),
        (np.zeros((1, 1), np.int64), 9, ValueError, r"support is (torch\.)?int64, expected int32"),
        (np.zeros((1, 1), np.uint32), 9, ValueError, r"support is (torch\.)?uint32, expected int32"),
        (np.int32(3) * np.ones((), np.int32), 9, (TypeError, ValueError), "support "),
        (
            np.zeros((2, 0), np.int32),
            9,
            ValueError,
            r"support has shape \[2, 0\], expected \[\.\.\., width\]",
        ),
        (np.zeros((1, 1), np.int32), 0, ValueError, "vocabulary is 0, expected an integer from 1 to 2097152"),
        (np.zeros((1, 1), np.int32), 2**21 + 1, ValueError, "vocabulary is 2097153, expected an integer"),
        (np.zeros((1, 1), np.int32), 9.0, TypeError, "vocabulary is 9.0, expected an integer from 1"),
        (np.zeros((1, 1), np.int32), True, TypeError, "vocabulary is True, expected an integer from 1"),
    ],
)
def test_wrong_arguments_are_named_with_what_came_and_what_was_expected(
    support: Any, vocabulary: Any, error: Any, message: str
) -> None:
    of_torch = torch.from_numpy(np.asarray(support)) if isinstance(support, np.ndarray) else support
    with pytest.raises(error, match=rf"^fire_sampling\.support_mask: {message}"):
        fire.support_mask(of_torch, vocabulary)
    with pytest.raises(error, match=rf"^fire_sampling\.numpy\.support_mask: {message}"):
        fire_numpy.support_mask(support, vocabulary)
    with pytest.raises(TypeError, match=r"support is of type ndarray, expected a torch\.Tensor"):
        fire.support_mask(np.zeros((1, 1), np.int32), 9)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="support is of type Tensor, expected a NumPy array"):
        fire_numpy.support_mask(torch.zeros(1, 1, dtype=torch.int32), 9)  # type: ignore[arg-type]
