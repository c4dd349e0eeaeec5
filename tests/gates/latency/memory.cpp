#include "tests/gates/latency/memory.h"

#include <algorithm>

namespace fire::latency {

// L2 keeps what was touched last: a line is there while the device has pulled less than L2 holds since.
double Memory::Load(Intake& intake, uint64_t row, uint64_t address, double bytes, double now, bool is_prefetch) {
  const uint64_t first = address / kLine, last = (address + static_cast<uint64_t>(bytes) - 1) / kLine;
  double missing = 0, arrival = 0;
  for (uint64_t line = first; line <= last; ++line) {
    const auto [found, is_new] = lines_.try_emplace(line | row << 48);
    Touch& touch = found->second;
    const bool is_there = !is_new && pulled_ - touch.pulled <= machine_.l2_bytes;
    missing += !is_there;
    if (is_there) arrival = std::max(arrival, touch.arrival);
    touch.pulled = pulled_;
  }
  const double from_hbm = bytes * missing / static_cast<double>(last - first + 1);
  pulled_ += bytes * share_.device;
  hbm_bytes_ += from_hbm;
  if (!is_prefetch) intake.l2 = std::max(intake.l2, now) + bytes / share_.l2;
  const double taken = is_prefetch ? now : intake.l2;
  double done = std::max(taken + machine_.l2_latency, arrival);
  if (missing > 0) {
    intake.hbm = std::max(intake.hbm, now) + from_hbm / share_.hbm;
    done = std::max(done, std::max(intake.hbm, taken) + machine_.hbm_latency);
    for (uint64_t line = first; line <= last; ++line) {
      Touch& touch = lines_[line | row << 48];
      touch.arrival = std::max(touch.arrival, done);
    }
  }
  return done;
}

}  // namespace fire::latency
