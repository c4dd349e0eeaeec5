// Kernels that the gates must object to, each for the mistake in its name.
#include <initializer_list>

#include "tests/gates/planted/passes.cuh"

extern "C" __global__ void Maximum_kNone(PlantedRow row, float* out) {
  out[threadIdx.x] = MaximumPass<Mistake::kNone>(row);
}

extern "C" __global__ void Maximum_kWords(PlantedRow row, float* out) {
  out[threadIdx.x] = MaximumPass<Mistake::kWords>(row);
}

extern "C" __global__ void Maximum_kSlots(PlantedRow row, float* out) {
  out[threadIdx.x] = MaximumPass<Mistake::kSlots>(row);
}

extern "C" __global__ void Maximum_kWaits(PlantedRow row, float* out) {
  out[threadIdx.x] = MaximumPass<Mistake::kWaits>(row);
}

extern "C" __global__ void Maximum_kDivides(PlantedRow row, float* out) {
  out[threadIdx.x] = MaximumPass<Mistake::kDivides>(row);
}

extern "C" __global__ void Append_kNone(PlantedRow row, PlantedList* out) {
  __shared__ PlantedList list;
  list.count = 0;
  __syncthreads();
  AppendPass<Mistake::kNone>(row, list);
  __syncthreads();
  *out = list;
}

extern "C" __global__ void Append_kBranches(PlantedRow row, PlantedList* out) {
  __shared__ PlantedList list;
  list.count = 0;
  __syncthreads();
  AppendPass<Mistake::kBranches>(row, list);
  __syncthreads();
  *out = list;
}

extern "C" __global__ void Append_kSlowPath(PlantedRow row, PlantedList* out) {
  __shared__ PlantedList list;
  list.count = 0;
  __syncthreads();
  AppendPass<Mistake::kSlowPath>(row, list);
  __syncthreads();
  *out = list;
}

extern "C" __global__ void Mass_kNone(PlantedRow row, uint64_t* out) {
  out[threadIdx.x] = FastMassPass<false, Mistake::kNone>(row);
}

extern "C" __global__ void Mass_kIntegers(PlantedRow row, uint64_t* out) {
  out[threadIdx.x] = FastMassPass<false, Mistake::kIntegers>(row);
}

extern "C" __global__ void Mass_kConverts(PlantedRow row, uint64_t* out) {
  out[threadIdx.x] = FastMassPass<false, Mistake::kConverts>(row);
}

extern "C" __global__ void Doubles(double* out) { out[threadIdx.x] += out[threadIdx.x + 32] * out[threadIdx.x + 64]; }

extern "C" __global__ void Local(const int* at, int* out) {
  int table[32];
  for (int i = 0; i < 32; ++i) table[at[i] & 31] = i;
  out[threadIdx.x] = table[at[threadIdx.x] & 31];
}

__device__ __noinline__ int Called(int value) { return value * value + 1; }
extern "C" __global__ void Calls(int* out) { out[threadIdx.x] = Called(out[threadIdx.x]); }

__device__ __forceinline__ void Wait() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

extern "C" __global__ void Waits_kNone(const float* in, float* out) {
  Wait();
  out[threadIdx.x] = in[threadIdx.x];
}

extern "C" __global__ void Waits_kNever(const float* in, float* out) { out[threadIdx.x] = in[threadIdx.x]; }

extern "C" __global__ void Waits_kLate(const float* in, float* out) {
  const float early = in[threadIdx.x];
  Wait();
  out[threadIdx.x] = early;
}

// A way round the wait, behind which every other load is.
extern "C" __global__ void Waits_kPassedBy(const float* in, float* out, int waits) {
  if (waits) Wait();
  out[threadIdx.x] = in[threadIdx.x];
}

extern "C" __global__ void Waits_kConstant(const float* in, float* out) {
  Wait();
  out[threadIdx.x] = __ldg(in + threadIdx.x);
}
