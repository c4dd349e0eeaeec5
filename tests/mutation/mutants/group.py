"""Mutations of kernels/device/group.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/group.cuh",
        (
            "group-leaves-early",
            "a block of a group leaves while its peers still need it",
            "geometry);\n    if (row_.IsListed() && !row_.team().IsLeader()) return;",
            "geometry);\n    if (!row_.team().IsLeader()) return;",
        ),
        (
            "members-of-the-first-turn",
            "members beyond a block's threads",
            "PutTarget(TargetOf(work_.size - left + threadIdx.x));",
            "PutTarget(TargetOf(threadIdx.x));",
        ),
        (
            "members-of-the-records-own-size",
            "a group of another size than its record's",
            "MemberRecord(row_.settings().record, work_.size, member)",
            "MemberRecord(row_.settings().record, 1 + (row_.settings().record.group & 0xFFFF), member)",
        ),
        (
            "places-by-id",
            "the order in which places of a list count",
            "TakesPlaces() ? ~uint64_t{0} : uint64_t{0xFFFFFFFFu}",
            "uint64_t{0xFFFFFFFFu}",
        ),
        (
            "points-by-order",
            "the order in which a list's points count",
            "TakesPlaces() ? ~uint64_t{0} : uint64_t{0xFFFFFFFFu}",
            "~uint64_t{0}",
        ),
        (
            "places-by-mass",
            "members that take places",
            ".counts = TakesPlaces(),",
            ".counts = false,",
        ),
        (
            "search-reaches-its-target",
            "a point exactly where a token's share ends",
            "if (running[middle] > target) {",
            "if (running[middle] >= target) {",
        ),
        (
            "sorted-kept-set-as-long-as-its-list",
            "how long a sorted kept set is",
            "(storage_.is_sorted ? row_.outcome().kept : storage_.state.count) - 1",
            "storage_.state.count - 1",
        ),
        (
            "shares-of-the-list-overlap",
            "sums over a list that is longer than a block",
            "uint64_t running = BlockRunning(own, storage_) - own;",
            "uint64_t running = BlockRunning(own, storage_);",
        ),
        (
            "point-at-the-end-of-a-run",
            "a point exactly where a warp's run begins",
            "storage_.part_mass[0][part] <= target)",
            "storage_.part_mass[0][part] < target)",
        ),
        (
            "points-of-the-whole-row-in-a-run",
            "points beyond the first warp's run",
            "target -= storage_.part_mass[0][part++];",
            "part++;",
        ),
        (
            "entry-for-its-own-block",
            "the leader learns what another block has found",
            "if (threadIdx.x < team.blocks) ptx::Push(&storage_.member.drawn[i], threadIdx.x, entry);",
            "if (threadIdx.x == 0) ptx::Push(&storage_.member.drawn[i], team.rank, entry);",
        ),
        (
            "equal-tokens-uncounted",
            "the rank of a member",
            "if (KeyOf(group().member[middle]) <= of_token) {",
            "if (KeyOf(group().member[middle]) < of_token) {",
        ),
        (
            "ranks-of-sorted-members",
            "whose rank is whose",
            "storage_.member_rank[static_cast<uint32_t>(group().member[threadIdx.x])] =",
            "storage_.member_rank[threadIdx.x] =",
        ),
        (
            "group-before-prior-kernels",
            "logits are read while the kernel before still writes them",
            "  ptx::WaitForPriorGrids();\n",
            "",
        ),
    ),
    *without(
        "kernels/device/group.cuh",
        (
            "running-sums-not-awaited",
            "members are searched before a list's sums are there",
            "    __syncthreads();  // every running sum is written; "
            "else members are searched among older ones\n",
        ),
        (
            "targets-not-awaited",
            "a member is searched before its target is there",
            "      __syncthreads();  // the members' targets are written; "
            "else some threads search for older ones\n",
        ),
        (
            "members-entries-not-awaited",
            "a member's entry is read before its block has found it",
            "    team.Sync();  // every member's entry is pushed; else older ones are written\n",
        ),
        (
            "next-members-not-kept-back",
            "the next members' findings overwrite those that are still read",
            "    TeamInQuestion().Sync();  // all have read what was found of these members; "
            "else the next ones' overwrites it\n",
        ),
        (
            "parts-of-places-not-kept-back",
            "the next member's parts overwrite those that are still read",
            "        team.Sync();  // all have read the parts; else the next member's overwrite them\n",
        ),
        (
            "ranks-not-awaited",
            "a member's rank is read before it is there",
            "    __syncthreads();  // every rank is written; else some members read an older one\n",
        ),
    ),
]
