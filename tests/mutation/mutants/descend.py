"""Mutations of kernels/device/descend.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/descend.cuh",
        (
            "histogram-twice-too-fine",
            "ordinals beyond the last bin",
            "const uint32_t width = 32 - __clz(in.high - in.low);",
            "const uint32_t width = 31 - __clz(in.high - in.low);",
        ),
        (
            "bin-reaches-the-target",
            "the bin that the target falls on",
            "while (before + bins[bin] <= target)",
            "while (before + bins[bin] < target)",
        ),
        (
            "target-counts-from-the-start",
            "what was measured before the interval",
            "FindPassingBin(TeamBins(team, storage), target - in.before, storage)",
            "FindPassingBin(TeamBins(team, storage), target, storage)",
        ),
        (
            "interval-one-too-wide",
            "a search that never ends at one ordinal",
            "low + ((1u << shift) - 1))",
            "low + (1u << shift))",
        ),
    ),
    *without(
        "kernels/device/descend.cuh",
        (
            "bins-filled-too-soon",
            "bins are added to before they are empty",
            "  __syncthreads();  // the bins are empty\n",
        ),
        (
            "histograms-not-awaited",
            "histograms are summed before they are complete",
            "  team.Sync();  // every block's histogram is complete\n",
        ),
        (
            "totals-not-awaited",
            "totals are read before they are there",
            "  team.Sync();  // every block has the totals, and none reads a peer's histogram any more\n",
        ),
        (
            "search-started-too-soon",
            "a search begins while the last one's interval is read",
            "  __syncthreads();  // where the last search has come to has been read\n",
        ),
        (
            "interval-not-awaited",
            "a search's first interval is read before it is there",
            "  __syncthreads();  // the interval is there\n",
        ),
        (
            "narrower-interval-not-awaited",
            "a round begins before the interval is narrower",
            "    __syncthreads();  // and it is narrower\n",
        ),
    ),
]
