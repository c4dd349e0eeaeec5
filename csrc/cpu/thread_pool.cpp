#include "cpu/thread_pool.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace fire::cpu {

ThreadPool::ThreadPool(int threads) {
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { Work(); });
  } catch (const std::system_error&) {
    // The system grants no more threads: those there are do the work.
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::ParallelFor(int64_t count, const ParallelForBody& body) {
  std::lock_guard turn(turn_);
  {
    std::lock_guard lock(mutex_);
    body_ = &body;
    count_ = count;
    next_ = 0;
    // Four chunks a thread even out rows of unequal cost.
    chunk_ = std::max<int64_t>(1, count / (4 * static_cast<int64_t>(workers_.size() + 1)));
    busy_ = static_cast<int>(workers_.size());
    ++generation_;
  }
  wake_.notify_all();
  RunChunks(body);
  std::exception_ptr failure;
  {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return busy_ == 0; });
    body_ = nullptr;
    std::swap(failure, failure_);
  }
  if (failure) std::rethrow_exception(failure);
}

void ThreadPool::RunChunks(const ParallelForBody& body) {
  for (;;) {
    int64_t begin, end;
    {
      std::lock_guard lock(mutex_);
      if (next_ >= count_) return;
      begin = next_;
      end = next_ = std::min(count_, next_ + chunk_);
    }
    try {
      body(begin, end);
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_ = count_;
    }
  }
}

void ThreadPool::Work() {
  uint64_t seen = 0;
  for (;;) {
    const ParallelForBody* body;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
      body = body_;
    }
    RunChunks(*body);
    std::lock_guard lock(mutex_);
    if (--busy_ == 0) finished_.notify_one();
  }
}

ThreadPool& DefaultThreadPool() {
  // Never destroyed, as its threads may outlive static destructors. A forked child has none of its parent's
  // threads and would wait for them for ever, so it starts its own.
  static std::mutex mutex;
  static ThreadPool* pool = nullptr;
  static pid_t owner = 0;
  std::lock_guard lock(mutex);
  if (pool == nullptr || owner != getpid()) {
    const char* asked = std::getenv("FIRE_NUM_THREADS");
    const int count = asked != nullptr ? std::atoi(asked) : static_cast<int>(std::thread::hardware_concurrency());
    pool = new ThreadPool(std::clamp(count, 1, 256));
    owner = getpid();
  }
  return *pool;
}

}  // namespace fire::cpu
