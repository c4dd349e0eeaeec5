// The threads used by callers that bring none of their own (NumPy, plain C++). Under torch, torch's are used.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "fire/sampling.h"

namespace fire::cpu {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // `threads` in all, the calling one included
  ~ThreadPool();

  // Returns when body has covered [0, count), or throws what body threw first, once no thread runs it any more.
  // Callers on other threads meanwhile wait their turn.
  void ParallelFor(int64_t count, const ParallelForBody& body);

 private:
  void Work();
  void RunChunks(const ParallelForBody& body);

  std::vector<std::thread> workers_;
  std::mutex turn_;   // one ParallelFor at a time
  std::mutex mutex_;  // guards everything below
  std::condition_variable wake_, finished_;
  const ParallelForBody* body_ = nullptr;
  int64_t count_ = 0, next_ = 0, chunk_ = 1;
  int busy_ = 0;
  uint64_t generation_ = 0;
  std::exception_ptr failure_;
  bool stop_ = false;
};

// As many threads as the machine has cores, or FIRE_NUM_THREADS; started at first use. Throws std::runtime_error where
// that variable is not a number of threads.
ThreadPool& DefaultThreadPool();

}  // namespace fire::cpu
