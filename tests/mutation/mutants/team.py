"""Mutations of kernels/device/team.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/team.cuh",
        (
            "team-barrier-without-release",
            "writes to a peer before the barrier are not seen after it",
            "    if (blocks > 1) ptx::ClusterArrive();\n",
            "    if (blocks > 1) ptx::ClusterArriveRelaxed();\n",
        ),
        (
            "middle-of-a-sum-shifted",
            "where the second of a sum's three parts belongs",
            "(middle << 22)",
            "(middle << 21)",
        ),
        (
            "lower-half-of-any-maximum",
            "the lower half of a maximum comes from a lane with a smaller upper half",
            "own == high ? static_cast<uint32_t>(value) : 0u",
            "static_cast<uint32_t>(value)",
        ),
    ),
    *without(
        "kernels/device/team.cuh",
        (
            "warp-totals-not-awaited",
            "warp totals are combined before all are there",
            "  __syncthreads();  // every warp's total is written; else an older one is combined\n",
        ),
        (
            "team-sum-overwrites-the-last",
            "a block's total changes under who still reads the one before",
            "  team.Sync();  // all have read what the last call left; else a fast block overwrites it\n",
        ),
        (
            "team-sum-not-awaited",
            "blocks' totals are combined before all are there",
            "  team.Sync();  // every block's value is pushed; else an older one is combined\n",
        ),
    ),
]
