// From a batch to a launch: what a kernel is told of its work, and how a plan is run.
#pragma once

#include "fire/cuda.h"
#include "kernels/plan.h"

namespace fire::kernels {

// One launch's work, as the kernels get it. Device pointers; what a task does not use is null.
struct Work {
  Task task;
  Batch batch;
  SampleOutputs outputs;  // kSample, kSampleWithReference
  float* out;             // kProcessLogits, kHeatLogits (in place), kLogProb
  int64_t out_stride;
  const int64_t* token;  // kLogProb, kLogProbBackward
  int64_t token_stride;
  const float* grad;  // kLogProbBackward
  int64_t grad_stride;
  void* grad_logits;
  int64_t grad_logits_stride;
};

Device CurrentDevice();

// Enqueues `work` as `plan` has it. Throws std::runtime_error, with CUDA's own words, where the device refuses.
void Launch(const Work& work, const Plan& plan, CudaStream stream);

// SampleCuda with a plan of the caller's choice: whichever it is, the results are the same.
void SampleWithPlan(const Batch& batch, const SampleOutputs& outputs, const Plan& plan, CudaStream stream);

}  // namespace fire::kernels
