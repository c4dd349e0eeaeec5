"""What was special about a row: the bits of the `status` output."""

from __future__ import annotations

import enum


class Status(enum.IntFlag):
    """docs/semantics.md says when each is set; `csrc/include/fire/status.h` holds the same bits."""

    HOT = 1 << 0
    GREEDY = 1 << 1
    NAN = 1 << 2
    NO_FINITE_LOGIT = 1 << 3
    INFINITY = 1 << 4
    SLOT_OUT_OF_RANGE = 1 << 5
    DECIDED = 1 << 6
    SUPPORT_CUT = 1 << 7
    REFUSED = 1 << 8
    UNSETTLED = 1 << 9
