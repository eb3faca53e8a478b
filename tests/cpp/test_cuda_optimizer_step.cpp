// The optimizer's kernel with a thread of its own for each thread of a block, as on a GPU: what the
// emulation, which runs them in turn, cannot show.

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <cstddef>
#include <limits>
#include <thread>
#include <vector>

#include "cuda/optimizer_step.hpp"

namespace murmur::cuda {
namespace {

/// What the threads of one block share.
struct BlockState {
  std::barrier<> barrier{kThreads};
  std::atomic<int> arrived{0};  // at any barrier
  std::vector<double> shared = std::vector<double>(1024);
};

/// One thread's view of a block; a thread that leaves early no longer counts, as on a GPU.
class ThreadBlock {
 public:
  ThreadBlock(BlockState& state, int thread) : state_(state), thread_(thread) {}

  [[nodiscard]] int index() const noexcept { return 1; }
  [[nodiscard]] int count() const noexcept { return 2; }
  template <class T>
  [[nodiscard]] T* shared(std::size_t offset) const noexcept {
    return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(state_.shared.data()) + offset);
  }
  template <class Phase>
  void each(const Phase& phase) const {
    phase(thread_);
    state_.arrived.fetch_add(1);
    state_.barrier.arrive_and_wait();
  }

 private:
  BlockState& state_;
  int thread_;
};

// Of 256 threads the last comes late: block 0 has found the gradient bad by then, by the very number that
// this thread would add to the sum. Without it the sum is finite, and the others would take the step.
TEST(AdamStep, ABlockThatBlockZeroOvertakesStillGoesOneWay) {
  constexpr int kParams = 2 * kThreads;
  const std::vector<float> gradient(kParams, 1.0F);
  std::vector<double> squares(kThreads, 1.0);
  squares.back() = std::numeric_limits<double>::infinity();
  std::vector<float> params(kParams, 3.0F), first(kParams), second(kParams);
  StepInputs inputs{};
  inputs.adam = {0.9F, 0.999F, 0.1F, 0.001F, 1e-5F, 1e-3F, 1.0F};
  inputs.loss.inverse_n = 1.0F;
  inputs.max_grad_norm = 0.5;
  const LossSums total{};
  Control control;
  const AdamStep kernel{.num_params = kParams,
                        .num_squares = kThreads,
                        .inputs = &inputs,
                        .gradient = gradient.data(),
                        .squares = squares.data(),
                        .total = &total,
                        .control = &control,
                        .params = params.data(),
                        .first = first.data(),
                        .second = second.data()};
  BlockState state;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      if (thread == kThreads - 1) {
        while (state.arrived.load() < kThreads - 1) std::this_thread::yield();
        control.failed = 1;
      }
      ThreadBlock block(state, thread);
      kernel(block);
      state.barrier.arrive_and_drop();
    });
  }
  threads.clear();  // joins
  EXPECT_EQ(params, std::vector<float>(kParams, 3.0F));
  EXPECT_EQ(second, std::vector<float>(kParams));
}

}  // namespace
}  // namespace murmur::cuda
