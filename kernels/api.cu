// The C++ API on CUDA: checks, a plan, a launch.
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "batch_checks.h"
#include "definition/batch.h"
#include "fire/cuda.h"
#include "kernels/launch_typed.cuh"

namespace fire {
namespace kernels {

extern template void LaunchTyped<Float32Logits>(const Work& work, const Plan& plan, CudaStream stream);
extern template void LaunchTyped<BFloat16Logits>(const Work& work, const Plan& plan, CudaStream stream);
extern template void LaunchTyped<Float16Logits>(const Work& work, const Plan& plan, CudaStream stream);
extern template void DescribeKernels<BFloat16Logits>(Device* device);

namespace {

int Attribute(cudaDeviceAttr attribute, int device) {
  int value = 0;
  ThrowOnError(cudaDeviceGetAttribute(&value, attribute, device), "device attribute");
  return value;
}

Device DescribeDevice(int device) {
  Device out;
  out.compute_capability =
      10 * Attribute(cudaDevAttrComputeCapabilityMajor, device) + Attribute(cudaDevAttrComputeCapabilityMinor, device);
  out.multiprocessors = Attribute(cudaDevAttrMultiProcessorCount, device);
  out.shared_bytes = Attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  out.largest_cluster =
      out.compute_capability >= 90 && Attribute(cudaDevAttrClusterLaunch, device) != 0 ? kMostBlocks : 1;
  ThrowOnError(cudaDriverGetVersion(&out.driver), "driver");
  DescribeKernels<BFloat16Logits>(&out);
  return out;
}

}  // namespace

Device CurrentDevice() {
  static std::array<std::once_flag, kRememberedDevices> once;
  static std::array<Device, kRememberedDevices> known;
  int device = 0;
  ThrowOnError(cudaGetDevice(&device), "current device");
  if (device >= kRememberedDevices) return DescribeDevice(device);
  std::call_once(once[device], [&] { known[device] = DescribeDevice(device); });
  return known[device];
}

void Launch(const Work& work, const Plan& plan, CudaStream stream) {
  if (work.batch.rows == 0) return;
  if (plan.pilot_shift != 0 && (plan.cluster > 1 || plan.resident))
    throw std::invalid_argument(std::string("Plan::pilot_shift is ") + std::to_string(plan.pilot_shift) + " with " +
                                NameOf(plan) + ", expected 0: a pilot is of rows that one block streams");
  WithLogits(work.batch.logits_type, [&](auto logits) { LaunchTyped<decltype(logits)>(work, plan, stream); });
}

namespace {

// `task` on a checked batch, whose row stride is then a number.
Work WorkOn(const Batch& batch, Task task) {
  Work work = {};
  work.task = task;
  work.batch = batch;
  work.batch.row_stride = RowStride(batch);
  return work;
}

Work SampleWork(const Batch& batch, const SampleOutputs& outputs) {
  CheckSample(batch, outputs);
  Work work = WorkOn(batch, definition::WantsReference(outputs) ? Task::kSampleWithReference : Task::kSample);
  work.outputs = outputs;
  return work;
}

Work SupportWork(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs) {
  CheckSampleWithSupport(batch, support, outputs);
  Work work = WorkOn(batch, Task::kSampleWithSupport);
  work.outputs = outputs;
  work.support = support;
  return work;
}

Work GroupWork(const Batch& batch, int64_t size, const SampleOutputs& outputs) {
  CheckSampleGroup(batch, size, outputs);
  Work work = WorkOn(batch, Task::kSampleGroup);
  work.outputs = outputs;
  work.size = static_cast<uint32_t>(size);
  return work;
}

Work CodedWork(const Batch& batch, const uint64_t* code, int64_t code_stride, int64_t* token, uint64_t* next_code) {
  CheckSampleCoded(batch, code, token, next_code);
  Work work = WorkOn(batch, Task::kSample);
  work.outputs.token = token;
  work.code = code, work.code_stride = code_stride, work.next_code = next_code;
  return work;
}

// `task` on a checked batch, whose strides are then numbers.
SupportLogProbWork WorkOn(const SupportBatch& batch, Task task) {
  SupportLogProbWork work = {};
  work.task = task;
  work.batch = batch;
  work.batch.row_stride = RowStride(batch), work.batch.support_stride = SupportStride(batch);
  return work;
}

template <typename AnyWork>
void LaunchPlanned(const AnyWork& work, CudaStream stream) {
  if (work.batch.rows == 0) return;
  Launch(work, PlanFor(work.task, work.batch.rows, work.batch.vocabulary, work.batch.logits_type, CurrentDevice()),
         stream);
}

}  // namespace

void SampleWithPlan(const Batch& batch, const SampleOutputs& outputs, const Plan& plan, CudaStream stream) {
  Launch(SampleWork(batch, outputs), plan, stream);
}

void SampleWithSupportWithPlan(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs,
                               const Plan& plan, CudaStream stream) {
  Launch(SupportWork(batch, support, outputs), plan, stream);
}

void SampleGroupWithPlan(const Batch& batch, int64_t size, const SampleOutputs& outputs, const Plan& plan,
                         CudaStream stream) {
  Launch(GroupWork(batch, size, outputs), plan, stream);
}

void SampleCodedWithPlan(const Batch& batch, const uint64_t* code, int64_t code_stride, int64_t* token,
                         uint64_t* next_code, const Plan& plan, CudaStream stream) {
  Launch(CodedWork(batch, code, code_stride, token, next_code), plan, stream);
}

}  // namespace kernels

using kernels::Task;
using kernels::Work;

void UseCudaDevice(int device) {
  int current = 0;
  kernels::ThrowOnError(cudaGetDevice(&current), "current device");
  if (current != device) kernels::ThrowOnError(cudaSetDevice(device), "device");
}

void SampleCuda(const Batch& batch, const SampleOutputs& outputs, CudaStream stream) {
  kernels::LaunchPlanned(kernels::SampleWork(batch, outputs), stream);
}

void SampleWithSupportCuda(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs,
                           CudaStream stream) {
  kernels::LaunchPlanned(kernels::SupportWork(batch, support, outputs), stream);
}

void SampleGroupCuda(const Batch& batch, int64_t size, const SampleOutputs& outputs, CudaStream stream) {
  kernels::LaunchPlanned(kernels::GroupWork(batch, size, outputs), stream);
}

void SampleCodedCuda(const Batch& batch, const uint64_t* code, int64_t code_stride, int64_t* token, uint64_t* next_code,
                     CudaStream stream) {
  kernels::LaunchPlanned(kernels::CodedWork(batch, code, code_stride, token, next_code), stream);
}

void FirstCodeCuda(const Batch& batch, uint64_t* code, CudaStream stream) {
  CheckFirstCode(batch, code);
  if (batch.rows > 0) kernels::LaunchFirstCodes(batch, code, stream);
}

void ProcessLogitsCuda(const Batch& batch, float* out, int64_t out_stride, CudaStream stream) {
  CheckProcessLogits(batch, out, out_stride);
  Work work = kernels::WorkOn(batch, Task::kProcessLogits);
  work.out = out, work.out_stride = out_stride;
  kernels::LaunchPlanned(work, stream);
}

void HeatLogitsCuda(const Batch& batch, float* logits, CudaStream stream) {
  CheckHeatLogits(batch, logits);
  Work work = kernels::WorkOn(batch, Task::kHeatLogits);
  work.out = logits, work.out_stride = work.batch.row_stride;
  kernels::LaunchPlanned(work, stream);
}

void LogProbCuda(const Batch& batch, const int64_t* token, int64_t token_stride, float* logprob, CudaStream stream) {
  CheckLogProb(batch, token, logprob);
  Work work = kernels::WorkOn(batch, Task::kLogProb);
  work.out = logprob;
  work.token = token, work.token_stride = token_stride;
  kernels::LaunchPlanned(work, stream);
}

void LogProbBackwardCuda(const Batch& batch, const int64_t* token, int64_t token_stride, const float* grad,
                         int64_t grad_stride, void* grad_logits, int64_t grad_logits_stride, CudaStream stream) {
  CheckLogProbBackward(batch, token, grad, grad_logits, grad_logits_stride);
  Work work = kernels::WorkOn(batch, Task::kLogProbBackward);
  work.token = token, work.token_stride = token_stride, work.grad = grad, work.grad_stride = grad_stride;
  work.grad_logits = grad_logits, work.grad_logits_stride = grad_logits_stride;
  kernels::LaunchPlanned(work, stream);
}

void SupportLogProbCuda(const SupportBatch& batch, const SupportLogProbOutputs& outputs, CudaStream stream) {
  CheckSupportLogProb(batch);
  kernels::SupportLogProbWork work = kernels::WorkOn(batch, Task::kSupportLogProb);
  work.outputs = outputs;
  kernels::LaunchPlanned(work, stream);
}

void SupportLogProbBackwardCuda(const SupportBatch& batch, const SupportMasses* masses, const float* grad,
                                const float* full_grad, void* grad_logits, int64_t grad_logits_stride,
                                CudaStream stream) {
  CheckSupportLogProbBackward(batch, masses, grad_logits, grad_logits_stride);
  kernels::SupportLogProbWork work = kernels::WorkOn(batch, Task::kSupportLogProbBackward);
  work.masses = masses, work.grad = grad, work.full_grad = full_grad;
  work.grad_logits = grad_logits, work.grad_logits_stride = grad_logits_stride;
  kernels::LaunchPlanned(work, stream);
}

}  // namespace fire
