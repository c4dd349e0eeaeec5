"""Mutations of csrc/cpu/shard_answers.h, what the CPU answers to the questions of a row in shards."""

from mutations import Mutation, in_file, without

FILE = "csrc/cpu/shard_answers.h"

MUTATIONS: list[Mutation] = [
    *in_file(
        FILE,
        (
            "strips-measured-without-min-p",
            "what min-p keeps of a shard",
            "masks.min_weight == 0 ? by_logit : And(by_logit, WeightAtLeast(weights, masks.min_weight))",
            "by_logit",
        ),
        (
            "point-of-the-strip-before",
            "points at the end of a strip's mass",
            "if (point < mass) {",
            "if (point <= mass) {",
        ),
        (
            "ids-counted-from-the-shards-first",
            "a search's range of ids",
            "id = first > first_id ? first : first_id;",
            "id = first_id;",
        ),
        (
            "token-of-the-next-shard",
            "a token that is the next shard's first",
            "shared.asked >= int64_t{first_id} + row.size",
            "shared.asked > int64_t{first_id} + row.size",
        ),
        (
            "every-shard-owns-the-token",
            "the answers of ranks that do not own the token",
            "rank != shared.owner || !is_finite",
            "!is_finite",
        ),
        (
            "masses-in-the-first-slot",
            "the slot of a rank's mass",
            "first[rank] = MeasureKept",
            "first[0] = MeasureKept",
        ),
    ),
    *without(
        FILE,
        (
            "owned-entry-with-the-shards-id",
            "the drawn token's id",
            "if (out.count != 0) out.count -= first_id;",
        ),
        (
            "masked-tokens-searched",
            "masked tokens within a search's range",
            "if (first <= definition::kMaskedKey) first = definition::kMaskedKey + 1;",
        ),
        (
            "the-key-of-minus-zero",
            "a range of keys that ends at −0",
            "if (last == Key(0.0f) - 1) --last;",
        ),
        (
            "digits-of-what-min-p-drops",
            "a search below vLLM's min-p",
            "if (min_weight != 0) bits &= Bits(WeightAtLeast(weights, min_weight));",
        ),
        (
            "equals-behind-the-shard",
            "the last few tokens of a range of ids",
            "if (end - i < kLanes) bits &= (1u << (end - i)) - 1;",
        ),
        (
            "rank-of-a-masked-token",
            "the rank of a token of −inf",
            "if (asks_rank && key <= definition::kMaskedKey) out.count = row.size;",
        ),
        ("rank-told-unasked", "answers that nobody asked for", "if (!asks_rank) out.count = 0;"),
    ),
]
