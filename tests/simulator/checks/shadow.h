// Who touched each word of memory last.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/simulator/checks/clocks.h"

namespace fire::simulator {

// An access by lanes of one warp at one tick. Its cluster is needed for global memory only.
struct Entry {
  uint32_t tick = 0;  // 0: none
  uint32_t lanes = 0;
  uint32_t cluster = 0;
  uint16_t warp = 0;
  uint8_t bytes = 0;  // which of the word's four
  bool strong : 1 = false;
  bool write : 1 = false;
};

struct Cell {
  Entry write, read;
  uint32_t more = 0;    // accesses that fit neither: Shadow::more[more - 1]
  uint8_t written = 0;  // bytes that hold a value
};

class Shadow {
 public:
  std::vector<Cell> cells;
  std::vector<std::vector<Entry>> more;

  void Reset(size_t words) {
    cells.assign(words, Cell{});
    more.clear();
  }
  // Records the access and returns an earlier one it races with, or one with tick 0.
  Entry Touch(size_t word, const Entry& entry, const WarpClock& clock, int lane);

 private:
  Entry TouchSlowly(Cell& cell, const Entry& entry, const WarpClock& clock, int lane);
  void Keep(Cell& cell, const Entry& entry);
};

inline Entry Shadow::Touch(size_t word, const Entry& entry, const WarpClock& clock, int lane) {
  Cell& cell = cells[word];
  const auto quiet = [&](const Entry& old) {  // certainly ordered before
    if (old.tick == 0) return true;
    if (old.cluster != entry.cluster) return false;
    return old.warp == clock.index ? old.tick <= clock.full || old.lanes == 1u << lane
                                   : old.tick <= clock.known[old.warp];
  };
  if (cell.more == 0 && quiet(cell.write)) {
    if (!entry.write) {
      Entry& read = cell.read;
      if (read.tick == entry.tick && read.warp == entry.warp && read.bytes == entry.bytes &&
          read.strong == entry.strong && read.cluster == entry.cluster) {
        read.lanes |= entry.lanes;
        return {};
      }
      if (quiet(read) && (read.bytes & ~entry.bytes) == 0) {
        read = entry;
        return {};
      }
    } else if (quiet(cell.read) && (cell.write.bytes & ~entry.bytes) == 0) {
      cell.write = entry;
      cell.read = {};
      cell.written |= entry.bytes;
      return {};
    }
  }
  return TouchSlowly(cell, entry, clock, lane);
}

}  // namespace fire::simulator
