// How to sample one sequence, in the names and with the defaults of Python's SamplingConfig, and the records it packs
// to.
//
//   fire::SamplingConfig config;
//   config.temperature = 0.7f;
//   config.top_k = 50;
//   const std::vector<fire::Record> records = fire::Pack(config, rows);
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fire/config.h"

namespace fire {

// A field left empty takes its default when it is packed: hot fields follow the regular ones.
struct SamplingConfig {
  float temperature = 1.0f;  // [0, inf]; 0: greedy
  int32_t top_k = 0;         // 0 or -1: off
  float top_p = 1.0f;        // [0, 1]; 1: off
  float min_p = 0.0f;        // [0, 1]; 0: off
  float hot_temperature = 30.0f;
  std::optional<int32_t> hot_top_k;  // empty: top_k where that is on, else 16
  std::optional<float> hot_top_p;    // empty: top_p
  std::optional<float> hot_min_p;    // empty: min_p
  int32_t hot_begin = 0;             // the first hot step
  std::optional<int32_t> hot_steps;  // how many; empty: 1, or 0 where temperature is greedy
  Order order = Order::kHf;
  Ties ties = Ties::kExact;
  uint64_t seed = 0;
  uint32_t stream = 0;                   // separates draws of equal seed and step
  std::optional<float> ref_temperature;  // (0, inf], of ref_logprob; empty: temperature, or 1 where that is greedy
  Design design = Design::kNone;
  int32_t group_size = 1;  // 1 to 65,536; 1 without a design
  int32_t member = 0;      // below group_size
};

// The record of one sequence, its seed as it is. Throws std::invalid_argument, naming the field, for a value out of the
// ranges above.
Record RecordOf(const SamplingConfig& config);

// The records of `rows` sequences, each with a seed of its own: those of sequences first_row, first_row + 1, …,
// whatever batches they are drawn in. The same as Python's pack(config, rows, first_row). Throws as RecordOf does, and
// where `rows` or `first_row` is negative.
std::vector<Record> Pack(const SamplingConfig& config, int64_t rows, int64_t first_row = 0);

// The records of the `size` completions of each of `prompts` prompts, which config.design spreads over the row's
// distribution (kNone: kIid): prompt by prompt, block by block, member by member, prompts · blocks · size of them. The
// members of a block share a seed; block b of prompt p has that of sequence (p + first_prompt) · blocks + b of Pack.
// The same as Python's pack_group. Throws as RecordOf does; where a count is out of its range; where config.group_size
// or config.member is given, which `size` says; and for a design above kIid without a hot step, the only ones it acts
// in.
std::vector<Record> PackGroup(const SamplingConfig& config, int64_t prompts, int64_t size, int64_t first_prompt = 0,
                              int64_t blocks = 1);

}  // namespace fire
