#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "expect_message.hpp"
#include "murmur/base/thread_pool.hpp"

namespace murmur {
namespace {

TEST(ThreadPool, RefusesAnImpossibleSize) {
  EXPECT_MESSAGE(ThreadPool(0), std::invalid_argument, "num_threads must lie in 1..1024, got 0");
  EXPECT_THROW(ThreadPool(-3), std::invalid_argument);
  EXPECT_THROW(ThreadPool(ThreadPool::kMaxThreads + 1), std::invalid_argument);
}

TEST(ThreadPool, SizeOneRunsInlineInOneShard) {
  ThreadPool pool(1);
  const auto caller = std::this_thread::get_id();
  int calls = 0;
  pool.parallel_for(1000, [&](std::size_t begin, std::size_t end) noexcept {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_EQ(begin, 0U);
    EXPECT_EQ(end, 1000U);
    ++calls;
  });
  EXPECT_EQ(calls, 1);
}

TEST(ThreadPool, EveryIndexIsVisitedOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const std::size_t n : {0UL, 1UL, 7UL, 16UL, 17UL, 127UL, 1000UL, 4096UL}) {
      std::vector<int> visits(n);
      pool.parallel_for(n, [&](std::size_t begin, std::size_t end) noexcept {
        EXPECT_EQ(begin % 16, 0U);
        for (std::size_t i = begin; i < end; ++i) ++visits[i];
      });
      EXPECT_EQ(std::accumulate(visits.begin(), visits.end(), 0UL), n) << threads << " threads";
      for (const int count : visits) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, TasksAreSharedOutEvenlyHoweverFewTheyAre) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    const auto num_threads = static_cast<std::size_t>(threads);
    for (const std::size_t n : {0UL, 1UL, 2UL, 3UL, 7UL, 16UL, 100UL}) {
      std::vector<int> visits(n);
      pool.parallel_tasks(n, [&](std::size_t begin, std::size_t end) noexcept {
        EXPECT_LE(end - begin, (n + num_threads - 1) / num_threads)
            << n << " tasks, " << threads << " threads";
        for (std::size_t i = begin; i < end; ++i) ++visits[i];
      });
      for (const int count : visits) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, ShardsDependOnSizesAlone) {
  const auto shards_of = [](ThreadPool& pool) {
    std::vector<std::size_t> ends(1000);
    pool.parallel_for(1000, 100, [&](std::size_t begin, std::size_t end) noexcept { ends[begin] = end; });
    return ends;
  };
  ThreadPool pool(4);
  const auto first = shards_of(pool);
  for (int i = 0; i < 200; ++i) ASSERT_EQ(shards_of(pool), first);
}

TEST(ThreadPool, SmallLoopsStayOnTheCaller) {
  ThreadPool pool(4);
  const auto caller = std::this_thread::get_id();
  pool.parallel_for(
      64, 64, [&](std::size_t, std::size_t) noexcept { EXPECT_EQ(std::this_thread::get_id(), caller); });
}

// Many short loops, each depending on the last: a missed wake-up hangs here and a race shows under TSan.
TEST(ThreadPool, ManyDependentLoopsLoseNothing) {
  ThreadPool pool(4);
  std::vector<std::uint32_t> values(333);
  for (std::uint32_t round = 0; round < 3000; ++round) {
    pool.parallel_for(values.size(), [&](std::size_t begin, std::size_t end) noexcept {
      for (std::size_t i = begin; i < end; ++i) values[i] += round;
    });
    if (round % 97 == 0) std::this_thread::yield();
  }
  for (const std::uint32_t value : values) ASSERT_EQ(value, 2999U * 3000U / 2U);
}

TEST(ThreadPool, WorkersThatFellAsleepWakeAgain) {
  ThreadPool pool(3);
  std::atomic<int> total{0};
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // longer than the workers spin
    pool.parallel_for(
        48, [&](std::size_t begin, std::size_t end) noexcept { total += static_cast<int>(end - begin); });
  }
  EXPECT_EQ(total.load(), 20 * 48);
}

TEST(ThreadPool, StartsAndStopsQuicklyAndOften) {
  for (int i = 0; i < 100; ++i) {
    ThreadPool pool(1 + i % 5);
    std::atomic<int> total{0};
    if (i % 2 == 0)
      pool.parallel_for(100,
                        [&](std::size_t b, std::size_t e) noexcept { total += static_cast<int>(e - b); });
    EXPECT_EQ(total.load(), i % 2 == 0 ? 100 : 0);
  }
}

// Ends the process, with an error, when `seconds` are over.
void give_up_after(unsigned seconds) {
  alarm(seconds);
}

TEST(ThreadPool, AForkedProcessRunsLoopsInlineAndDropsThePool) {
  auto pool = std::make_unique<ThreadPool>(3);
  pool->parallel_for(96, [](std::size_t, std::size_t) noexcept {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the workers sleep
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    give_up_after(20);
    std::size_t visited = 0;
    pool->parallel_for(96, [&](std::size_t begin, std::size_t end) noexcept { visited += end - begin; });
    pool.reset();
    _exit(visited == 96 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  std::atomic<int> total{0};
  pool->parallel_for(96, [&](std::size_t b, std::size_t e) noexcept { total += static_cast<int>(e - b); });
  EXPECT_EQ(total.load(), 96);
}

TEST(ThreadPool, IsUsedFromALibraryOtherThanItsMakers) {
  void* maker = dlopen(MURMUR_POOL_MAKER, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(maker, nullptr) << dlerror();
  void* user = dlopen(MURMUR_POOL_USER, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(user, nullptr) << dlerror();
  const auto make_pool = reinterpret_cast<ThreadPool* (*)(int)>(dlsym(maker, "murmur_test_make_pool"));
  const auto run_loop = reinterpret_cast<std::size_t (*)(ThreadPool*)>(dlsym(user, "murmur_test_run_loop"));
  ASSERT_TRUE(make_pool != nullptr && run_loop != nullptr) << dlerror();
  give_up_after(60);
  const std::unique_ptr<ThreadPool> pool(make_pool(3));
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // longer than the workers spin
    ASSERT_EQ(run_loop(pool.get()), 96U);
  }
  give_up_after(0);
}

TEST(ThreadPool, NestedLoopIsABrokenInvariant) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ThreadPool pool(2);
        pool.parallel_for(100, [&](std::size_t, std::size_t) noexcept {
          pool.parallel_for(100, [](std::size_t, std::size_t) noexcept {});
        });
      },
      "one parallel_for at a time");
}

}  // namespace
}  // namespace murmur
