"""Mutations of kernels/device/row_search.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/row_search.cuh",
        (
            "largest-just-reach-the-target",
            "a target that the tokens of the largest key do not exceed",
            "if (inside <= target) return false;",
            "if (inside < target) return false;",
        ),
        (
            "largest-counted-in-part",
            "as many equals as are in the first runs of warps, of which lanes see no more than they must",
            "return count < enough;",
            "return count == 0;",
        ),
        (
            "largest-counted-for-a-mass",
            "the nucleus of a row of equals",
            "if (!measure.counts || Logit::Value(storage_.pivot, 0) < maximum",
            "if (Logit::Value(storage_.pivot, 0) < maximum",
        ),
        (
            "largest-with-what-was-within",
            "what a part measures beside the equals that a search ended among",
            "storage_.part_within[ptx::ThreadAnew()] = 0;",
            ";",
        ),
        (
            "largest-counted-too-soon",
            "what the parts weigh is read while a search overwrites it",
            "    team.Sync();  // the target is written, and all have read what the parts weigh; "
            "else that is overwritten\n",
            "    __syncthreads();\n",
        ),
        (
            "largest-not-awaited",
            "the parts' equals are read while what comes next overwrites them",
            "    team.Sync();  // the interval is written, and all have read the parts' sums; "
            "else they are overwritten\n",
            "    __syncthreads();\n",
        ),
        (
            "window-begins-too-late",
            "bins that may pass the target for what a weight lost",
            "while (first > 0 && before > target) before -= sums[--first];",
            "",
        ),
        (
            "bin-starts-too-late",
            "the largest keys of the window that a search ends in",
            "definition::Key(bins.UpperEdge(first)) + 1",
            "definition::Key(bins.LowerEdge(first))",
        ),
        (
            "bin-ends-too-soon",
            "the least keys of the window that a search ends in",
            "definition::Key(bins.LowerEdge(last.bin))",
            "definition::Key(bins.UpperEdge(last.bin))",
        ),
        (
            "last-bin-of-one-width",
            "the far end of the row, all in the last bin",
            "if (last.inside != 0 && last.bin != kBins - 1) from",
            "if (last.inside != 0) from",
        ),
        (
            "tokens-above-the-window-lost",
            "what a search of the row has measured above its window",
            "      if (x >= above) {\n        found.above += amount;",
            "      if (x >= above) {",
        ),
        (
            "neighbours-of-the-bin",
            "tokens just above the window are listed, too",
            "      } else if (x >= from) {",
            "      }\n      if (x >= from) {",
        ),
        (
            "edges-of-the-row-unlisted",
            "tokens of vectors that reach beyond the row",
            "      } else if (key >= definition::Key(from)) {\n        list(key, id);",
            "      } else if (key >= definition::Key(from)) {",
        ),
        (
            "equals-weigh-once",
            "equals of which there are more than a list holds",
            "inside *= measure.OfKey(largest);",
            ";",
        ),
        (
            "second-window-lists-all",
            "tokens above a second window",
            "storage_.row_search.shift == 0 && storage_.in.low == 0 &&",
            "storage_.row_search.shift == 0 &&",
        ),
    ),
    *without(
        "kernels/device/row_search.cuh",
        (
            "bin-not-awaited",
            "tokens are sought in a window before it is known",
            "    __syncthreads();  // the window is written and the list empty; "
            "else older ones are measured\n",
        ),
        (
            "copies-filled-too-soon",
            "a histogram's copies are added to before they are empty",
            "    __syncthreads();  // the copies are empty and the search described; "
            "else a late clear erases what was added\n",
        ),
        (
            "copies-not-awaited",
            "copies are summed before they are complete",
            "    __syncthreads();  // the copies are complete; else the bins miss what is added later\n",
        ),
        (
            "windows-not-awaited",
            "what blocks have listed is read before it is there",
            "      team.Sync();  // what every block found is pushed; "
            "else blocks search different intervals\n",
        ),
    ),
]
