"""Mutations of kernels/device/team.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/team.cuh",
        (
            "team-barrier-without-release",
            "writes to a peer before the barrier are not seen after it",
            "      ptx::ClusterArrive();\n",
            "      ptx::ClusterArriveRelaxed();\n",
        ),
        (
            "passing-reaches-its-target",
            "the bin before the one that passes the target",
            "if (running > target && running - value <= target) {",
            "if (running >= target && running - value <= target) {",
        ),
        (
            "scan-misses-a-lane",
            "running sums over a warp",
            "if (lane >= distance) running += below;",
            "if (lane > distance) running += below;",
        ),
        (
            "bin-carry-lost",
            "the carry between a bin's two words",
            "(old + low < old ? 1u : 0u)",
            "0u",
        ),
        (
            "last-bin-not-cleared",
            "the last bin keeps what it held",
            "bin < kBins; bin += blockDim.x) storage.bins",
            "bin < kBins - 1; bin += blockDim.x) storage.bins",
        ),
    ),
    *without(
        "kernels/device/team.cuh",
        (
            "warp-totals-not-awaited",
            "warp totals are combined before all are there",
            "  __syncthreads();  // every warp's is there\n",
        ),
        (
            "passing-overwrites-the-last",
            "what was found changes under who still reads it",
            "  __syncthreads();  // warp_total and found may still be read by who asked before\n",
        ),
        (
            "found-not-awaited",
            "what one thread found is read before it is there",
            "  __syncthreads();  // what one thread found is there for all\n",
        ),
        (
            "team-sum-overwrites-the-last",
            "a block's total changes under who still reads the one before",
            "  team.Sync();  // of_block may still be read by who asked before\n",
        ),
        (
            "team-sum-not-awaited",
            "blocks' totals are combined before all are there",
            "  team.Sync();  // every block's is there\n",
        ),
    ),
]
