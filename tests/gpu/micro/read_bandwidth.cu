// How fast blocks read, from HBM and from L2, by blocks a multiprocessor, threads and 16-byte loads in flight; and what
// one multiprocessor alone can pull, which bounds a batch of few rows.
#include "tests/gpu/micro/measure.h"

namespace fire::micro {
namespace {

__device__ __forceinline__ uint4 Load(const uint4* from) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}

// Blocks take turns through `vectors`, which `passes` go over; the sum of all words is what each block leaves a part
// of.
template <int in_flight>
__global__ void Read(const uint4* data, int64_t vectors, int passes, uint32_t* out) {
  uint32_t sum = 0;
  const int64_t tile = static_cast<int64_t>(blockDim.x) * in_flight;
  for (int pass = 0; pass < passes; ++pass) {
    for (int64_t begin = blockIdx.x * tile; begin + tile <= vectors; begin += gridDim.x * tile) {
      uint4 v[in_flight];
#pragma unroll
      for (int i = 0; i < in_flight; ++i) v[i] = Load(data + begin + i * blockDim.x + threadIdx.x);
#pragma unroll
      for (int i = 0; i < in_flight; ++i) sum += v[i].x + v[i].y + v[i].z + v[i].w;
    }
  }
  atomicAdd(out, sum);
}

template <int in_flight>
void Measure(const Options& options, const char* from, const Memory<uint4>& data, int64_t vectors, int blocks,
             int blocks_an_sm, int threads) {
  const int64_t tile = int64_t{threads} * in_flight;
  vectors = vectors / tile * tile;
  const bool cached = *from == 'L';
  // Enough bytes for 20 µs at any speed; what a launch costs is in the figure for HBM, as it is for the kernels.
  const int passes = options.rehearse ? 1 : cached ? 20 : 1;
  Memory<uint32_t> out(1);
  const Spread time = Nanoseconds(options, [&](cudaStream_t stream) {
    Check(cudaMemsetAsync(out.get(), 0, sizeof(uint32_t), stream), "cudaMemsetAsync");
    Launch(blocks, threads, 0, stream)(Read<in_flight>, data.get(), vectors, passes, out.get());
  });
  // Every word of vector i is i % 1000 + 1.
  uint32_t expected = 0;
  for (int64_t i = 0; i < vectors; ++i) expected += 4 * static_cast<uint32_t>(i % 1000 + 1);
  Expect(out.Read()[0] == expected * static_cast<uint32_t>(passes), "sum of what was read");
  Line("read-bandwidth")
      .With("from", from)
      .With("blocks", blocks)
      .With("blocks_an_sm", blocks_an_sm)
      .With("threads", threads)
      .With("loads_in_flight", in_flight)
      .Print(options, "GB/s", Rate(static_cast<double>(vectors) * 16 * passes, time));
}

template <int in_flight>
void MeasureAll(const Options& options, const Device& device, const Memory<uint4>& data) {
  const int64_t all = static_cast<int64_t>(data.count());
  const int64_t in_l2 = options.rehearse ? all : device.l2_bytes / 2 / 16;
  const int64_t one_sm = options.rehearse ? all : 64 << 10;  // 1 MiB: three or four rows
  for (const int threads : {256, 512}) {
    for (const int blocks_an_sm : {1, 2, 4}) {
      const int blocks = options.rehearse ? blocks_an_sm : device.multiprocessors * blocks_an_sm;
      Measure<in_flight>(options, "HBM", data, all, blocks, blocks_an_sm, threads);
      Measure<in_flight>(options, "L2", data, in_l2, blocks, blocks_an_sm, threads);
    }
  }
  Measure<in_flight>(options, "L2, one SM", data, one_sm, 1, 1, 1024);
}

}  // namespace

void ReadBandwidth(const Options& options) {
  const Device device = ThisDevice();
  Memory<uint4> data(options.rehearse ? size_t{8192} : size_t{64} << 20);  // 1 GiB, many times the L2
  std::vector<uint4> words(data.count());
  for (size_t i = 0; i < words.size(); ++i) {
    const auto word = static_cast<uint32_t>(i % 1000 + 1);
    words[i] = make_uint4(word, word, word, word);
  }
  data.Write(words);
  MeasureAll<1>(options, device, data);
  MeasureAll<2>(options, device, data);
  MeasureAll<4>(options, device, data);
  MeasureAll<8>(options, device, data);
}

}  // namespace fire::micro
