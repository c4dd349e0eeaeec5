// The inline PTX of the kernels, one named function an instruction. Nothing else in kernels/ holds asm.
#pragma once

#include <cstdint>

namespace fire::kernels::ptx {

// ---- clusters: blocks that share a row. Before compute capability 9.0 a block is alone ----
__device__ __forceinline__ uint32_t ClusterRank() {
#if __CUDA_ARCH__ >= 900
  uint32_t rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#else
  return 0;
#endif
}

__device__ __forceinline__ uint32_t ClusterSize() {
#if __CUDA_ARCH__ >= 900
  uint32_t size;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
#else
  return 1;
#endif
}

// Orders nothing: it only tells that this block has started.
__device__ __forceinline__ void ClusterArriveRelaxed() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}

__device__ __forceinline__ void ClusterArrive() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}

__device__ __forceinline__ void ClusterWait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

__device__ __forceinline__ uint32_t SharedAddress(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

#if __CUDA_ARCH__ >= 900
// The address of a block's own shared variable in the shared memory of a peer.
__device__ __forceinline__ uint32_t PeerAddress(const void* shared, uint32_t rank) {
  uint32_t address;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(SharedAddress(shared)), "r"(rank));
  return address;
}
#endif

// Writes to where `shared` lies in the block `rank` of the cluster.
__device__ __forceinline__ void Push(uint32_t* shared, uint32_t rank, uint32_t value) {
#if __CUDA_ARCH__ >= 900
  asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(PeerAddress(shared, rank)), "r"(value) : "memory");
#else
  *shared = value;
#endif
}

__device__ __forceinline__ void Push(uint64_t* shared, uint32_t rank, uint64_t value) {
#if __CUDA_ARCH__ >= 900
  asm volatile("st.shared::cluster.u64 [%0], %1;" ::"r"(PeerAddress(shared, rank)), "l"(value) : "memory");
#else
  *shared = value;
#endif
}

__device__ __forceinline__ uint64_t Pull(const uint64_t* shared, uint32_t rank) {
#if __CUDA_ARCH__ >= 900
  uint64_t value;
  asm volatile("ld.shared::cluster.u64 %0, [%1];" : "=l"(value) : "r"(PeerAddress(shared, rank)) : "memory");
  return value;
#else
  return *shared;
#endif
}

// threadIdx.x, asked for anew: what is worked out from it is not kept in registers from one use to the next.
__device__ __forceinline__ uint32_t ThreadAnew() {
  uint32_t thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  return thread;
}

// Hides what a value comes from: a compiler may else work it out anew wherever it is used, or make a copy of a loop for
// each value that it may have.
__device__ __forceinline__ void Keep(uint32_t* value) { asm volatile("" : "+r"(*value)); }

// ---- programmatic dependent launch ----
// Returns once the kernels before this one in the stream are done and their writes seen.
__device__ __forceinline__ void WaitForPriorGrids() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// ---- memory ----
// Asks for the 128 bytes around `address`, into the L2 cache.
__device__ __forceinline__ void PrefetchToL2(const void* address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(address)));
}

