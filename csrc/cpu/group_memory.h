// The memory that the references of a group take beside a workspace: one entry a member.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/row_table.h"

namespace fire::cpu {

class GroupMemory {
 public:
  explicit GroupMemory(size_t size) : entry_(size), logit_(size), place_(size), rank_(size) {}

  GroupScratch scratch() { return {entry_.data(), logit_.data(), place_.data(), rank_.data()}; }

 private:
  std::vector<uint64_t> entry_;
  std::vector<float> logit_;
  std::vector<uint32_t> place_, rank_;
};

}  // namespace fire::cpu
