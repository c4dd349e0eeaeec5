"""Mutations of the kernels of rows in shards, kernels/device/shard_*.cuh."""

from mutations import Mutation, in_file, without

ANSWER, ENTRIES = "kernels/device/shard_answer.cuh", "kernels/device/shard_entries.cuh"
OUTPUTS, STATE = "kernels/device/shard_outputs.cuh", "kernels/device/shard_state.cuh"
SOURCE = "shard_rows"

MUTATIONS: list[Mutation] = [
    *in_file(
        ANSWER,
        (
            "shard-rank-without-equals",
            "the rank of one of several equal logits",
            "count += id < size && definition::Key(x) >= least;",
            "count += id < size && definition::Key(x) > least;",
        ),
        (
            "searched-below-min-p",
            "a search below vLLM's min-p",
            "counts = weight >= min_weight;",
            "counts = true;",
        ),
        (
            "weights-of-other-digits-added",
            "the mass of one digit of those that a warp has",
            "ReduceWarp(adds ? weight : 0, Add())",
            "ReduceWarp(counts ? weight : 0, Add())",
        ),
        ("first-digits-counted-twice", "tokens of the commonest digits", "counts = counts && !adds;", ""),
        (
            "mass-in-the-first-slot",
            "the slot of a rank's mass",
            "out[slot] = slot == own ? kept",
            "out[slot] = slot == first ? kept",
        ),
        (
            "drawn-entry-with-the-shards-id",
            "the drawn token's id",
            ".count = entry == 0 ? 0 : entry - work_.first_id,",
            ".count = entry,",
        ),
        (
            "token-of-the-leaders-part",
            "tokens that lie in another block",
            "*writes = owner.block == team_.rank;",
            "*writes = team_.IsLeader();",
        ),
        (
            "point-of-the-whole-shard",
            "the point within a warp's run",
            "row().point - part.before);",
            "row().point);",
        ),
        source=SOURCE,
    ),
    *without(
        ANSWER,
        (
            "total-overwritten",
            "a total that some threads have not read",
            "    __syncthreads();  // all have read the last total; else it is overwritten\n",
        ),
        (
            "part-not-described",
            "threads that are ahead of the part's shape",
            "    __syncthreads();  // the part is described; else threads read another row's\n",
        ),
        ("bins-of-the-last-row", "bins that are empty at first", "    RestartBins(storage_);\n"),
        (
            "runs-not-all-weighed",
            "masses that other blocks push",
            "    team_.Sync();  // every run's mass is pushed; else the point falls into the wrong one\n",
        ),
        source=SOURCE,
    ),
    *in_file(
        ENTRIES,
        (
            "one-entry-too-few",
            "the last of the first entries",
            "if (entry >= last) List(entry, capacity);",
            "if (entry > last) List(entry, capacity);",
        ),
        (
            "pivot-that-too-few-reach",
            "delegates that must reach the pivot",
            "return reaching >= count_ ? reaching : 0;",
            "return reaching;",
        ),
        (
            "ids-of-the-shard-told",
            "ids of the row",
            "return Entry(definition::Key(x), work_.first_id + id);",
            "return Entry(definition::Key(x), id);",
        ),
        (
            "search-passes-its-target",
            "the digit that holds the last entry",
            "search.above + storage_.bins[digit] < search.target",
            "search.above + storage_.bins[digit] <= search.target",
        ),
        ("nan-of-entries-untold", "the flag behind the entries", "has_nan ? kShardHasNan : 0", "0"),
        source=SOURCE,
    ),
    *without(
        ENTRIES,
        (
            "entries-not-all-counted",
            "a list that some threads still fill",
            "    __syncthreads();  // every entry is counted; else threads disagree on how many there are\n",
        ),
        (
            "entries-sorted-too-soon",
            "entries of an overflowing list",
            "    __syncthreads();  // every entry is there; else the sort leaves it out\n",
        ),
        (
            "digit-passed-too-soon",
            "the counts of a digit",
            "      __syncthreads();  // every token is counted; else a digit is passed too soon\n",
        ),
        source=SOURCE,
    ),
    *in_file(
        OUTPUTS,
        (
            "slope-of-the-shards-id",
            "the gradient at the token asked for",
            "IdOfRow(id) == row().asked",
            "int64_t{id} == row().asked",
        ),
        (
            "last-heated-token-dropped",
            "the smallest token that is handed over",
            "Entry(definition::Key(x), id) >= last",
            "Entry(definition::Key(x), id) > last",
        ),
        source=SOURCE,
    ),
    *without(
        OUTPUTS,
        (
            "masked-tokens-kept",
            "masked tokens where all is kept",
            "    if (key == definition::kMaskedKey) return false;\n",
        ),
        (
            "cold-rows-heated",
            "rows whose step is not hot",
            "    if (!definition::PhaseOf(row()).hot) return;\n",
        ),
        source=SOURCE,
    ),
    *without(
        STATE,
        (
            "scales-of-half-a-state",
            "a state that is not all there",
            "  __syncthreads();  // every word is there; else scales are of half a row\n",
        ),
        (
            "scales-of-an-older-state",
            "scales that are not written yet",
            "  __syncthreads();  // scales and rule are written; else tokens are measured by older ones\n",
        ),
        (
            "states-of-any-bits",
            "states that nobody made",
            "  if (threadIdx.x == 96) definition::BringIntoRange(&storage->row);\n",
        ),
        source=SOURCE,
    ),
]
