// The memory of one simulated device, or the pinned memory of the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace fire::simulator {

// Address space reserved once, handed out in pieces. Between pieces lie gaps, so that an access just past one is in no
// other. While closed, device memory answers the host with a segmentation fault, as a real device's does.
class Arena {
 public:
  enum class Access { kDevice, kHost };

  Arena(size_t bytes, Access access);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* Allocate(size_t bytes);  // null where nothing is left
  void Free(void* begin);

  // The piece that holds an address.
  struct Piece {
    uintptr_t begin = 0;
    size_t bytes = 0;
  };
  const Piece* Find(const void* address) const;
  bool Reserves(const void* address) const { return reinterpret_cast<uintptr_t>(address) - base_ < bytes_; }

  size_t capacity() const { return bytes_; }
  size_t in_use() const { return in_use_; }

  // Calls nest: what runs on the device, and every copy, opens the memory for its own duration.
  void Open();
  void Close();

 private:
  void Protect(uintptr_t end, bool open) const;

  const size_t bytes_;
  const Access access_;
  uintptr_t base_ = 0;
  uintptr_t high_water_ = 0;
  size_t in_use_ = 0;
  int opened_ = 0;
  std::map<uintptr_t, Piece> pieces_;  // by address
  std::map<uintptr_t, size_t> gaps_;   // freed space below the high-water mark, by address
};

class OpenArena {
 public:
  explicit OpenArena(Arena& arena) : arena_(arena) { arena_.Open(); }
  ~OpenArena() { arena_.Close(); }
  OpenArena(const OpenArena&) = delete;
  OpenArena& operator=(const OpenArena&) = delete;

 private:
  Arena& arena_;
};

}  // namespace fire::simulator
