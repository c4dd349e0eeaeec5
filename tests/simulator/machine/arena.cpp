#include "tests/simulator/machine/arena.h"

#include <sys/mman.h>

#include <iterator>
#include <stdexcept>

namespace fire::simulator {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kAlignment = 256;  // what cudaMalloc promises
constexpr size_t kGap = 256;

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

Arena::Arena(size_t bytes, Access access) : bytes_(bytes), access_(access) {
  const int protection = access == Access::kHost ? PROT_READ | PROT_WRITE : PROT_NONE;
  void* base = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::runtime_error("no address space for the memory of a simulated device");
  base_ = high_water_ = reinterpret_cast<uintptr_t>(base);
}

Arena::~Arena() { munmap(reinterpret_cast<void*>(base_), bytes_); }

void* Arena::Allocate(size_t bytes) {
  if (bytes == 0 || bytes > bytes_) return nullptr;
  const size_t span = RoundUp(bytes, kAlignment) + kGap;
  uintptr_t begin = 0;
  for (auto gap = gaps_.begin(); gap != gaps_.end(); ++gap) {
    if (gap->second < span) continue;
    begin = gap->first;
    const size_t left = gap->second - span;
    gaps_.erase(gap);
    if (left) gaps_[begin + span] = left;
    break;
  }
  if (!begin) {
    if (span > base_ + bytes_ - high_water_) return nullptr;
    begin = high_water_;
    high_water_ += span;
    if (opened_) Protect(high_water_, true);
  }
  pieces_[begin] = {begin, bytes};
  in_use_ += span;
  return reinterpret_cast<void*>(begin);
}

void Arena::Free(void* pointer) {
  const auto piece = pieces_.find(reinterpret_cast<uintptr_t>(pointer));
  if (piece == pieces_.end()) throw std::invalid_argument("not the begin of a piece of this memory");
  uintptr_t begin = piece->first;
  size_t span = RoundUp(piece->second.bytes, kAlignment) + kGap;
  in_use_ -= span;
  pieces_.erase(piece);

  auto next = gaps_.lower_bound(begin);
  if (next != gaps_.end() && next->first == begin + span) {
    span += next->second;
    next = gaps_.erase(next);
  }
  if (next != gaps_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == begin) {
      begin = previous->first;
      span += previous->second;
      gaps_.erase(previous);
    }
  }
  const uintptr_t first_page = RoundUp(begin, kPage);
  const uintptr_t last_page = (begin + span) / kPage * kPage;
  if (first_page < last_page) madvise(reinterpret_cast<void*>(first_page), last_page - first_page, MADV_DONTNEED);
  if (begin + span == high_water_) {
    high_water_ = begin;
  } else {
    gaps_[begin] = span;
  }
}

const Arena::Piece* Arena::Find(const void* address) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const auto after = pieces_.upper_bound(at);
  if (after == pieces_.begin()) return nullptr;
  const Piece& piece = std::prev(after)->second;
  return at - piece.begin < piece.bytes ? &piece : nullptr;
}

void Arena::Open() {
  if (opened_++ == 0) Protect(high_water_, true);
}

void Arena::Close() {
  // Space that was in use when the memory was opened may have been freed since; all of it is closed.
  if (--opened_ == 0) Protect(base_ + bytes_, false);
}

void Arena::Protect(uintptr_t end, bool open) const {
  if (access_ == Access::kHost || end == base_) return;
  const int protection = open ? PROT_READ | PROT_WRITE : PROT_NONE;
  if (mprotect(reinterpret_cast<void*>(base_), RoundUp(end - base_, kPage), protection)) {
    throw std::runtime_error("cannot change the protection of a simulated device's memory");
  }
}

}  // namespace fire::simulator
