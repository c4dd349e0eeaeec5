"""What a call on vocabulary shards exchanges, and how long NCCL's own cost model says that takes.

Predicted, not measured: the model is the one by which NCCL chooses its algorithm, its constants those of its
file src/graph/tuning.cc (version 2.7.5) for GPUs of compute capability 8.0 behind NVLink, eight a node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

WORD = 8  # bytes: all that is exchanged are 64-bit integers
LOGIT = 2  # of the gather, in bfloat16
NODE = 8  # ranks
GATHER, ADD = "gather", "add"


class Exchange(NamedTuple):
    """One collective: its kind, and the words that each rank brings for a row."""

    kind: str
    words: int


@dataclass(frozen=True)
class Case:
    """A setting, and which exchanges settle its rows."""

    title: str
    entries: int
    masses: int = 0  # exchanges of each rank's count and mass
    searched: int = 0  # digits of an entry, one after another
    token: bool = False

    def exchanges(self, ranks: int) -> list[Exchange]:
        return [
            Exchange(GATHER, self.entries + 1),
            *[Exchange(ADD, 2 * (2 + ranks))] * self.masses,
            *[Exchange(ADD, 2 * (2 + 256))] * self.searched,
            *[Exchange(ADD, 2 * 2)] * self.token,
        ]

    def row_bytes(self, ranks: int) -> int:
        """What a rank brings for one row."""
        return WORD * sum(exchange.words for exchange in self.exchanges(ranks))

    def microseconds(self, ranks: int, rows: int) -> float:
        return sum(
            microseconds(exchange.kind, ranks, rows * exchange.words * WORD)
            for exchange in self.exchanges(ranks)
        )


CASES = {
    "top_k": Case("top-k 50, whatever top-p and min-p", entries=50),
    "nucleus": Case("top-p that the first 64 tokens reach", entries=64, masses=1),
    "none": Case("no filter", entries=1, masses=1, token=True),
    "search": Case("top-p beyond them", entries=64, masses=2, searched=4, token=True),
}


def gathered_bytes(ranks: int, vocabulary: int) -> int:
    """What a rank brings for one row where logits are gathered."""
    return -(-vocabulary // ranks) * LOGIT


def gather_microseconds(ranks: int, vocabulary: int, rows: int) -> float:
    return microseconds(GATHER, ranks, rows * gathered_bytes(ranks, vocabulary))


class _Way(NamedTuple):
    """An algorithm with a protocol: microseconds to begin, per hop over NVLink and over the network, and the
    part of the links' bandwidth that it reaches for a gather and for a sum, within a node.
    """

    base: float
    hop: float
    network_hop: float
    gather: float
    add: float


_BANDWIDTH = 235.0  # GB/s of a node's links, as the model bounds it for compute capability 8.0
_RINGS = (_Way(3.6, 0.47, 2.7, 1 / 3, 1 / 4), _Way(8.4, 3.4, 9.6, 1.0, 1.0))  # LL, Simple
_TREE = _Way(4.4, 0.52, 5.0, 0.0, 110.0 / _BANDWIDTH / 3.8)  # LL; adds alone


def microseconds(kind: str, ranks: int, sent: int) -> float:
    """Of one collective to which each rank brings so many bytes."""
    nodes = -(-ranks // NODE)
    times = []
    for way in _RINGS:
        steps, network_steps = ranks - 1, nodes - 1
        whole, share = sent * ranks, way.gather
        if kind == ADD:
            steps, network_steps, whole, share = 2 * steps, 2 * network_steps, sent, way.add
        is_ll = way is _RINGS[0]
        hop = way.hop * (1.8 if nodes > 1 and is_ll else 1)
        share = 1 / 4 if nodes > 1 and is_ll else share
        bandwidth = _BANDWIDTH * share * ranks / steps
        latency = way.base + (steps - network_steps) * hop + network_steps * way.network_hop
        times.append(latency + whole / (1000 * bandwidth))
    if kind == ADD:
        hop = _TREE.hop * (1.8 if nodes > 1 else 1)
        latency = _TREE.base + 2 * ((ranks // nodes - 1) * hop + int(math.log2(nodes)) * _TREE.network_hop)
        times.append(latency + sent / (1000 * _BANDWIDTH * _TREE.add * 0.5))
    return min(times)
