"""The bad calls of the operators, each wrong in one argument, and the words that refuse it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from operator_inputs import OPERATORS, WITH_LOGITS

ROWS, VOCABULARY = 4, 50

Arguments = dict[str, Any]


class BadCall(NamedTuple):
    argument: str
    change: Callable[[Arguments], Any]  # what to pass as that argument, made from the good ones
    message: str  # what follows "fire::<operator>: <argument> "
    with_slot: bool = False
    only: tuple[str, ...] = OPERATORS
    static: bool = False  # whether it is wrong whatever the sizes are: then the fakes refuse it too


READING_ONLY = tuple(name for name in OPERATORS if name != "heat_logits_")

BAD_CALLS = {
    "float64 logits": BadCall(
        "logits",
        lambda a: a["logits"].double(),
        "has dtype float64, expected float32, bfloat16 or float16",
        only=READING_ONLY,
        static=True,
    ),
    "integer logits": BadCall(
        "logits",
        lambda a: a["logits"].int(),
        "has dtype int32, expected float32, bfloat16 or float16",
        only=READING_ONLY,
        static=True,
    ),
    "float8 logits": BadCall(
        "logits",
        lambda a: a["logits"].to(torch.float8_e4m3fn),
        "has dtype float8_e4m3fn, expected float32, bfloat16 or float16",
        only=READING_ONLY,
        static=True,
    ),
    "16-bit logits written in place": BadCall(
        "logits",
        lambda a: a["logits"].bfloat16(),
        "has dtype bfloat16, expected float32 (it is written in place)",
        only=("heat_logits_",),
        static=True,
    ),
    "one row of logits without its batch dimension": BadCall(
        "logits", lambda a: a["logits"][0], "has shape [50], expected [R, V]", static=True
    ),
    "logits of a whole sequence": BadCall(
        "logits",
        lambda a: a["logits"].reshape(2, 2, 50),
        "has shape [2, 2, 50], expected [R, V]",
        static=True,
    ),
    "0-d logits": BadCall(
        "logits", lambda a: a["logits"][0, 0], "has shape [], expected [R, V]", static=True
    ),
    "an empty vocabulary": BadCall(
        "logits", lambda a: a["logits"][:, :0], "has shape [4, 0], expected [R, V] with 1 <= V <= 2097152"
    ),
    "too large a vocabulary": BadCall(
        "logits",
        lambda a: a["logits"][:, :1].expand(ROWS, 2**21 + 1),
        "has shape [4, 2097153], expected [R, V] with 1 <= V <= 2097152",
    ),
    "every second logit": BadCall(
        "logits",
        lambda a: a["logits"][:, ::2],
        "has stride 2 along V, expected 1 (call logits.contiguous() first)",
    ),
    "transposed logits": BadCall(
        "logits",
        lambda a: a["logits"].reshape(50, 4).t(),
        "has stride 4 along V, expected 1 (call logits.contiguous() first)",
    ),
    "one logit expanded over the vocabulary": BadCall(
        "logits",
        lambda a: a["logits"][:, :1].expand(ROWS, VOCABULARY),
        "has stride 0 along V, expected 1 (call logits.contiguous() first)",
    ),
    "one row written as many": BadCall(
        "logits",
        lambda a: a["logits"][:1].expand(ROWS, VOCABULARY),
        "has row stride 0, expected at least V = 50 (rows written in place must not overlap; "
        "call logits.clone() first)",
        only=("heat_logits_",),
    ),
    "rows written that overlap": BadCall(
        "logits",
        lambda a: a["logits"].as_strided((ROWS, VOCABULARY), (49, 1)),
        "has row stride 49, expected at least V = 50 (rows written in place must not overlap; "
        "call logits.clone() first)",
        only=("heat_logits_",),
    ),
    "floating steps": BadCall(
        "step", lambda a: a["step"].float(), "has dtype float32, expected int32 or int64", static=True
    ),
    "bool steps": BadCall(
        "step", lambda a: a["step"].bool(), "has dtype bool, expected int32 or int64", static=True
    ),
    "too few steps": BadCall(
        "step",
        lambda a: a["step"][:3],
        "has shape [3], expected [4], one a row of logits, or [], one for all",
        only=WITH_LOGITS,
    ),
    "one step in a dimension of its own": BadCall(
        "step",
        lambda a: a["step"][:1],
        "has shape [1], expected [4], one a row of logits, or [], one for all",
        only=WITH_LOGITS,
    ),
    "a column of steps": BadCall(
        "step",
        lambda a: a["step"][:, None],
        "has shape [4, 1], expected [4], one a row of logits, or [], one for all",
        static=True,
        only=WITH_LOGITS,
    ),
    "float records": BadCall(
        "cfg", lambda a: a["cfg"].float(), "has dtype float32, expected int32", static=True
    ),
    "64-bit records": BadCall(
        "cfg", lambda a: a["cfg"].long(), "has dtype int64, expected int32", static=True
    ),
    "one record without its batch dimension": BadCall(
        "cfg",
        lambda a: a["cfg"][0],
        "has shape [16], expected [S, 16] as made by fire_sampling.pack",
        static=True,
    ),
    "truncated records": BadCall(
        "cfg",
        lambda a: a["cfg"][:, :15].contiguous(),
        "has shape [4, 15], expected [S, 16] as made by fire_sampling.pack",
    ),
    "one record expanded over the rows": BadCall(
        "cfg",
        lambda a: a["cfg"][:1].expand(ROWS, 16),
        "has strides [0, 1], expected contiguous records (call cfg.contiguous() first)",
    ),
    "transposed records": BadCall(
        "cfg",
        lambda a: a["cfg"].reshape(16, 4).t(),
        "has strides [1, 4], expected contiguous records (call cfg.contiguous() first)",
    ),
    "one record for many rows, which would share a random number": BadCall(
        "cfg",
        lambda a: a["cfg"][:1],
        "has S = 1 for R = 4 rows of logits, expected a record for each row "
        "(fire_sampling.pack(config, rows=4) makes them, each with a seed of its own) "
        "or a slot that names each row's record",
        only=WITH_LOGITS,
    ),
    "more records than rows without slot": BadCall(
        "cfg",
        lambda a: a["cfg"].repeat(2, 1),
        "has S = 8 for R = 4 rows of logits, expected a record for each row "
        "(fire_sampling.pack(config, rows=4) makes them, each with a seed of its own) "
        "or a slot that names each row's record",
        only=WITH_LOGITS,
    ),
    "no records to choose from": BadCall(
        "cfg",
        lambda a: a["cfg"][:0],
        "has S = 0, expected at least one record for slot to choose from",
        with_slot=True,
    ),
    "64-bit slots": BadCall(
        "slot", lambda a: a["slot"].long(), "has dtype int64, expected int32", with_slot=True, static=True
    ),
    "a 0-d slot": BadCall(
        "slot",
        lambda a: a["slot"][0],
        "has shape [], expected [4], one a row of logits",
        with_slot=True,
        static=True,
        only=WITH_LOGITS,
    ),
    "too few slots": BadCall(
        "slot",
        lambda a: a["slot"][:3],
        "has shape [3], expected [4], one a row of logits",
        with_slot=True,
        only=WITH_LOGITS,
    ),
    "fewer steps than records": BadCall(
        "step",
        lambda a: a["step"][:3],
        "has shape [3], expected [4], one a record, or [], one for all",
        only=("first_code",),
    ),
    "fewer steps than slots": BadCall(
        "step",
        lambda a: a["step"][:3],
        "has shape [3], expected [4], one a slot, or [], one for all",
        with_slot=True,
        only=("first_code",),
    ),
    "steps of two dimensions beside records": BadCall(
        "step",
        lambda a: a["step"][:, None],
        "has shape [4, 1], expected [4], one a record, or [], one for all",
        only=("first_code",),
        static=True,
    ),
    "a 0-d slot without logits": BadCall(
        "slot",
        lambda a: a["slot"][0],
        "has shape [], expected [R], one a sequence",
        with_slot=True,
        only=("first_code",),
        static=True,
    ),
    "32-bit codes": BadCall(
        "code", lambda a: a["code"].int(), "has dtype int32, expected int64", static=True
    ),
    "floating codes": BadCall(
        "code", lambda a: a["code"].double(), "has dtype float64, expected int64", static=True
    ),
    "a 0-d code": BadCall(
        "code", lambda a: a["code"][0], "has shape [], expected [4], one a row of logits", static=True
    ),
    "a column of codes": BadCall(
        "code",
        lambda a: a["code"][:, None],
        "has shape [4, 1], expected [4], one a row of logits",
        static=True,
    ),
    "too few codes": BadCall(
        "code", lambda a: a["code"][:3], "has shape [3], expected [4], one a row of logits"
    ),
    "a group of none": BadCall("size", lambda a: 0, "is 0, expected 1 to 65536", static=True),
    "a group of less than none": BadCall("size", lambda a: -1, "is -1, expected 1 to 65536", static=True),
    "too large a group": BadCall("size", lambda a: 65537, "is 65537, expected 1 to 65536", static=True),
    "a group whose size has 33 bits": BadCall(
        "size", lambda a: 2**32 + 1, "is 4294967297, expected 1 to 65536", static=True
    ),
    "a support without places": BadCall("width", lambda a: 0, "is 0, expected 1 to 2097152", static=True),
    "a support of less than no places": BadCall(
        "width", lambda a: -1, "is -1, expected 1 to 2097152", static=True
    ),
    "too wide a support": BadCall(
        "width", lambda a: 2**21 + 1, "is 2097153, expected 1 to 2097152", static=True
    ),
    "a support whose width has 33 bits": BadCall(
        "width", lambda a: 2**32 + 1, "is 4294967297, expected 1 to 2097152", static=True
    ),
    "32-bit tokens": BadCall(
        "token", lambda a: a["token"].int(), "has dtype int32, expected int64", static=True
    ),
    "a 0-d token": BadCall(
        "token", lambda a: a["token"][0], "has shape [], expected [4], one a row of logits", static=True
    ),
    "too many tokens": BadCall(
        "token", lambda a: a["token"].repeat(2), "has shape [8], expected [4], one a row of logits"
    ),
    "a grad of the logits' shape": BadCall(
        "grad", lambda a: a["logits"], "has shape [4, 50], expected [4], one a row of logits", static=True
    ),
    "a float64 grad": BadCall(
        "grad", lambda a: a["grad"].double(), "has dtype float64, expected float32", static=True
    ),
}
