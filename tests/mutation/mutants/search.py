"""Mutations of kernels/device/search.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/search.cuh",
        (
            "wrong-half-of-the-keys",
            "on which side of a key the search goes on",
            "      high = middle;\n",
            "      low = middle;\n",
        ),
        (
            "key-that-too-few-reach",
            "which end of the last interval is the answer",
            "  return low;\n",
            "  return high;\n",
        ),
        (
            "parts-counted-by-lane-alone",
            "which part a point falls on, where a lane has several",
            "  at.index += passed;\n",
            "",
        ),
        (
            "parts-before-not-summed",
            "what the lane's parts before it weigh",
            "  if (passed != 0) at.before = __shfl_sync(~0u, up_to, passed - 1);\n",
            "",
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
            "ptx::AddWhereAtLeast(lane, distance, below, &value);",
            "ptx::AddWhereAtLeast(lane, distance + 1, below, &value);",
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
    *in_file(
        "kernels/device/search.cuh",
        (
            "part-ends-on-the-target",
            "which of a lane's parts a point falls on",
            "lane < of_lane && up_to <= target",
            "lane < of_lane && up_to < target",
        ),
        tests="*FlatRows.MayBeCut*/float32",
    ),
    *without(
        "kernels/device/search.cuh",
        (
            "passing-overwrites-the-last",
            "what was found changes under who still reads it",
            "  __syncthreads();  // all have read what the last call left in warp_total and passing; "
            "else it is overwritten\n",
        ),
        (
            "found-not-awaited",
            "what one thread found is read before it is there",
            "  __syncthreads();  // the thread that found it has written it; else the others miss it\n",
        ),
        (
            "bins-filled-too-soon",
            "bins are added to before they are empty",
            "  __syncthreads();  // the bins are empty; else a late clear erases what was added\n",
        ),
        (
            "histograms-not-awaited",
            "histograms are summed before they are complete",
            "  team.Sync();  // every block's histogram is complete; "
            "else the totals miss what is added later\n",
        ),
        (
            "totals-not-awaited",
            "totals are read before they are there",
            "  team.Sync();  // every block has the totals, none reads a peer's bins; "
            "else some are cleared too soon\n",
        ),
        (
            "search-started-too-soon",
            "a search begins while the last one's interval is read",
            "  __syncthreads();  // all have read where the last search came to; "
            "else they read this one's start\n",
        ),
        (
            "interval-not-awaited",
            "a search's first interval is read before it is there",
            "  __syncthreads();  // the interval is written; else some threads search an older one\n",
        ),
        (
            "narrower-interval-not-awaited",
            "a round begins before the interval is narrower",
            "    __syncthreads();  // the narrower interval is written; "
            "else the next round spreads over the old one\n",
        ),
    ),
]
