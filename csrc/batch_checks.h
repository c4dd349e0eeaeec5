// What both backends refuse before they touch a batch: whatever would make them read where there is nothing.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "fire/sampling.h"

namespace fire {

inline void Require(bool met, const char* argument, int64_t came, const std::string& expected) {
  if (!met)
    throw std::invalid_argument(std::string(argument) + " is " + std::to_string(came) + ", expected " + expected);
}

inline void RequireMemory(const void* pointer, const char* argument) {
  Require(pointer != nullptr, argument, 0, "memory");
}

inline constexpr bool IsVocabulary(int64_t tokens) { return tokens >= 1 && tokens <= kMaxVocabulary; }

// In elements; a batch that names none is contiguous.
template <typename AnyBatch>
int64_t RowStride(const AnyBatch& batch) {
  return batch.row_stride == kContiguous ? batch.vocabulary : batch.row_stride;
}

// Steps, records and slots, all that FirstCode reads.
inline void CheckSequences(const Batch& batch) {
  Require(batch.rows >= 0, "Batch::rows", batch.rows, "0 or more");
  if (batch.rows == 0) return;
  RequireMemory(batch.step, "Batch::step");
  RequireMemory(batch.records, "Batch::records");
  if (batch.slot == nullptr) {
    Require(batch.record_count >= batch.rows, "Batch::record_count", batch.record_count,
            std::to_string(batch.rows) + ", one record a row (fire::Pack makes them), or a slot for each row");
  } else {
    Require(batch.record_count >= 1, "Batch::record_count", batch.record_count, "1 or more");
  }
}

inline void Check(const Batch& batch) {
  if (batch.rows > 0) {
    Require(IsVocabulary(batch.vocabulary), "Batch::vocabulary", batch.vocabulary,
            "1 to " + std::to_string(kMaxVocabulary));
    RequireMemory(batch.logits, "Batch::logits");
  }
  CheckSequences(batch);
}

inline void CheckSample(const Batch& batch, const SampleOutputs& outputs) {
  Check(batch);
  if (batch.rows > 0) RequireMemory(outputs.token, "SampleOutputs::token");
}

inline constexpr bool IsSupportWidth(int64_t width) { return width >= 1 && width <= kMaxVocabulary; }

inline void CheckSampleWithSupport(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs) {
  Require(IsSupportWidth(support.width), "SupportOutputs::width", support.width,
          "1 to " + std::to_string(kMaxVocabulary));
  CheckSample(batch, outputs);
  if (batch.rows > 0) RequireMemory(support.token, "SupportOutputs::token");
}

inline void CheckSampleGroup(const Batch& batch, int64_t size, const SampleOutputs& outputs) {
  Require(size >= 1 && size <= kMaxGroupSize, "size", size, "1 to " + std::to_string(kMaxGroupSize));
  CheckSample(batch, outputs);
}

inline void CheckSampleCoded(const Batch& batch, const uint64_t* code, const int64_t* token,
                             const uint64_t* next_code) {
  Check(batch);
  if (batch.rows == 0) return;
  RequireMemory(code, "code");
  RequireMemory(token, "token");
  RequireMemory(next_code, "next_code");
}

inline void CheckFirstCode(const Batch& batch, const uint64_t* code) {
  CheckSequences(batch);
  if (batch.rows > 0) RequireMemory(code, "code");
}

inline void CheckProcessLogits(const Batch& batch, const float* out, int64_t out_stride) {
  Check(batch);
  if (batch.rows > 0) RequireMemory(out, "out");
  if (batch.rows > 1) Require(out_stride >= batch.vocabulary, "out_stride", out_stride, "the vocabulary or more");
}

inline void CheckHeatLogits(const Batch& batch, const float* logits) {
  Require(batch.logits_type == LogitsType::kFloat32, "Batch::logits_type", static_cast<int64_t>(batch.logits_type),
          "kFloat32");
  Require(logits == batch.logits, "whether logits are Batch::logits", 0, "1: they are changed in place");
  if (batch.rows > 1)
    Require(RowStride(batch) >= batch.vocabulary, "Batch::row_stride", batch.row_stride,
            "the vocabulary or more: rows must not overlap");
  Check(batch);
}

inline void CheckLogProb(const Batch& batch, const int64_t* token, const float* logprob) {
  Check(batch);
  if (batch.rows == 0) return;
  RequireMemory(token, "token");
  RequireMemory(logprob, "logprob");
}

// The memory that the gradient of rows goes into.
template <typename AnyBatch>
void CheckGradLogits(const AnyBatch& batch, const void* grad_logits, int64_t stride) {
  RequireMemory(grad_logits, "grad_logits");
  if (batch.rows > 1) Require(stride >= batch.vocabulary, "grad_logits_stride", stride, "the vocabulary or more");
}

inline void CheckLogProbBackward(const Batch& batch, const int64_t* token, const float* grad, const void* grad_logits,
                                 int64_t grad_logits_stride) {
  Check(batch);
  if (batch.rows == 0) return;
  RequireMemory(token, "token");
  RequireMemory(grad, "grad");
  CheckGradLogits(batch, grad_logits, grad_logits_stride);
}

inline int64_t SupportStride(const SupportBatch& batch) {
  return batch.support_stride == kContiguous ? batch.width : batch.support_stride;
}

inline void CheckSupportLogProb(const SupportBatch& batch) {
  Require(batch.rows >= 0, "SupportBatch::rows", batch.rows, "0 or more");
  if (batch.rows == 0) return;
  Require(IsVocabulary(batch.vocabulary), "SupportBatch::vocabulary", batch.vocabulary,
          "1 to " + std::to_string(kMaxVocabulary));
  Require(IsSupportWidth(batch.width), "SupportBatch::width", batch.width, "1 to " + std::to_string(kMaxVocabulary));
  RequireMemory(batch.logits, "SupportBatch::logits");
  RequireMemory(batch.token, "SupportBatch::token");
  RequireMemory(batch.support, "SupportBatch::support");
  RequireMemory(batch.temperature, "SupportBatch::temperature");
}

inline void CheckSupportLogProbBackward(const SupportBatch& batch, const SupportMasses* masses, const void* grad_logits,
                                        int64_t grad_logits_stride) {
  CheckSupportLogProb(batch);
  if (batch.rows == 0) return;
  RequireMemory(masses, "masses");
  CheckGradLogits(batch, grad_logits, grad_logits_stride);
}

}  // namespace fire
