"""All mutations, a module for each file of the kernels, in the order of a row's way through them."""

from mutations import Mutation

from . import (
    candidates,
    descend,
    kept_set,
    launch_typed,
    logits,
    maxima,
    passes,
    phase,
    philox,
    plan,
    ptx,
    rewrite,
    row,
    row_part,
    sample,
    select,
    setup,
    short_list,
    source,
    storage,
    team,
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
    select,
    candidates,
    setup,
    philox,
    phase,
    team,
    descend,
    weights,
    source,
    kept_set,
    short_list,
    row,
    sample,
    rewrite,
)
MUTATIONS: list[Mutation] = [mutation for module in MODULES for mutation in module.MUTATIONS]
