"""The first exchange of a call: what each rank was called with, or why it refuses.

Every rank sees every header and so draws the same conclusion: all go on, or all raise the same error. Without
it the others would wait for a rank that has raised until the backend gives up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor

from fire_sampling.distributed._ranks import Ranks

FUNCTIONS = ("sample", "sample_with_logprobs", "log_prob", "process_logits", "heat_logits_")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
NOT_GIVEN = -1

_ERRORS = (RuntimeError, TypeError, ValueError, ImportError, NotImplementedError)
_TEXT_BYTES = 1024


class Header(NamedTuple):
    """What one rank was called with; hashes where a value is a tensor."""

    function: int = 0
    device: int = 0  # the name of its type
    rows: int = 0
    dtype: int = 0
    columns: int = 0
    first_id: int = NOT_GIVEN
    vocabulary: int = NOT_GIVEN
    entries: int = NOT_GIVEN
    reference: int = 0
    rounds: int = NOT_GIVEN
    seedless: int = 0
    step: int = 0
    records: int = 0
    slot: int = 0
    token: int = 0


_REFUSED = len(Header._fields)  # then 0, or 1 + the place of the error's type; the bytes of its text; those
_WORDS = _REFUSED + 2 + _TEXT_BYTES // 8


def exchange(ranks: Ranks, name: str, make: Callable[[], Header]) -> list[Header]:
    """The headers of all ranks; `make` makes this one's.

    Raises:
        Exception: What `make` has raised on some rank, the first of them, on every rank alike; or a
            ValueError where they were called with different arguments.
    """
    try:
        failure, header = None, make()
    except Exception as error:
        failure, header = error, Header()
    headers = _gathered(ranks, name, header, failure)
    for rank, other in enumerate(headers):
        for field, told in _EQUAL.items():
            came, expected = getattr(other, field), getattr(headers[0], field)
            if came != expected:
                raise ValueError(f"{name}: {_rank(ranks, rank)}: {told(came, expected)}")
    return headers


def fail(ranks: Ranks, name: str, failure: Exception | None) -> NoReturn:
    """Raises on every rank what some of them bring; each has to come here."""
    _gathered(ranks, name, Header(), failure)
    raise RuntimeError(f"{name}: a rank has failed without telling why")


def device_word(device: torch.device) -> int:
    """The name of its type as a number; of a long one the beginning."""
    return int.from_bytes(device.type.encode()[:7], "little")


def fingerprint(tensor: Tensor | None) -> int:
    """A hash of the values and the shape of integers; 0 for None."""
    if tensor is None:
        return 0
    values = tensor.detach().cpu().long().contiguous().numpy()
    digest = hashlib.blake2b(values.tobytes(), digest_size=8, key=str(tuple(tensor.shape)).encode()[:64])
    return int.from_bytes(digest.digest(), "little", signed=True)


def _gathered(ranks: Ranks, name: str, header: Header, failure: Exception | None) -> list[Header]:
    """The headers of all ranks. Raises the failure of the first that has one."""
    words = torch.zeros(_WORDS, dtype=torch.int64)
    words[:_REFUSED] = torch.tensor(header)
    if failure is not None:
        kind = next((i for i, error in enumerate(_ERRORS) if type(failure) is error), 0)
        text = str(failure).removeprefix(f"{name}: ").encode()[:_TEXT_BYTES]
        words[_REFUSED] = 1 + kind
        words[_REFUSED + 1] = len(text)
        words[_REFUSED + 2 :].view(torch.uint8)[: len(text)] = torch.tensor([*text], dtype=torch.uint8)
    gathered = ranks.gather(words)
    for rank in range(ranks.size):
        refused = int(gathered[rank, _REFUSED])
        if refused:
            told = gathered[rank, _REFUSED + 2 :].contiguous().view(torch.uint8)
            text = bytes(told[: int(gathered[rank, _REFUSED + 1])].tolist())
            message = f"{name}: {_rank(ranks, rank)}: {text.decode(errors='ignore')}"
            raise _ERRORS[refused - 1](message) from (failure if rank == ranks.rank else None)
    return [Header(*row) for row in gathered[:, :_REFUSED].tolist()]


def _rank(ranks: Ranks, rank: int) -> str:
    return f"rank {rank} of {ranks.size}"


def _number(argument: str) -> Callable[[int, int], str]:
    def told(came: int, expected: int) -> str:
        was, wanted = ("None" if number == NOT_GIVEN else str(number) for number in (came, expected))
        return f"{argument} is {was}, expected {wanted}, as on rank 0"

    return told


def _values(argument: str) -> Callable[[int, int], str]:
    def told(came: int, expected: int) -> str:
        return f"{argument} is not that of rank 0, expected the same on every rank"

    return told


# What must be equal on every rank, in the order in which it is looked at.
_EQUAL: dict[str, Callable[[int, int], str]] = {
    "function": lambda came, expected: f"calls {FUNCTIONS[came]}, expected {FUNCTIONS[expected]}, as rank 0",
    "device": lambda came, expected: (
        f"logits is on {_device(came)}, expected {_device(expected)}, as on rank 0"
    ),
    "rows": lambda came, expected: f"logits has {came} rows, expected {expected}, as on rank 0",
    "dtype": lambda came, expected: (
        f"logits has dtype {_dtype(came)}, expected {_dtype(expected)}, as on rank 0"
    ),
    "vocabulary": _number("vocabulary"),
    "entries": _number("entries"),
    "reference": lambda came, expected: f"reference is {bool(came)}, expected {bool(expected)}, as on rank 0",
    "rounds": _number("rounds"),
    "seedless": lambda came, expected: f"config lacks {came} seeds, expected {expected}, as on rank 0",
    "step": _values("step"),
    "records": _values("config"),
    "slot": _values("slot"),
    "token": _values("token"),
}


def _device(word: int) -> str:
    return word.to_bytes(7, "little").rstrip(b"\0").decode(errors="ignore")


def _dtype(index: int) -> str:
    return str(DTYPES[index]).removeprefix("torch.")
