"""Mutations of kernels/device/counts.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/counts.cuh",
        (
            "inbox-overflow-not-sent",
            "the first candidate that an inbox has no room for",
            "for (uint32_t i = capacity + threadIdx.x;",
            "for (uint32_t i = capacity + 1 + threadIdx.x;",
        ),
        (
            "candidates-not-awaited",
            "the inbox is read before it is there",
            "  team.Wait();  // every block's counts, candidates and masses are pushed; "
            "else the leader's list lacks some\n",
            "  if (team.blocks == 1) team.Wait();\n",
        ),
        (
            "counts-not-awaited",
            "a block alone reads its count before it is there",
            "  team.Wait();  // every block's counts, candidates and masses are pushed; "
            "else the leader's list lacks some\n",
            "  if (team.blocks > 1) team.Wait();\n",
        ),
        (
            "bins-of-long-lists-left",
            "the bins of a long list have what was there before",
            "count > kShortList / 2) ClearListBins(storage);",
            "count > kShortList) ClearListBins(storage);",
        ),
        (
            "inbox-overflow-unseen",
            "a block with more candidates than its inbox holds",
            "!__any_sync(~0u, (lane != 0) & (of_lane > capacity));",
            "true;",
        ),
        (
            "list-overflow-unseen",
            "inboxes that together hold more than the list",
            "is_told & (count <= kListCapacity)",
            "is_told & (count <= 2 * kListCapacity)",
        ),
        (
            "top-k-one-token-short",
            "exactly one token less reaches the pivot than top-k keeps",
            "static_cast<uint32_t>(settings.phase.top_k);",
            "static_cast<uint32_t>(settings.phase.top_k) - 1;",
        ),
        (
            "min-p-excuses-any-short-list",
            "tokens below the pivot that min-p does not exclude",
            "(settings.min_p_bounds_list & (least <= __fadd_rd(maximum, settings.min_p_bounds.below)));",
            "settings.min_p_bounds_list;",
        ),
        (
            "listed-mass-not-compared",
            "a flat nucleus, of which the list has a part",
            "listed >= definition::TopPTarget(settings.phase.top_p, row_mass);",
            "listed != 0;",
        ),
        (
            "later-half-of-a-warp-for-nobody",
            "the candidates of every other block",
            "min(half != 0 ? of_next : of_first, capacity);",
            "half != 0 ? 0 : min(of_first, capacity);",
        ),
        (
            "places-of-the-half-before",
            "where in the list each block's candidates go",
            "(half != 0 ? of_first : 0);",
            "0;",
        ),
        (
            "row-mass-untold",
            "a nucleus of the whole row's mass, drawn from a list",
            "storage.row_mass = row_mass, ",
            "storage.row_mass = 0, ",
        ),
        (
            "kth-entry-left-over",
            "fewer than k tokens are alive, and an old k-th entry is there",
            "storage.row_mass = row_mass, storage.boundary_entry = 0;",
            "storage.row_mass = row_mass;",
        ),
    ),
    *without(
        "kernels/device/counts.cuh",
        (
            "list-not-awaited",
            "the list and its length are read before they are there",
            "  __syncthreads();  // the list and its length are written; else candidates are lost\n",
        ),
        (
            "late-candidates-not-awaited",
            "the list is read before what the inbox had no room for is there",
            "    if (!is_all_sent) team.Sync();  // every candidate is in the leader's list; "
            "else those that came late are lost\n",
        ),
    ),
    *in_file(
        "kernels/device/counts.cuh",
        (
            "list-always-trusted",
            "tokens below the pivot that min-p may yet let into top-k",
            "(settings.asks & kAsksMinP) == 0 || least >= __fadd_ru(maximum, settings.min_p_bounds.above) ||",
            "true ||",
        ),
        tests="DippingWeights.*",
    ),
]
