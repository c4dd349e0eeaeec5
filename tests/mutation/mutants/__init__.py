"""All mutations, a module for each file of the kernels, in the order of a row's way through them."""

from mutations import Mutation

from . import (
    candidates,
    kept_row,
    kept_set,
    launch_typed,
    logits,
    maxima,
    passes,
    phase,
    philox,
    plan,
    ptx,
    row_outputs,
    row_part,
    sample,
    search,
    settings,
    short_list,
    storage,
    team,
    tokens,
    weights,
)

MODULES = (
    plan,
    storage,
    launch_typed,
    row_part,
    passes,
    logits,
    ptx,
    maxima,
    candidates,
    settings,
    philox,
    phase,
    team,
    search,
    weights,
    tokens,
    kept_set,
    short_list,
    kept_row,
    sample,
    row_outputs,
)
MUTATIONS: list[Mutation] = [mutation for module in MODULES for mutation in module.MUTATIONS]
