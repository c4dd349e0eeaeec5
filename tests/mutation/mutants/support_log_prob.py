"""Mutations of kernels/device/support_log_prob.cuh, and of the pass over slopes that it alone takes."""

from mutations import Mutation, in_file, without

FILE = "kernels/device/support_log_prob.cuh"
SOURCE = "support_log_prob"

MUTATIONS: list[Mutation] = [
    *in_file(
        FILE,
        (
            "a-full-support-is-no-row",
            "the gradient of a support that holds every id",
            "support_[vocabulary_ - 1] == static_cast<int32_t>(vocabulary_ - 1)",
            "false",
        ),
        (
            "a-support-of-nothing",
            "rows without a support",
            "return support_[0] == definition::kNoToken ||",
            "return",
        ),
        (
            "places-compared-with-nothing",
            "supports that do not ascend",
            "place == 0 ? definition::kBeforeSupport : support_[place - 1]",
            "definition::kBeforeSupport",
        ),
        (
            "ids-beyond-the-row",
            "a support that leaves the vocabulary",
            "if (static_cast<uint32_t>(id) < vocabulary_) visit(static_cast<uint32_t>(id));",
            "visit(static_cast<uint32_t>(id));",
        ),
        (
            "token-of-32-bits",
            "tokens beyond 32 bits",
            "return token_ == static_cast<int64_t>(id);",
            "return static_cast<uint32_t>(token_) == id;",
        ),
        (
            "tokens-below-the-row",
            "a token outside the vocabulary",
            "return token_ >= 0 && token_ < vocabulary_;",
            "return token_ < vocabulary_;",
        ),
        (
            "nan-as-maximum",
            "a row that holds a NaN",
            "  if (*has_nan) maxima = MaximaWithoutNan(part, part.OwnRun());\n",
            "",
        ),
        (
            "nan-untold",
            "the status of a row that holds a NaN",
            "*has_nan = __syncthreads_or(IsNan(Largest<Logit>(maxima)));",
            "*has_nan = IsNan(Largest<Logit>(maxima));",
        ),
        (
            "support-below-another-maximum",
            "the maximum of a support",
            "uint64_t largest = ReduceBlock(uint64_t{key}, Greater(), storage.set_maximum);",
            "uint64_t largest = ReduceBlock(uint64_t{key}, Greater(), storage.set_maximum) + 1;",
        ),
        (
            "temperatures-accepted",
            "temperatures that are none",
            "bool is_refused = !definition::IsSupportTemperature(row.temperature()),",
            "bool is_refused = false,",
        ),
        (
            "refused-by-one-thread",
            "a support that another thread finds wrong",
            "if (__syncthreads_or(is_refused)) {",
            "if (is_refused) {",
        ),
        (
            "refused-with-a-value",
            "the log-probability of a refused row",
            "const float none = __uint_as_float(0x7FC00000u);",
            "const float none = 0.0f;",
        ),
        (
            "refused-untold",
            "the status of a refused row",
            "WriteScores(work.outputs, at, none, none, kStatusRefused, {});",
            "WriteScores(work.outputs, at, none, none, 0, {});",
        ),
        (
            "token-found-by-one-thread",
            "a token that another thread finds in the support",
            "  holds_token = __syncthreads_or(holds_token);\n",
            "",
        ),
        (
            "status-without-the-row",
            "the full log-probability where nothing else of the row is asked for",
            "work.outputs.full_logprob != nullptr || work.outputs.status",
            "work.outputs.status",
        ),
        (
            "row-of-none-is-not-read",
            "a row without a support, its log-probability alone",
            "if (wants_row || is_row) full",
            "if (wants_row) full",
        ),
        (
            "every-token-of-a-row-held",
            "a token outside the vocabulary of a row without a support",
            "if (is_row) holds_token = row.RowHoldsToken();",
            "if (is_row) holds_token = true;",
        ),
        (
            "grad-of-a-row-lost",
            "the gradient of a row without a support",
            "if (is_row) full_grad += grad;",
            "if (is_row) full_grad += 0;",
        ),
        (
            "row-has-two-slopes",
            "the gradient of a row without a support",
            "grad != 0.0f && !is_row && definition",
            "grad != 0.0f && definition",
        ),
        (
            "slope-of-a-foreign-token",
            "the gradient of a token outside its support",
            "    has_set = __syncthreads_or(holds_token);\n",
            "",
        ),
        (
            "gradient-kept-as-it-was",
            "the gradient of a row that has none",
            "id += blockDim.x) out[id] = 0;",
            "id += 2 * blockDim.x) out[id] = 0;",
        ),
        (
            "support-instead-of-the-row",
            "what the row adds to the support's gradient",
            "value += slope_at(id, set, set_scale) * grad;",
            "value = slope_at(id, set, set_scale) * grad;",
        ),
        (
            "token-as-any-other",
            "the token's own gradient where its support has none",
            "} else if (threadIdx.x == 0) {\n    write(row.Token());",
            "} else if (false) {\n    write(row.Token());",
        ),
        (
            "vectors-wherever",
            "a gradient that is not aligned as its row",
            "} else if (part.IsAlignedAs(out)) {",
            "} else if (true) {",
        ),
        (
            "slopes-beyond-the-fast-way",
            "rows that the fast slopes are not made for",
            "if (!slope.is_exact) {",
            "if (false) {",
        ),
        (
            "scores-before-prior-kernels",
            "logits are read while the kernel before still writes them",
            "  ptx::WaitForPriorGrids();\n  WriteLogProbs",
            "  WriteLogProbs",
        ),
        (
            "gradient-before-prior-kernels",
            "masses are read while the kernel before still writes them",
            "  ptx::WaitForPriorGrids();\n  WriteGradient",
            "  WriteGradient",
        ),
        source=SOURCE,
    ),
    *without(
        FILE,
        (
            "slopes-not-awaited",
            "an entry is overwritten by the row's slope",
            "  __syncthreads();  // the row's gradient is written; else it overwrites the entries below\n",
        ),
        source=SOURCE,
    ),
    *in_file(
        "kernels/device/weights.cuh",
        (
            "weights-not-truncated",
            "the slope of a logit of small weight",
            "Quotient(truncf(FastPower(logit, slope.scale)), slope.mass)",
            "Quotient(FastPower(logit, slope.scale), slope.mass)",
        ),
        (
            "quotients-by-reciprocals",
            "the last bit of a slope",
            "for (int i = 0; i < 2; ++i) q =",
            "for (int i = 0; i < 0; ++i) q =",
        ),
        (
            "slopes-towards-their-token",
            "the sign of a slope",
            "return -Quotient(share, slope.temperature) * slope.grad;",
            "return Quotient(share, slope.temperature) * slope.grad;",
        ),
        (
            "fast-slopes-of-huge-temperatures",
            "temperatures that underflow",
            " && temperature <= 0x1p40f &&",
            " &&",
        ),
        source=SOURCE,
    ),
    *in_file(
        "kernels/device/passes.cuh",
        (
            "slope-of-nan",
            "the gradient of a NaN",
            "const uint32_t word = Logit::MaxNumber(v[u].word[i], Logit::kMaskedWord);\n        float each",
            "const uint32_t word = v[u].word[i];\n        float each",
        ),
        (
            "slopes-of-one-vector",
            "where a lane writes its vectors",
            "const uint32_t at = index + 32 * u;",
            "const uint32_t at = index;",
        ),
        source=SOURCE,
    ),
]
