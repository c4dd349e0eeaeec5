// From a batch to a launch: what a kernel is told of its work, and how a plan is run.
#pragma once

#include "fire/cuda.h"
#include "kernels/plan.h"

namespace fire::kernels {

// One launch's work, as the kernels get it. Device pointers; what a task does not use is null.
struct Work {
  Task task;
  Batch batch;
  SampleOutputs outputs;  // kSample, kSampleWithReference, kSampleGroup, kSampleWithSupport
  const uint64_t* code;   // kSample: what rows draw with instead of their records' random bits; null: those
  int64_t code_stride;
  uint64_t* next_code;
  uint32_t size;  // kSampleGroup: members of a row's group
  float* out;     // kProcessLogits, kHeatLogits (in place), kLogProb
  int64_t out_stride;
  const int64_t* token;  // kLogProb, kLogProbBackward
  int64_t token_stride;
  const float* grad;  // kLogProbBackward
  int64_t grad_stride;
  void* grad_logits;
  int64_t grad_logits_stride;
  SupportOutputs support;  // kSampleWithSupport
};

// The work of kSupportLogProb and kSupportLogProbBackward, whose rows have no records.
struct SupportLogProbWork {
  Task task;
  SupportBatch batch;
  SupportLogProbOutputs outputs;
  const SupportMasses* masses;  // kSupportLogProbBackward, from here on
  const float* grad;
  const float* full_grad;
  void* grad_logits;
  int64_t grad_logits_stride;
};

Device CurrentDevice();

// Enqueues `work` as `plan` has it. Throws std::runtime_error, with CUDA's own words, where the device refuses.
void Launch(const Work& work, const Plan& plan, CudaStream stream);
void Launch(const SupportLogProbWork& work, const Plan& plan, CudaStream stream);

// What each sequence's first draw takes, as definition::FirstCode has it. Of the batch, logits are not read.
void LaunchFirstCodes(const Batch& batch, uint64_t* code, CudaStream stream);

// SampleCuda, SampleWithSupportCuda, SampleGroupCuda and SampleCodedCuda with a plan of the caller's choice: whichever
// it is, the results are the same.
void SampleWithPlan(const Batch& batch, const SampleOutputs& outputs, const Plan& plan, CudaStream stream);
void SampleWithSupportWithPlan(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs,
                               const Plan& plan, CudaStream stream);
void SampleGroupWithPlan(const Batch& batch, int64_t size, const SampleOutputs& outputs, const Plan& plan,
                         CudaStream stream);
void SampleCodedWithPlan(const Batch& batch, const uint64_t* code, int64_t code_stride, int64_t* token,
                         uint64_t* next_code, const Plan& plan, CudaStream stream);

}  // namespace fire::kernels