// ---- two 16-bit floats in a word ----
// MaxNumber drops a NaN, Max keeps it.
__device__ __forceinline__ uint32_t MaxNumberBFloat16x2(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
__device__ __forceinline__ uint32_t MaxBFloat16x2(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
__device__ __forceinline__ uint32_t MaxNumberFloat16x2(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("max.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
__device__ __forceinline__ uint32_t MaxFloat16x2(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}

// Rounds to the nearest.
__device__ __forceinline__ uint32_t FloatsToBFloat16x2(float low, float high) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
__device__ __forceinline__ uint32_t FloatsToFloat16x2(float low, float high) {
  uint32_t r;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}

// True where either half of a is at least b's, or one of them is NaN.
__device__ __forceinline__ bool AnyAtLeastOrNanFloat16x2(uint32_t a, uint32_t b) {
  int r;
  asm("{.reg .pred p, q; setp.geu.f16x2 p|q, %1, %2; or.pred p, p, q; selp.s32 %0, 1, 0, p;}"
      : "=r"(r)
      : "r"(a), "r"(b));
  return r;
}
#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ bool AnyAtLeastOrNanBFloat16x2(uint32_t a, uint32_t b) {
  int r;
  asm("{.reg .pred p, q; setp.geu.bf16x2 p|q, %1, %2; or.pred p, p, q; selp.s32 %0, 1, 0, p;}"
      : "=r"(r)
      : "r"(a), "r"(b));
  return r;
}
#endif

// ---- one float ----
__device__ __forceinline__ float MaxNumber(float a, float b) {
  float r;
  asm("max.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
__device__ __forceinline__ float Max(float a, float b) {
  float r;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
}
__device__ __forceinline__ float Float16ToFloat(uint32_t half) {
  float r;
  asm("{.reg .b16 h; cvt.u16.u32 h, %1; cvt.f32.f16 %0, h;}" : "=f"(r) : "r"(half));
  return r;
}
// Rounds towards −inf, so that what was at least `x` is at least the result.
__device__ __forceinline__ uint32_t FloatToFloat16Down(float x) {
  uint32_t r;
  asm("{.reg .b16 h; cvt.rm.f16.f32 h, %1; cvt.u32.u16 %0, h;}" : "=r"(r) : "f"(x));
  return r;
}

// ---- two floats in 64 bits: from compute capability 10.0 on ----
__device__ __forceinline__ uint64_t FloatPair(float low, float high) {
  uint64_t r;
  asm("mov.b64 %0, {%1, %2};" : "=l"(r) : "f"(low), "f"(high));
  return r;
}
__device__ __forceinline__ float2 FloatsOf(uint64_t pair) {
  float2 r;
  asm("mov.b64 {%0, %1}, %2;" : "=f"(r.x), "=f"(r.y) : "l"(pair));
  return r;
}
__device__ __forceinline__ uint64_t FmaPair(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t r;
  asm("fma.rn.f32x2 %0, %1, %2, %3;" : "=l"(r) : "l"(a), "l"(b), "l"(c));
  return r;
}
__device__ __forceinline__ uint64_t SubPair(uint64_t a, uint64_t b) {
  uint64_t r;
  asm("sub.rn.f32x2 %0, %1, %2;" : "=l"(r) : "l"(a), "l"(b));
  return r;
}

// ---- integers ----
// Adds `value` to `sum` where a > b: compares and adds, where a compiler selects what to add first.
__device__ __forceinline__ void AddWhereGreater(uint64_t a, uint64_t b, uint64_t value, uint64_t* sum) {
  asm("{.reg .pred p; setp.gt.u64 p, %1, %2; @p add.u64 %0, %0, %3;}" : "+l"(*sum) : "l"(a), "l"(b), "l"(value));
}
__device__ __forceinline__ void AddWhereAtLeast(uint32_t a, uint32_t b, uint64_t value, uint64_t* sum) {
  asm("{.reg .pred p; setp.ge.u32 p, %1, %2; @p add.u64 %0, %0, %3;}" : "+l"(*sum) : "r"(a), "r"(b), "l"(value));
}
__device__ __forceinline__ void AddWhereAtLeast(uint32_t a, uint32_t b, uint32_t value, uint32_t* sum) {
  asm("{.reg .pred p; setp.ge.u32 p, %1, %2; @p add.u32 %0, %0, %3;}" : "+r"(*sum) : "r"(a), "r"(b), "r"(value));
}
__device__ __forceinline__ void CountWhereLess(uint32_t a, uint32_t b, uint32_t* count) {
  asm("{.reg .pred p; setp.lt.u32 p, %1, %2; @p add.u32 %0, %0, 1;}" : "+r"(*count) : "r"(a), "r"(b));
}
// By 64 or more places: 0.
__device__ __forceinline__ uint64_t ShiftRight(uint64_t a, uint32_t places) {
  uint64_t r;
  asm("shr.u64 %0, %1, %2;" : "=l"(r) : "l"(a), "r"(places));
  return r;
}

}  // namespace fire::kernels::ptx
