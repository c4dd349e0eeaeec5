// What a cluster's blocks say to each other, as the PTX the kernels use.
#pragma once

#include <cstdint>

// An instruction that devices before compute capability 9.0 lack. Kernels with one are not launched there, but the
// shipped programs are compiled for such devices too.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define FIRE_SM90_ASM(...) asm volatile(__VA_ARGS__)
#else
#define FIRE_SM90_ASM(...) __trap()
#endif

namespace fire::micro {

__device__ __forceinline__ uint32_t ClusterRank() {
  uint32_t rank = 0;
  FIRE_SM90_ASM("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

__device__ __forceinline__ uint32_t ClusterSize() {
  uint32_t blocks = 1;
  FIRE_SM90_ASM("mov.u32 %0, %%cluster_nctarank;" : "=r"(blocks));
  return blocks;
}

__device__ __forceinline__ void ClusterBarrierWait() {
  FIRE_SM90_ASM("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ void ClusterBarrierWaitRelaxed() {
  FIRE_SM90_ASM("barrier.cluster.arrive.relaxed.aligned;\n\tbarrier.cluster.wait.aligned;" ::: "memory");
}

// The address of block `rank`'s copy of a shared variable.
__device__ __forceinline__ uint32_t AddressIn(const void* shared, uint32_t rank) {
  uint32_t there = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  FIRE_SM90_ASM("mapa.shared::cluster.u32 %0, %0, %1;" : "+r"(there) : "r"(rank));
  return there;
}

__device__ __forceinline__ void Push(uint32_t address, uint4 value) {
  FIRE_SM90_ASM("st.shared::cluster.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(value.x), "r"(value.y),
                "r"(value.z), "r"(value.w)
                : "memory");
}

__device__ __forceinline__ void PushAdd(uint32_t address, uint32_t value) {
  FIRE_SM90_ASM("red.relaxed.cluster.shared::cluster.add.u32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

__device__ __forceinline__ void PushRelease(uint32_t address, uint32_t value) {
  FIRE_SM90_ASM("st.release.cluster.shared::cluster.u32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

__device__ __forceinline__ uint32_t LoadAcquire(const uint32_t* shared) {
  uint32_t value = 0;
  FIRE_SM90_ASM("ld.acquire.cluster.shared::cta.u32 %0, [%1];"
                : "=r"(value)
                : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(shared)))
                : "memory");
  return value;
}

}  // namespace fire::micro
