#include "cpu/thread_pool.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace fire::cpu {
namespace {

void ExpectEachIndexOnce(ThreadPool& pool, int64_t count) {
  std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
  pool.ParallelFor(count, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
  });
  for (const std::atomic<int>& visit : visits) ASSERT_EQ(visit, 1);
}

TEST(ThreadPool, CoversEveryIndexOnceForAnyCountAndNumberOfThreads) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (int64_t count : {0, 1, 2, 3, 7, 64, 1000}) ExpectEachIndexOnce(pool, count);
  }
}

TEST(ThreadPool, ServesManyCallsInARowWithoutLosingAWakeUp) {
  ThreadPool pool(3);
  for (int i = 0; i < 5000; ++i) ExpectEachIndexOnce(pool, 5);
}

TEST(ThreadPool, ServesCallersOnSeveralThreadsAtOnce) {
  ThreadPool pool(2);
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&pool] {
      for (int call = 0; call < 500; ++call) ExpectEachIndexOnce(pool, 10);
    });
  for (std::thread& caller : callers) caller.join();
}

TEST(ThreadPool, HandsAnExceptionOfTheBodyToItsCallerAndStaysUsable) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int64_t bad : {0, 1, 31}) {
      EXPECT_THROW(pool.ParallelFor(32,
                                    [bad](int64_t begin, int64_t end) {
                                      if (begin <= bad && bad < end) throw std::runtime_error("bad row");
                                    }),
                   std::runtime_error)
          << threads << " threads, row " << bad;
      ExpectEachIndexOnce(pool, 100);
    }
  }
}

TEST(ThreadPool, AForkedChildStartsItsOwnThreadsInsteadOfWaitingForItsParents) {
  ExpectEachIndexOnce(DefaultThreadPool(), 100);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);  // a hang ends as a failure
    std::atomic<int64_t> sum{0};
    DefaultThreadPool().ParallelFor(100, [&](int64_t begin, int64_t end) { sum += end - begin; });
    _exit(sum == 100 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace fire::cpu
