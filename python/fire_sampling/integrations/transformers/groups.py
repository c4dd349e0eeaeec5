"""The group of each sequence that transformers generates: the completions of one prompt, side by side."""

import torch
from transformers import GenerationConfig

from fire_sampling.config import SPREADING, SamplingConfig

_CARRIED = ("stratified", "lattice")
_CHILD = "__child#"  # between a request's id and the number of a sequence forked from it


def size_of_groups(
    config: SamplingConfig, generation_config: GenerationConfig, input_ids: torch.Tensor, coded: bool
) -> int:
    """How many neighbouring sequences are a group; 1 where there is no design.

    It is `config.group_size`, by default `num_return_sequences`.

    Args:
        config: how to sample; its `member` follows from the order of the sequences.
        generation_config: generate's.
        input_ids: int64 [R, L], the prompts of the R sequences.
        coded: whether a code is carried from step to step.

    Raises:
        ValueError: the design would do nothing, or a group would hold the completions of several prompts.
    """
    full = config.resolve()
    if coded and full.design not in _CARRIED:
        raise ValueError(
            f"fire_generate: fire_code: got True with fire_config.design {full.design!r}, expected one of "
            f"{', '.join(map(repr, _CARRIED))}: a code spreads whole sequences as they spread hot tokens"
        )
    if not full.has_design:
        return 1
    design = f"fire_generate: fire_config.design: got {full.design!r}"
    if config.member is not None and full.member > 0:
        raise ValueError(
            f"fire_generate: fire_config.member: got {full.member}, expected none: it follows from the order "
            "of the sequences"
        )
    if full.design in SPREADING and not full.hot_steps:
        raise ValueError(f"{design} with no hot step, expected hot_steps of 1 or more: it acts in no other")
    completions = generation_config.num_return_sequences or 1
    size = full.group_size if full.group_size > 1 else completions
    if size == 1 and full.design in SPREADING:
        raise ValueError(
            f"{design} with num_return_sequences 1, expected 2 or more, or fire_config.group_size where the "
            "completions of a prompt are rows of the batch, side by side"
        )
    if completions % size > 0:
        _require_one_prompt_a_group(input_ids, size)
    return size


def _require_one_prompt_a_group(input_ids: torch.Tensor, size: int) -> None:
    """Refuses groups of rows whose prompts differ, or cannot be seen: embeddings, or an encoder's."""
    rows, width = input_ids.shape
    named = f"fire_generate: fire_config.group_size: got {size}"
    if rows % size > 0:
        raise ValueError(f"{named} for {rows} sequences, expected a divisor of their number")
    if width < 2:
        raise ValueError(f"{named}, expected a divisor of num_return_sequences: the prompts cannot be seen")
    grouped = input_ids.view(rows // size, size, width)
    if not torch.equal(grouped, grouped[:, :1].expand_as(grouped)):
        raise ValueError(
            f"{named}, expected the number of rows, side by side, that hold one prompt: the rows of a group "
            "differ"
        )


def require_members(config: SamplingConfig, seeded: bool, completions: int, drawn_elsewhere: bool) -> None:
    """Refuses a request of continuous batching that would be drawn on its own, though it has a design.

    Args:
        config: how to sample it.
        seeded: whether it brings a seed of its own.
        completions: the manager's `num_return_sequences`.
        drawn_elsewhere: whether transformers draws from the distribution.

    Raises:
        ValueError: names the field, what came and what was expected.
    """
    full = config.resolve()
    design = f"design: got {full.design!r}"
    if full.design in SPREADING and not full.hot_steps:
        raise ValueError(f"{design} with no hot step, expected hot_steps of 1 or more: it acts in no other")
    if full.design in _CARRIED and drawn_elsewhere:
        raise ValueError(
            f"{design} with return_logprobs=True, expected none: transformers draws itself there"
        )
    if completions > 1 and (full.group_size, full.member) not in ((1, 0), (completions, 0)):
        raise ValueError(
            f"group_size: got {full.group_size}, member {full.member}, expected neither with "
            f"num_return_sequences={completions}: the sequences of a request are its group"
        )
    if completions == 1 and (config.group_size is None or config.member is None or not seeded):
        raise ValueError(
            f"{design} with num_return_sequences=1, expected 2 or more, or group_size, member and the seed "
            "of the group beside it"
        )


def member_of(request_id: str) -> tuple[str, int]:
    """The id of the request that a sequence was forked from, and which of its sequences it is.

    The first is the request itself; transformers names the others after it.
    """
    parent, named, child = request_id.rpartition(_CHILD)
    return (parent, int(child) + 1) if named and child.isdecimal() else (request_id, 0)


def require_group_size(config: SamplingConfig) -> None:
    """Refuses a design of a `FireLogitsProcessor` that would do nothing."""
    full = config.resolve()
    if full.group_size == 1 or full.member > 0 or (full.design in SPREADING and not full.hot_steps):
        raise ValueError(
            f"FireLogitsProcessor: config.design: got {full.design!r} with group_size {full.group_size}, "
            f"member {full.member} and hot_steps {full.hot_steps}, expected a group_size of 2 or more, how "
            "many rows side by side are the completions of a prompt, no member, and a hot step"
        )
