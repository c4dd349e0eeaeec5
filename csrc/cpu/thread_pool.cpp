#include "cpu/thread_pool.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
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

namespace {

std::mutex creation;  // guards the making of the default pool

int DefaultThreadCount() {
  constexpr int kMost = 256;
  const char* asked = std::getenv("FIRE_NUM_THREADS");
  if (asked == nullptr || *asked == '\0')
    return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMost);
  char* end;
  const long count = std::strtol(asked, &end, 10);
  if (*end != '\0' || count < 1 || count > kMost)
    throw std::runtime_error("FIRE_NUM_THREADS is '" + std::string(asked) + "'; expected 1 to " +
                             std::to_string(kMost));
  return static_cast<int>(count);
}

}  // namespace

ThreadPool& DefaultThreadPool() {
  // Never destroyed, as its threads may outlive static destructors. A forked child has none of its parent's
  // threads and would wait for them for ever, so it starts its own; the handlers keep a fork out of the making.
  static ThreadPool* pool = nullptr;
  static pid_t owner = 0;
  static const int handlers =
      pthread_atfork([] { creation.lock(); }, [] { creation.unlock(); }, [] { creation.unlock(); });
  (void)handlers;
  std::lock_guard lock(creation);
  if (pool == nullptr || owner != getpid()) {
    pool = new ThreadPool(DefaultThreadCount());
    owner = getpid();
  }
  return *pool;
}

}  // namespace fire::cpu
