// The C++ API: plain structs and pointers, no torch. docs/semantics.md defines what each function computes. Whatever
// the logits, steps and records hold, every token is in [0, vocabulary) and nothing faults, as long as the pointers
// lead to the memory that the sizes and strides tell of.
//
// All functions may be called from any thread at any time, and results depend on nothing but a row, its record and its
// step. A thread that samples keeps about 200 KB of scratch memory until it ends.
#pragma once

#include <cstdint>
#include <functional>

#include "fire/config.h"
#include "fire/status.h"

namespace fire {

inline constexpr int64_t kMaxVocabulary = int64_t{1} << 21;

// A row stride of so much as the vocabulary: rows one behind the other.
inline constexpr int64_t kContiguous = INT64_MIN;

enum class LogitsType : int32_t { kFloat32, kBFloat16, kFloat16 };

// A batch of rows and what to do with each. Strides count elements; 0 repeats the first. Left out, they are those of
// arrays without gaps.
struct Batch {
  const void* logits = nullptr;  // row r begins at r · row_stride; consecutive along the vocabulary
  LogitsType logits_type = LogitsType::kFloat32;
  int64_t rows = 0;
  int64_t vocabulary = 0;  // 1 … kMaxVocabulary
  int64_t row_stride = kContiguous;

  const void* step = nullptr;  // tokens each sequence has generated so far
  bool step_is_int64 = true;   // else int32
  int64_t step_stride = 1;     // 0: one step for every row

  const Record* records = nullptr;  // 4-byte alignment suffices
  int64_t record_count = 0;         // one a row, or any number with `slot`
  const int32_t* slot = nullptr;    // row r uses records[slot[r]], clamped; null: records[r]
  int64_t slot_stride = 1;
};

// Where to put the results, each `rows` long. `token` is required, null elsewhere means not wanted.
struct SampleOutputs {
  int64_t* token = nullptr;
  float* logprob = nullptr;      // ln of the probability the token was drawn with
  float* ref_logprob = nullptr;  // ln softmax(x / T_ref) over the whole vocabulary; reads the whole row again
  int32_t* rank = nullptr;       // 1: the most probable
  int32_t* kept = nullptr;       // size of the kept set
  int32_t* status = nullptr;     // kStatus… bits
  bool reference = true;         // false: ref_logprob becomes NaN and rank −1, and their reading of the row is saved
};

// Where to put a row's support, the tokens that could have been drawn: row r's begin at r · width.
struct SupportOutputs {
  int64_t width = 0;         // places a row, 1 … kMaxVocabulary
  int32_t* token = nullptr;  // ids, ascending; −1 behind them
  float* logprob = nullptr;  // ln of the probability that each is drawn with; −inf behind them. Null: not wanted
};

// Rows of logits, a token of each, and the set that it was drawn from. Strides count elements.
struct SupportBatch {
  const void* logits = nullptr;  // as in Batch
  LogitsType logits_type = LogitsType::kFloat32;
  int64_t rows = 0;
  int64_t vocabulary = 0;
  int64_t row_stride = kContiguous;

