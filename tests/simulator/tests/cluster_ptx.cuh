// Clusters by their PTX, for tests; code for devices without clusters compiles to nothing.
#pragma once

#include <cstdint>

namespace fire::simulator {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
__device__ inline uint32_t ClusterRank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ inline uint32_t ClusterSize() {
  uint32_t size;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
}
__device__ inline void ClusterArrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
__device__ inline void ClusterArriveRelaxed() { asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory"); }
__device__ inline void ClusterWait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }

// The address of a shared variable in the block of that rank.
__device__ inline uint32_t InBlock(const void* shared, uint32_t rank) {
  uint32_t address;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
               : "=r"(address)
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(shared))), "r"(rank));
  return address;
}
__device__ inline int LoadFrom(uint32_t address) {
  int value;
  asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
  return value;
}
__device__ inline void StoreTo(uint32_t address, int value) {
  asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}
__device__ inline void AddTo(uint32_t address, int value) {
  asm volatile("red.relaxed.cluster.shared::cluster.add.u32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}
// An mbarrier of the own block, and stores to where `shared` lies in another block, which arrive at its mbarrier.
__device__ inline void InitArrivals(uint64_t* barrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(barrier)))
               : "memory");
}
__device__ inline void FenceInit() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ inline void ExpectBytes(uint64_t* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(barrier))),
               "r"(bytes)
               : "memory");
}
__device__ inline void AwaitArrivals(uint64_t* barrier, int parity) {
  asm volatile(
      "{.reg .pred p; again: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%0], %1; @!p bra again;}" ::
          "r"(static_cast<uint32_t>(__cvta_generic_to_shared(barrier))),
      "r"(parity)
      : "memory");
}
__device__ inline void SendTo(int* shared, uint32_t rank, int value, uint64_t* barrier) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(InBlock(shared, rank)),
               "r"(value), "r"(InBlock(barrier, rank))
               : "memory");
}
__device__ inline void SendTo(long long* shared, uint32_t rank, long long low, long long high, uint64_t* barrier) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b64 [%0], {%1, %2}, [%3];" ::"r"(
                   InBlock(shared, rank)),
               "l"(low), "l"(high), "r"(InBlock(barrier, rank))
               : "memory");
}
#else
__device__ inline void InitArrivals(uint64_t*) {}
__device__ inline void FenceInit() {}
__device__ inline void ExpectBytes(uint64_t*, int) {}
__device__ inline void AwaitArrivals(uint64_t*, int) {}
__device__ inline void SendTo(int*, uint32_t, int, uint64_t*) {}
__device__ inline void SendTo(long long*, uint32_t, long long, long long, uint64_t*) {}
__device__ inline uint32_t ClusterRank() { return 0; }
__device__ inline uint32_t ClusterSize() { return 1; }
__device__ inline void ClusterArrive() {}
__device__ inline void ClusterArriveRelaxed() {}
__device__ inline void ClusterWait() {}
__device__ inline uint32_t InBlock(const void*, uint32_t) { return 0; }
__device__ inline int LoadFrom(uint32_t) { return 0; }
__device__ inline void StoreTo(uint32_t, int) {}
__device__ inline void AddTo(uint32_t, int) {}
#endif

// A launch of `grid` blocks in clusters.
template <class... Parameters, class... Arguments>
cudaError_t LaunchClusters(void (*kernel)(Parameters...), dim3 grid, dim3 block, dim3 cluster, Arguments... arguments) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {cluster.x, cluster.y, cluster.z};
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

}  // namespace fire::simulator
