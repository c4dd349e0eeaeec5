"""Mutations of kernels/device/long_list.cuh."""

from mutations import Mutation, in_file, without

TESTS = "*LongLists*"

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/long_list.cuh",
        (
            "long-list-min-p-excludes-its-equal",
            "a token of exactly the least weight",
            "if (entry >= last && weight >= min_weight) {",
            "if (entry >= last && weight > min_weight) {",
        ),
        (
            "long-list-weighs-what-min-p-refuses",
            "tokens that fail min-p where it comes first",
            "stage == kDraw || phase.order == Order::kVllm ? settings.min_weight : 0",
            "stage == kDraw ? settings.min_weight : 0",
        ),
        (
            "long-list-bin-lost",
            "the sums before a lane's bins",
            "own[32 * i] = before + up_to[i];",
            "own[32 * i] = up_to[i];",
        ),
        (
            "long-list-deciding-bin-one-early",
            "a target that is reached exactly at a bin's end",
            "(by_count ? up_to : mass_up_to) < target) continue;",
            "(by_count ? up_to : mass_up_to) <= target) continue;",
        ),
        (
            "long-list-of-any-crowd",
            "more equals in a bin than the short list has room for",
            "if (size > kShortList) return false;",
            "",
        ),
        (
            "long-list-draw-in-order",
            "the draw goes by id",
            "by_id ? 0xFFFFFFFFu : ~uint64_t{0};",
            "~uint64_t{0};",
        ),
        (
            "long-list-ties-dropped",
            "equals of top-k's or the nucleus's last token",
            "keeps_equals ? LastOfKey(KeyOf(entry)) : entry;",
            "entry;",
        ),
        (
            "long-list-ties-weigh-nothing",
            "the mass of what top-k keeps with its equals",
            "((keeps_equals ? reaching : sum + own) >> kCountBits);",
            "((sum + own) >> kCountBits);",
        ),
        (
            "long-list-old-bins",
            "bins of the order are not emptied for those by id",
            "if (is_clear) ClearListBins(storage);",
            "",
        ),
        tests=TESTS,
    ),
    *without(
        "kernels/device/long_list.cuh",
        (
            "long-list-summed-too-soon",
            "bins are summed while candidates are still put into them",
            "      __syncthreads();  // everything is in its bin; else the sums miss some\n",
        ),
        (
            "long-list-sums-not-awaited",
            "a bin is sought before the sums are there",
            "      __syncthreads();  // sums and target are written; "
            "else some threads search for an older one\n",
        ),
        (
            "long-list-bin-not-awaited",
            "the deciding bin's candidates are compared before they are there",
            "    __syncthreads();  // what is in the bin is in the short list; "
            "else some are not compared with\n",
        ),
        (
            "long-list-stage-not-awaited",
            "the next filter begins before the last one's end is known",
            "    __syncthreads();  // what one thread has found is written; "
            "else the others go on with an older rule or outcome\n",
        ),
        tests=TESTS,
    ),
]
