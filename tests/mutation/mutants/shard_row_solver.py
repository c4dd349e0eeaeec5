"""Mutations of the solver of rows in shards and of its list of first entries: tests of tests/cpp notice."""

from mutations import Mutation, in_file, without

LIST, SOLVER = "csrc/definition/shard_list.h", "csrc/definition/shard_row_solver.h"

MUTATIONS: list[Mutation] = [
    *in_file(
        LIST,
        (
            "a-dip-of-one-forgotten",
            "small weights that exceed a larger logit's by one",
            "weight + (weight >> 22) + 1 < rule.min_weight",
            "weight + (weight >> 22) < rule.min_weight",
        ),
        (
            "dips-of-a-list-forgotten",
            "min-p between two logits of which the smaller weighs more",
            "weight + (weight >> 22) + 1 < rule.min_weight",
            "weight < rule.min_weight",
        ),
        (
            "listed-share-with-its-end",
            "points at the end of a listed token's share",
            "if (mass <= point) id = middle;",
            "if (mass < point) id = middle;",
        ),
        (
            "listed-rank-without-equals",
            "the rank of one of several equal logits",
            "KeyOf(list_.entry[i]) >= key;",
            "KeyOf(list_.entry[i]) > key;",
        ),
    ),
    *in_file(
        SOLVER,
        (
            "rank-of-the-last-listed-key",
            "equal logits of which the last few are not listed",
            "KeyOf(listed_.LastEntry()) < key",
            "KeyOf(listed_.LastEntry()) <= key",
        ),
        (
            "ties-of-a-sharded-row-cut",
            "ties that top-k or top-p keep",
            "return keeps_ties ? LastOfKey(KeyOf(entry)) : entry;",
            "return entry;",
        ),
        (
            "nucleus-of-what-top-k-leaves",
            "the joint order",
            "row_.top_k_last = last;  // top-p counts the whole row",
            "row_.rule.last = last;",
        ),
        (
            "min-p-before-top-p",
            "min-p's place in the order",
            "phase_.order == Order::kVllm ? min_weight_ : 0",
            "min_weight_",
        ),
        (
            "point-of-the-whole-row",
            "the owner's own share of the mass",
            "row_.point = point - before;",
            "row_.point = point;",
        ),
        (
            "owner-of-the-point-itself",
            "points at the end of a shard's mass",
            "team_.FirstReaching(row_.ranks, point + 1, mass_at, &before)",
            "team_.FirstReaching(row_.ranks, point, mass_at, &before)",
        ),
        (
            "search-told-too-soon",
            "digits that hold more than is sought",
            "search.above + count == search.target",
            "search.above + count >= search.target",
        ),
        (
            "mass-of-two-told-by-one",
            "a nucleus that ends between two tokens of one digit",
            "search.by_mass ? count == 1",
            "search.by_mass ? count <= 2",
        ),
        (
            "larger-tokens-sought-again",
            "what lies above the digits of a search",
            "search.target - search.above, answer_at",
            "search.target, answer_at",
        ),
        (
            "place-of-the-token-before",
            "enumerated members",
            "PlaceOf(row_.record, kept == 0 ? 1 : kept)} + 1;",
            "PlaceOf(row_.record, kept == 0 ? 1 : kept)};",
        ),
        (
            "rank-of-the-largest-token",
            "rank and reference of a token asked for, of a decided row",
            "if (!Wants(kWantsLogProb)) row_.entry = entry;",
            "row_.entry = entry;",
        ),
        (
            "token-of-a-decided-row-unasked",
            "rank and reference of a token that no list has, of a decided row",
            "if (IsDecided(row_) && !(Wants(kWantsLogProb) && Wants(kWantsReference))) return true;",
            "if (IsDecided(row_)) return true;",
        ),
    ),
    *without(
        SOLVER,
        (
            "top-k-of-a-joint-row-dropped",
            "top-k beside a longer nucleus",
            "if (row_.top_k_last > row_.rule.last) row_.rule.last = row_.top_k_last;",
        ),
        (
            "handed-over-row-filtered",
            "hot rows that the engine filters",
            "if (IsHandedOver(row_)) phase_ = HandOverPhase(phase_);",
        ),
        (
            "reference-mass-of-a-cut-row",
            "a row's mass where top-k has cut it",
            "row_.rule.last == KeepAll().last && ",
        ),
    ),
]
