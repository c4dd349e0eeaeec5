#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "tests/simulator/machine/machine.h"

namespace fire::simulator {

void MemoryMap::Register(const void* begin, size_t bytes, std::string name, bool initialised) {
  auto range = std::make_unique<Range>();
  range->begin = reinterpret_cast<uint64_t>(begin);
  range->end = range->begin + bytes;
  range->name = std::move(name);
  if (!initialised) range->written.reset(static_cast<uint8_t*>(std::calloc(bytes, 1)));
  const std::unique_lock lock(mutex_);
  ranges_[range->begin] = std::move(range);
}

void MemoryMap::Unregister(const void* begin) {
  const std::unique_lock lock(mutex_);
  if (ranges_.erase(reinterpret_cast<uint64_t>(begin)) == 0) {
    throw std::invalid_argument("MemoryMap: no registered range begins there");
  }
}

MemoryMap::Range* MemoryMap::Find(uint64_t address) const {
  const std::shared_lock lock(mutex_);
  auto it = ranges_.upper_bound(address);
  if (it == ranges_.begin()) return nullptr;
  Range* range = std::prev(it)->second.get();
  return address < range->end ? range : nullptr;
}

const MemoryMap::Range* MemoryMap::Below(uint64_t address) const {
  const std::shared_lock lock(mutex_);
  auto it = ranges_.upper_bound(address);
  return it == ranges_.begin() ? nullptr : std::prev(it)->second.get();
}

void MemoryMap::MarkInitialised(const void* begin, size_t bytes) {
  uint64_t at = reinterpret_cast<uint64_t>(begin);
  const uint64_t end = at + bytes;
  if (Range* range = Find(at); range && range->written) {
    std::memset(range->written.get() + (at - range->begin), 1, std::min(end, range->end) - at);
  }
}

void MemoryMap::MarkAllInitialised() {
  const std::unique_lock lock(mutex_);
  for (const auto& [begin, range] : ranges_) range->written.reset();
}

bool MemoryMap::Initialised(const void* begin, size_t bytes) const {
  if (bytes == 0) return true;
  const uint64_t at = reinterpret_cast<uint64_t>(begin);
  const Range* range = Find(at);
  if (!range || at + bytes > range->end) return false;
  if (!range->written) return true;
  const uint8_t* written = range->written.get() + (at - range->begin);
  return std::all_of(written, written + bytes, [](uint8_t one) { return one != 0; });
}

bool MemoryMap::Contains(const void* begin, size_t bytes) const {
  const uint64_t at = reinterpret_cast<uint64_t>(begin);
  const Range* range = Find(at);
  return range && at + bytes <= range->end;
}

}  // namespace fire::simulator
