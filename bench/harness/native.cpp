// What the benchmark needs at full speed: one read of a row, to compare with; the filling of llama.cpp's array;
// a sweep that pushes everything else out of the caches; and as many instructions as the processor runs.
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

#if defined(__AVX512F__)
constexpr size_t kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr size_t kVectorBytes = 32;
#else
constexpr size_t kVectorBytes = 16;
#endif

// One pass over the row. Eight vectors of maxima, so that the loads, not the latency of max, set the pace.
template <typename T>
T Maximum(const T* row, size_t count) {
  constexpr size_t kVectors = 8, kLanes = kVectorBytes / sizeof(T);
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  Vector maxima[kVectors];
  const T first = row[0];
  for (Vector& vector : maxima) vector = Vector{} + first;
  size_t i = 0;
  for (; i + kVectors * kLanes <= count; i += kVectors * kLanes) {
#pragma GCC unroll 8
    for (size_t j = 0; j < kVectors; ++j) {
      Vector logits;
      std::memcpy(&logits, row + i + j * kLanes, sizeof logits);
      maxima[j] = logits > maxima[j] ? logits : maxima[j];
    }
  }
  T maximum = first;
  for (const Vector& vector : maxima)
    for (size_t lane = 0; lane < kLanes; ++lane) maximum = vector[lane] > maximum ? vector[lane] : maximum;
  for (; i < count; ++i) maximum = row[i] > maximum ? row[i] : maximum;
  return maximum;
}

struct TokenData {  // llama_token_data
  int32_t id;
  float logit;
  float p;
};

}  // namespace

extern "C" {

void ReadFloat32(const float* logits, size_t rows, size_t vocabulary, float* maxima) {
  for (size_t r = 0; r < rows; ++r) maxima[r] = Maximum(logits + r * vocabulary, vocabulary);
}

// A 16-bit row costs the same to read whatever its bits mean: the maximum is that of the bits.
void ReadInt16(const int16_t* logits, size_t rows, size_t vocabulary, int16_t* maxima) {
  for (size_t r = 0; r < rows; ++r) maxima[r] = Maximum(logits + r * vocabulary, vocabulary);
}

// As llama_sampler_sample does before it applies a chain.
void FillTokenData(const float* logits, size_t vocabulary, TokenData* data) {
  for (size_t id = 0; id < vocabulary; ++id) data[id] = {static_cast<int32_t>(id), logits[id], 0.0f};
}

int16_t Sweep(const int16_t* data, size_t count) { return Maximum(data, count); }

// Independent additions of vectors, eight a turn; the caller counts them.
void AddVectors(size_t turns) {
  typedef int32_t Vector __attribute__((vector_size(kVectorBytes)));
  Vector a{}, b{}, c{}, d{}, e{}, f{}, g{}, h{}, one = Vector{} + 1;
  for (size_t i = 0; i < turns; ++i) {
    a += one, b += one, c += one, d += one, e += one, f += one, g += one, h += one;
    __asm__ volatile("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f), "+x"(g), "+x"(h));
  }
}

}  // extern "C"
