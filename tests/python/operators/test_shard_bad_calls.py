"""One table of bad calls of the operators of rows in shards, run against the kernels and the fakes, which
refuse what no size decides alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from backends import DEVICE
from operator_inputs import operator
from torch._subclasses.fake_tensor import FakeTensorMode

from fire_sampling import _native

pytestmark = pytest.mark.every_backend

ROWS, VOCABULARY, COUNT, WORDS = 4, 50, 6, _native.SHARD_STATE_WORDS
Arguments = dict[str, Any]

# The arguments of each operator; those behind None go by keyword.
ORDER: dict[str, tuple[str | None, ...]] = {
    "shard_entries": ("logits", "count", "first_id"),
    "shard_begin": (
        *("entries", "step", "cfg", "slot", None),
        *("vocabulary", "ranks", "wants", "key_bits", "token"),
    ),
    "shard_answer": ("logits", "state", "rows", "first_id", "rank", "slots"),
    "shard_take": ("state", "entries", "weights", "answers", "rows"),
    "shard_finish": ("state", "reference"),
    "shard_process": ("logits", "state", "first_id"),
    "shard_log_prob_backward": ("grad", "logits", "state", "first_id"),
    "shard_heat_": ("logits", "state", "first_id"),
}


class BadCall(NamedTuple):
    argument: str
    change: Callable[[Arguments], Any]  # what to pass as that argument, made from the good ones
    message: str  # what follows "fire::<operator>: <argument> "
    static: bool = False  # whether it is wrong whatever the sizes are: then the fakes refuse it too
    without: tuple[str, ...] = ()  # operators that take it


HEAT = ("shard_heat_",)
OF_LOGITS = ("shard_take", "shard_finish")
STATE = f"[4, {WORDS}] as made by shard_begin"
BAD_CALLS = {
    "float64 logits": BadCall(
        "logits",
        lambda a: a["logits"].double(),
        "has dtype float64, expected float32, bfloat16 or float16",
        True,
        HEAT,
    ),
    "16-bit logits written in place": BadCall(
        "logits",
        lambda a: a["logits"].half(),
        "has dtype float16, expected float32 (it is written in place)",
        True,
        ("shard_entries", "shard_answer", "shard_process", "shard_log_prob_backward"),
    ),
    "one row of logits": BadCall("logits", lambda a: a["logits"][0], "has shape [50], expected [R, V]", True),
    "an empty shard, which has nothing to tell": BadCall(
        "logits", lambda a: a["logits"][:, :0], "has shape [4, 0], expected [R, V] with 1 <= V <= 2097152"
    ),
    "every second logit": BadCall(
        "logits",
        lambda a: a["logits"][:, ::2],
        "has stride 2 along V, expected 1 (call logits.contiguous() first)",
    ),
    "a shard that begins before the vocabulary": BadCall(
        "first_id", lambda a: -1, "is -1, expected 0 to 2097102", True
    ),
    "a shard that ends behind the largest vocabulary": BadCall(
        "first_id", lambda a: 2097103, "is 2097103, expected 0 to 2097102", True
    ),
    "no entries": BadCall("count", lambda a: 0, "is 0, expected 1 to 4096", True),
    "too many entries": BadCall("count", lambda a: 4097, "is 4097, expected 1 to 4096", True),
    "entries of another kind": BadCall(
        "entries", lambda a: a["entries"].double(), "has dtype float64, expected int64", True
    ),
    "the entries of one row": BadCall(
        "entries",
        lambda a: a["entries"][0],
        "has shape [7], expected [4, count + 1] with 1 <= count <= 4096",
        True,
        ("shard_begin",),
    ),
    "flags without entries": BadCall(
        "entries",
        lambda a: a["entries"][:, :1],
        "has shape [4, 1], expected [4, count + 1] with 1 <= count <= 4096",
    ),
    "entries of too few rows": BadCall(
        "entries",
        lambda a: a["entries"][:3],
        "has shape [3, 7], expected [4, count + 1] with 1 <= count <= 4096",
        without=("shard_begin",),
    ),
    "floating steps": BadCall(
        "step", lambda a: a["step"].float(), "has dtype float32, expected int32 or int64", True
    ),
    "too few steps": BadCall(
        "step",
        lambda a: a["step"][:3],
        "has shape [3], expected [4], one a row of logits, or [], one for all",
    ),
    "64-bit records": BadCall("cfg", lambda a: a["cfg"].long(), "has dtype int64, expected int32", True),
    "64-bit slots": BadCall("slot", lambda a: a["slot"].long(), "has dtype int64, expected int32", True),
    "a vocabulary of none": BadCall("vocabulary", lambda a: 0, "is 0, expected 1 to 2097152", True),
    "no ranks": BadCall("ranks", lambda a: 0, "is 0, expected 1 to 256", True),
    "too many ranks": BadCall("ranks", lambda a: 257, "is 257, expected 1 to 256", True),
    "wants of no meaning": BadCall("wants", lambda a: 16, "is 16, expected 0 to 15", True),
    "wants of a sign": BadCall("wants", lambda a: -1, "is -1, expected 0 to 15", True),
    "keys of no type": BadCall(
        "key_bits",
        lambda a: 64,
        "is 64, expected 32 for float32, 19 for float16 or 16 for bfloat16",
        True,
    ),
    "no token whose log-probability is wanted": BadCall(
        "token", lambda a: None, "is None, expected one a row, as wants asks for its log-probability", True
    ),
    "32-bit tokens": BadCall("token", lambda a: a["token"].int(), "has dtype int32, expected int64", True),
    "too few tokens": BadCall(
        "token", lambda a: a["token"][:2], "has shape [2], expected [4], one a row of logits"
    ),
    "a floating state": BadCall(
        "state", lambda a: a["state"].float(), "has dtype float32, expected int64", True
    ),
    "the state of one row": BadCall(
        "state", lambda a: a["state"][0], f"has shape [{WORDS}], expected {STATE}", True, OF_LOGITS
    ),
    "states of too few rows": BadCall(
        "state", lambda a: a["state"][:3], f"has shape [3, {WORDS}], expected {STATE}", without=OF_LOGITS
    ),
    "a cut state": BadCall(
        "state",
        lambda a: a["state"][:, :5].contiguous(),
        f"has shape [4, 5], expected {STATE}",
        without=OF_LOGITS,
    ),
    "one state for all": BadCall(
        "state",
        lambda a: a["state"][:1].expand(4, WORDS),
        "has strides [0, 1], expected a contiguous state, as made by shard_begin",
    ),
    "32-bit rows": BadCall("rows", lambda a: a["rows"].int(), "has dtype int32, expected int64", True),
    "a mask of rows": BadCall(
        "rows",
        lambda a: a["rows"][None],
        "has shape [1, 2], expected [n], the rows that take part",
        True,
    ),
    "less than the first rank": BadCall("rank", lambda a: -1, "is -1, expected 0 to 255", True),
    "a rank of too many": BadCall("rank", lambda a: 256, "is 256, expected 0 to 255", True),
    "no slots": BadCall("slots", lambda a: 0, "is 0, expected 2 to 258", True),
    "too many slots": BadCall("slots", lambda a: 259, "is 259, expected 2 to 258", True),
    "weights of another list": BadCall(
        "weights", lambda a: a["weights"][:, :5], "has shape [4, 5], expected [4, 6] as made by shard_begin"
    ),
    "floating weights": BadCall(
        "weights", lambda a: a["weights"].double(), "has dtype float64, expected int64", True
    ),
    "answers of another kind": BadCall(
        "answers", lambda a: a["answers"].double(), "has dtype float64, expected int64", True
    ),
    "answers without their pairs": BadCall(
        "answers",
        lambda a: a["answers"][..., 0],
        "has shape [2, 258], expected [2, slots, 2], a row's answer each",
        True,
    ),
    "answers of rows that take no part": BadCall(
        "answers",
        lambda a: a["answers"].repeat(2, 1, 1),
        "has shape [4, 258, 2], expected [2, slots, 2], a row's answer each",
    ),
    "answers of one slot": BadCall(
        "answers",
        lambda a: a["answers"][:, :1],
        "has shape [2, 1, 2], expected [2, slots, 2] with 2 <= slots <= 258",
    ),
    "a float64 grad": BadCall(
        "grad", lambda a: a["grad"].double(), "has dtype float64, expected float32", True
    ),
    "a grad of the logits' shape": BadCall(
        "grad", lambda a: a["logits"], "has shape [4, 50], expected [4], one a row of logits", True
    ),
}


def cases() -> list[Any]:
    return [
        pytest.param(name, bad, id=f"{name}: {title}")
        for title, bad in BAD_CALLS.items()
        for name in ORDER
        if bad.argument in ORDER[name] and name not in bad.without
    ]


def good_arguments(device: str) -> Arguments:
    def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype, device=device)

    state = zeros(ROWS, WORDS)
    state[:, 3] = 2  # ranks
    return {
        "logits": zeros(ROWS, VOCABULARY, dtype=torch.float32),
        "grad": zeros(ROWS, dtype=torch.float32),
        "cfg": zeros(ROWS, 16, dtype=torch.int32),
        "slot": zeros(ROWS, dtype=torch.int32),
        "step": zeros(ROWS),
        "token": zeros(ROWS),
        "entries": zeros(ROWS, COUNT + 1),
        "weights": zeros(ROWS, COUNT),
        "state": state,
        "rows": torch.arange(2, device=device),  # each once
        "answers": zeros(2, 258, 2),
        "first_id": 0,
        "count": COUNT,
        "vocabulary": 2 * VOCABULARY,
        "ranks": 2,
        "rank": 1,
        "wants": 4,
        "key_bits": 32,
        "slots": 258,
        "reference": True,
    }


def call(name: str, arguments: Arguments) -> object:
    order = ORDER[name]
    by_keyword = order.index(None) if None in order else len(order)
    keywords = {argument: arguments[argument] for argument in order[by_keyword + 1 :] if argument}
    return operator(name)(*(arguments[argument] for argument in order[:by_keyword] if argument), **keywords)


@pytest.mark.parametrize("where", ["kernel", "meta", "fake"])
@pytest.mark.parametrize(("name", "bad"), cases())
def test_a_bad_call_is_refused_in_these_words_by_a_fake_where_no_size_decides(
    name: str, bad: BadCall, where: str
) -> None:
    with FakeTensorMode() if where == "fake" else contextlib.nullcontext():
        arguments = good_arguments("meta" if where == "meta" else DEVICE)
        call(name, arguments)
        arguments[bad.argument] = bad.change(arguments)
        if where != "kernel" and not bad.static:
            call(name, arguments)
            return
        with pytest.raises(RuntimeError) as caught:
            call(name, arguments)
    assert str(caught.value) == f"fire::{name}: {bad.argument} {bad.message}"


TENSORS = [argument for argument, value in good_arguments("meta").items() if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize(
    ("name", "moved"), [(name, moved) for name in ORDER for moved in TENSORS if moved in ORDER[name]]
)
def test_one_argument_on_another_device_is_refused_instead_of_returning_uninitialised_memory(
    name: str, moved: str
) -> None:
    arguments = good_arguments(DEVICE)
    arguments[moved] = arguments[moved].to("meta")
    if len([argument for argument in ORDER[name] if argument in TENSORS]) == 1:
        return  # then it is a call on meta tensors
    with pytest.raises(
        RuntimeError, match=rf"^fire::{name}: \w+ is on (meta|{DEVICE}), expected (meta|{DEVICE}), "
    ):
        call(name, arguments)