  const int64_t* token = nullptr;
  int64_t token_stride = 1;
  // Row r's begins at r · support_stride: `width` ids, ascending, then −1. −1 alone stands for every id.
  const int32_t* support = nullptr;
  int64_t width = 0;
  int64_t support_stride = kContiguous;
  const float* temperature = nullptr;
  int64_t temperature_stride = 1;  // 0: one for every row
};

// What the gradient needs of a row, besides its logits.
struct SupportMasses {
  uint64_t mass;       // of the support, by weights below its own maximum
  uint64_t full_mass;  // of the row, by weights below the row's
  float maximum;       // of the support
  float full_maximum;  // of the row
};

// Where to put the results, each `rows` long. Null: not wanted.
struct SupportLogProbOutputs {
  float* logprob = nullptr;       // ln softmax(x / T) of the token over its support
  float* full_logprob = nullptr;  // the same over the whole row
  int32_t* status = nullptr;      // kStatus… bits
  SupportMasses* masses = nullptr;
};

// Runs body(begin, end) over disjoint ranges that cover [0, count); the caller's way to use its own threads.
// An empty ParallelFor uses a small pool of the library's.
using ParallelForBody = std::function<void(int64_t begin, int64_t end)>;
using ParallelFor = std::function<void(int64_t count, const ParallelForBody& body)>;

// All below throw std::invalid_argument, naming the field, for a batch that names too few records, no memory or a
// vocabulary out of range, and std::runtime_error where FIRE_CPU names an instruction set that does not run here.
void SampleCpu(const Batch& batch, const SampleOutputs& outputs, const ParallelFor& parallel_for = {});

// SampleCpu, and the support that each token was drawn from.
void SampleWithSupportCpu(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs,
                          const ParallelFor& parallel_for = {});

// A group of `size` members, 1 to kMaxGroupSize, of each row, read once: member g of row r has what SampleCpu gives the
// row for its record with that size and member (Record::group; without a design they are independent). token, logprob,
// ref_logprob and rank are rows · size long, member g of row r at r · size + g; kept and status, equal for all members,
// are `rows` long.
void SampleGroupCpu(const Batch& batch, int64_t size, const SampleOutputs& outputs,
                    const ParallelFor& parallel_for = {});

// One token a row, drawn with code[r] instead of the record's random bits, and the code that the sequence draws its
// next token with. `next_code` may be `code` where that has stride 1.
void SampleCodedCpu(const Batch& batch, const uint64_t* code, int64_t code_stride, int64_t* token, uint64_t* next_code,
                    const ParallelFor& parallel_for = {});

// The code that a sequence begins with at the step of its first token. Of the batch, neither logits nor vocabulary are
// read.
void FirstCodeCpu(const Batch& batch, uint64_t* code);

// out[r, i] = x / T where kept, −inf elsewhere. `out_stride` ≥ vocabulary, in elements.
void ProcessLogitsCpu(const Batch& batch, float* out, int64_t out_stride, const ParallelFor& parallel_for = {});

// Hot rows only, in place. `logits` is batch.logits, writable and float32; rows must not overlap.
void HeatLogitsCpu(const Batch& batch, float* logits, const ParallelFor& parallel_for = {});

// ln of the probability with which `sample` would have drawn token[r]; −inf where it never would.
void LogProbCpu(const Batch& batch, const int64_t* token, int64_t token_stride, float* logprob,
                const ParallelFor& parallel_for = {});

// grad_logits[r, i] = grad[r] · ∂ logprob[r] / ∂ logits[r, i], in the logits' own type.
void LogProbBackwardCpu(const Batch& batch, const int64_t* token, int64_t token_stride, const float* grad,
                        int64_t grad_stride, void* grad_logits, int64_t grad_logits_stride,
                        const ParallelFor& parallel_for = {});

// ln of the probability of each token, over the support given and over the whole row, at a temperature. Throws also for
// a support that is not ascending or leaves the vocabulary, and for a temperature that is not finite and at least
// 2^-64: of those it names the first row, before anything is written.
void SupportLogProbCpu(const SupportBatch& batch, const SupportLogProbOutputs& outputs,
                       const ParallelFor& parallel_for = {});

// grad_logits[r, i] = grad[r] · ∂ logprob[r] / ∂ logits[r, i] + full_grad[r] · ∂ full_logprob[r] / ∂ logits[r, i], in
// the logits' own type. `masses` is what SupportLogProbCpu gave. Gradients have stride 1; a null one is 0.
void SupportLogProbBackwardCpu(const SupportBatch& batch, const SupportMasses* masses, const float* grad,
                               const float* full_grad, void* grad_logits, int64_t grad_logits_stride,
                               const ParallelFor& parallel_for = {});

// The record of sequence `index` when one configuration is spread over many sequences: its seed differs. Pack of
// fire/sampling_config.h makes a batch's.
Record SpreadRecord(const Record& record, uint64_t index);

// "baseline", "avx2" or "avx512": what the CPU backend runs with here. FIRE_CPU=… forces a lesser one.
const char* CpuInstructionSet();

}  // namespace fire
