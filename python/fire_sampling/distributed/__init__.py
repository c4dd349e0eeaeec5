"""Sampling of rows whose columns are spread over the ranks of a torch.distributed process group.

Tensor-parallel models leave each rank with a part of the vocabulary. The functions here are those of
`fire_sampling` for such shards: the same bits, on every rank, and no rank ever holds a whole row.
docs/distributed.md says what is exchanged.
"""

from fire_sampling.distributed.functions import (
    heat_logits_,
    log_prob,
    process_logits,
    sample,
    sample_with_logprobs,
)

__all__ = ["heat_logits_", "log_prob", "process_logits", "sample", "sample_with_logprobs"]
