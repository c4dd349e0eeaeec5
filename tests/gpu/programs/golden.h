// The golden answers: rows, records and steps with what the definition's reference says of them, in one file that both
// programs here and proof/golden.py read. Words are little-endian; every array is padded to 8 bytes.
//
//   u64 magic, u64 number of cases; then for each case
//   u64 logits type, u64 vocabulary, u64 rows, and the arrays in the order of `Arrays`
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fire/sampling.h"

namespace fire::gpu {

inline constexpr uint64_t kGoldenMagic = 0x31444C4F47455249;  // "IREGOLD1"

struct GoldenCase {
  LogitsType type = LogitsType::kFloat32;
  int64_t vocabulary = 0;
  int64_t rows = 0;

  std::vector<uint8_t> logits;  // rows · vocabulary elements
  std::vector<Record> records;
  std::vector<int64_t> step;
  std::vector<int64_t> asked;  // the tokens that log_prob is asked for

  std::vector<int64_t> token;
  std::vector<float> logprob;
  std::vector<float> ref_logprob;
  std::vector<int32_t> rank;
  std::vector<int32_t> kept;
  std::vector<int32_t> status;
  std::vector<float> asked_logprob;
  std::vector<uint32_t> processed;  // RowDigest of process_logits
  std::vector<uint32_t> heated;     // RowDigest of heat_logits_; float32 only

  size_t element_bytes() const { return type == LogitsType::kFloat32 ? 4 : 2; }

  // Calls visit(array, elements) for each array of the file.
  template <typename Visit>
  void Arrays(Visit visit) {
    const auto count = static_cast<size_t>(rows);
    visit(logits, count * static_cast<size_t>(vocabulary) * element_bytes());
    visit(records, count);
    visit(step, count);
    visit(asked, count);
    visit(token, count);
    visit(logprob, count);
    visit(ref_logprob, count);
    visit(rank, count);
    visit(kept, count);
    visit(status, count);
    visit(asked_logprob, count);
    visit(processed, count);
    visit(heated, type == LogitsType::kFloat32 ? count : 0);
  }
};

// CRC-32 (zlib's) of a row of floats, −0 as +0: either zero is right.
inline uint32_t RowDigest(const float* row, int64_t size) {
  static const std::vector<uint32_t> table = [] {
    std::vector<uint32_t> made(256);
    for (uint32_t i = 0; i < 256; ++i) {
      made[i] = i;
      for (int bit = 0; bit < 8; ++bit) made[i] = made[i] >> 1 ^ (made[i] & 1 ? 0xEDB88320u : 0);
    }
    return made;
  }();
  uint32_t digest = 0xFFFFFFFFu;
  for (int64_t i = 0; i < size; ++i) {
    uint32_t bits;
    std::memcpy(&bits, row + i, sizeof bits);
    if (bits == 0x80000000u) bits = 0;
    for (int byte = 0; byte < 4; ++byte, bits >>= 8) digest = digest >> 8 ^ table[(digest ^ bits) & 0xFF];
  }
  return ~digest;
}

inline void WriteGolden(const std::string& path, std::vector<GoldenCase>& cases) {
  std::ofstream file(path, std::ios::binary);
  const auto write = [&](const void* data, size_t bytes) {
    static constexpr char kZeros[8] = {};
    file.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
    file.write(kZeros, static_cast<std::streamsize>((8 - bytes % 8) % 8));
  };
  const uint64_t head[2] = {kGoldenMagic, cases.size()};
  write(head, sizeof head);
  for (GoldenCase& one : cases) {
    const uint64_t shape[3] = {static_cast<uint64_t>(one.type), static_cast<uint64_t>(one.vocabulary),
                               static_cast<uint64_t>(one.rows)};
    write(shape, sizeof shape);
    one.Arrays([&](const auto& array, size_t count) {
      if (array.size() != count) throw std::logic_error("an array of the golden answers has another length");
      write(array.data(), count * sizeof array[0]);
    });
  }
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

inline std::vector<GoldenCase> ReadGolden(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const auto read = [&](void* data, size_t bytes) {
    char padding[8];
    file.read(static_cast<char*>(data), static_cast<std::streamsize>(bytes));
    file.read(padding, static_cast<std::streamsize>((8 - bytes % 8) % 8));
    if (!file) throw std::runtime_error(path + " is missing or ends early");
  };
  uint64_t head[2];
  read(head, sizeof head);
  if (head[0] != kGoldenMagic) throw std::runtime_error(path + " holds no golden answers");
  std::vector<GoldenCase> cases(head[1]);
  for (GoldenCase& one : cases) {
    uint64_t shape[3];
    read(shape, sizeof shape);
    one.type = static_cast<LogitsType>(shape[0]);
    one.vocabulary = static_cast<int64_t>(shape[1]);
    one.rows = static_cast<int64_t>(shape[2]);
    one.Arrays([&](auto& array, size_t count) {
      array.resize(count);
      read(array.data(), count * sizeof array[0]);
    });
  }
  return cases;
}

}  // namespace fire::gpu
