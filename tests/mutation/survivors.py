"""Why a mutation that no test catches does no harm, or what else would find it."""

SURVIVORS: dict[str, str] = {
    "one-id-too-many": "does no harm. What follows a row in its last vector reads as −inf, which reaches "
    "no pivot.",
    "min-p-pivot-rounded-up": "does no harm. The bound rounded up is the least float that reaches the exact "
    "bound: so does every logit that passes.",
    "parts-of-places-not-kept-back": "does no harm. The next member's descent makes the blocks meet before "
    "its parts are pushed.",
    "stratum-beyond-the-last": "is the same number for a size of up to 32,768. Beyond, the reference of "
    "tests/cuda is broken alike; Design.ALatticeLiesAtEqualDistances finds it, at 40,000.",
    "interval-one-too-wide": "does no harm. The measure passes in the first part of the wider interval too, "
    "and the search ends once a bin is one ordinal.",
    "drawn-token-last-of-the-cut": "does no harm. The rule is then tightened to one token less, and the "
    "drawn one has a place whatever the rule: the same set, for one more descent.",
    "search-passes-its-target": "does no harm. The list then holds one token more, which is sorted behind "
    "the last that is told.",
    "masked-tokens-kept": "does no harm. No rule of a solved row goes down to masked tokens; what the line "
    "saves is their weights.",
    "delegates-of-overlapping-parts": "draws the same tokens. The count of candidates tells where too few "
    "reach the pivot; the row is then read again, and searched where that does not help.",
    "pivot-count-off-by-one": "draws the same tokens, as above.",
    "pivot-without-the-far-delegates": "draws the same tokens: delegates not counted lower the pivot.",
    "enough-delegates-taken-for-granted": "draws the same tokens, as above: a row of few finite logits is "
    "searched, which costs more.",
    "own-pivots-of-two-blocks": "draws the same tokens: a lower pivot lists more of them.",
    "states-of-any-bits": "does no harm. A digit has eight bits whatever the shift, and a device shifts by "
    "any amount; the line keeps that defined.",
}
