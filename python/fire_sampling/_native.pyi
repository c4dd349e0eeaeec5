from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

class BuildInfo(TypedDict):
    version: str
    compiler: str
    instruction_set: str
    cuda: str
    torch: str | None

class Plan(TypedDict):
    launch: str
    cluster: int
    threads: int
    shared_bytes: int
    resident: bool
    pilot_shift: int

# The tasks that the plan tells apart.
TASKS: tuple[str, ...]
# A record as fire/config.h lays it out; the bits that each order, way with ties and design sets in its
# flags; the place of the member in its word `group`.
RECORD: np.dtype[np.void]
ORDER_FLAGS: dict[str, int]
TIES_FLAGS: dict[str, int]
DESIGN_FLAGS: dict[str, int]
MEMBER_SHIFT: int
MAX_GROUP_SIZE: int
REF_TEMPERATURE_GIVEN: int
MAX_VOCABULARY: int
# Of rows in shards (fire/shards.h): ranks, entries a row, the words of a row's state, the flag behind a row's
# entries, the bits of what is asked of a row, and of each dtype how many bits of its keys a search goes
# through.
MAX_SHARD_RANKS: int
MAX_SHARD_ENTRIES: int
SHARD_STATE_WORDS: int
SHARD_HAS_NAN: int
SHARD_WANTS: dict[str, int]
SHARD_KEY_BITS: dict[str, int]
# The outputs of `sample_with_logprobs` in their order: name, dtype of its elements, and whether each member
# of a group has its own.
OUTPUTS: tuple[tuple[str, str, bool], ...]

def sample(
    logits: npt.NDArray[np.generic],
    step: npt.NDArray[np.signedinteger],
    records: npt.NDArray[np.integer],
    slot: npt.NDArray[np.int32] | None = None,
) -> npt.NDArray[np.int64]: ...
def sample_with_logprobs(
    logits: npt.NDArray[np.generic],
    step: npt.NDArray[np.signedinteger],
    records: npt.NDArray[np.integer],
    slot: npt.NDArray[np.int32] | None = None,
    reference: bool = True,
) -> tuple[npt.NDArray[Any], ...]: ...

# `width` is from 1 to MAX_VOCABULARY: who calls this checks it.
def sample_with_support(
    logits: npt.NDArray[np.generic],
    step: npt.NDArray[np.signedinteger],
    records: npt.NDArray[np.integer],
    slot: npt.NDArray[np.int32] | None,
    *,
    width: int,
    reference: bool,
) -> tuple[npt.NDArray[Any], ...]: ...

# `size` is from 1 to MAX_GROUP_SIZE: who calls these checks it.
def sample_group(
    logits: npt.NDArray[np.generic],
    step: npt.NDArray[np.signedinteger],
    records: npt.NDArray[np.integer],
    slot: npt.NDArray[np.int32] | None,
    *,
    size: int,
) -> npt.NDArray[np.int64]: ...
def sample_group_with_logprobs(
    logits: npt.NDArray[np.generic],
    step: npt.NDArray[np.signedinteger],
    records: npt.NDArray[np.integer],
    slot: npt.NDArray[np.int32] | None,
    *,
    size: int,
    reference: bool,
) -> tuple[npt.NDArray[Any], ...]: ...
def sample_coded(
    logits: npt.NDArray[np.generic],
    code: npt.NDArray[np.integer],
    step: npt.NDArray[np.signedinteger],
    records: npt.NDArray[np.integer],
    slot: npt.NDArray[np.int32] | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]: ...
def first_code(
    step: npt.NDArray[np.signedinteger],
    records: npt.NDArray[np.integer],
    slot: npt.NDArray[np.int32] | None,
) -> npt.NDArray[np.uint64]: ...
def process_logits(
    logits: npt.NDArray[np.generic],
    step: npt.NDArray[np.signedinteger],
    records: npt.NDArray[np.integer],
    slot: npt.NDArray[np.int32] | None = None,
) -> npt.NDArray[np.float32]: ...
def log_prob(
    logits: npt.NDArray[np.generic],
    token: npt.NDArray[np.int64],
    step: npt.NDArray[np.signedinteger],
    records: npt.NDArray[np.integer],
    slot: npt.NDArray[np.int32] | None = None,
) -> npt.NDArray[np.float32]: ...
def support_log_prob(
    logits: npt.NDArray[np.generic],
    token: npt.NDArray[np.int64],
    support: npt.NDArray[np.int32],
    temperature: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]: ...

# Whether a temperature counts as 0.
def is_greedy(temperature: float) -> bool: ...

# Whether `heat_logits_` leaves a hot row of this record, uint32 [16], to the engine that applies it.
def hands_over(record: npt.NDArray[np.uint32], vocabulary: int) -> bool: ...
def spread_records(record: npt.NDArray[np.uint32], rows: int, first_row: int) -> npt.NDArray[np.uint32]: ...
def group_records(
    record: npt.NDArray[np.uint32], blocks: int, first_block: int, size: int
) -> npt.NDArray[np.uint32]: ...
def shard_slots(questions: int, ranks: int) -> int: ...
def build_info() -> BuildInfo: ...
def plan(
    task: str,
    rows: int,
    vocabulary: int,
    dtype: str,
    *,
    compute_capability: int = ...,
    multiprocessors: int = ...,
    shared_bytes: int = ...,
    largest_cluster: int = ...,
    clusters: Sequence[int] = ...,
) -> Plan: ...
