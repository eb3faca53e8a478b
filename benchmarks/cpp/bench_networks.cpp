// The fused back end on actor and critic of 2 x 64 tanh: acting, one optimizer step on a minibatch, and its
// last part, Adam; on 3 x 512 what taking over a model and handing it out costs. Items: samples, for Adam and
// models parameters.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks.hpp"
#include "murmur/agents/fused_backend.hpp"
#include "murmur/agents/policy_init.hpp"
#include "murmur/kernels/aligned_vector.hpp"
#include "murmur/kernels/kernel_set.hpp"

namespace murmur::benchmarks {
namespace {

struct Task {
  const char* name;
  std::size_t obs_dim;
  bool discrete;
  std::size_t action_dim;
};

constexpr Task kTasks[] = {{"CartPole-v1", 4, true, 2}, {"Pendulum-v1", 3, false, 1}};

PolicyLayout layout_of(const Task& task) {
  PolicySpec spec;
  spec.obs_dim = task.obs_dim;
  spec.discrete = task.discrete;
  spec.action_dim = task.action_dim;
  spec.hidden = {64, 64};
  spec.activation = Activation::kTanh;
  return PolicyLayout(spec);
}

std::unique_ptr<PpoBackend> make_backend(const PolicyLayout& layout, const kernels::KernelSet& set) {
  auto backend = make_fused_backend(layout, Device::kCpu, std::make_shared<ThreadPool>(1), set);
  std::vector<float> params(layout.num_params());
  initialize_params(layout, 1, params);
  backend->set_params(params);
  return backend;
}

void act(benchmark::State& state, const Task& task, const kernels::KernelSet& set) {
  const auto rows = static_cast<std::size_t>(state.range(0));
  const PolicyLayout layout = layout_of(task);
  const auto backend = make_backend(layout, set);
  const std::vector<float> observations = random_floats(rows * task.obs_dim, -1.0F, 1.0F);
  std::vector<float> policy(rows * task.action_dim);
  for (auto _ : state) {
    backend->act(observations, policy);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void minibatch(benchmark::State& state, const Task& task, const kernels::KernelSet& set) {
  const auto rows = static_cast<std::size_t>(state.range(0));
  const PolicyLayout layout = layout_of(task);
  const auto backend = make_backend(layout, set);
  const std::vector<float> observations = random_floats(rows * task.obs_dim, -1.0F, 1.0F);
  std::vector<float> actions = random_floats(rows * (task.discrete ? 1 : task.action_dim), 0.0F, 1.0F, 2);
  if (task.discrete) {
    for (float& action : actions) action = action < 0.5F ? 0.0F : 1.0F;
  }
  const std::vector<float> log_probs = random_floats(rows, -1.2F, -0.4F, 3),
                           advantages = random_floats(rows, -2, 2, 4),
                           returns = random_floats(rows, -1, 1, 5), values = random_floats(rows, -1, 1, 6);
  const PpoBatch batch{observations, actions, log_probs, advantages, returns, values};
  AdamSettings adam;
  adam.learning_rate = 1e-9;  // the network stays what it is, however long this runs
  for (auto _ : state) benchmark::DoNotOptimize(backend->step(batch, {}, adam, 0.0));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void adam(benchmark::State& state, const kernels::KernelSet& set) {
  const std::size_t size = kernels::padded(layout_of(kTasks[0]).num_params());
  const std::vector<float> drawn = random_floats(size, -1e-2F, 1e-2F);
  kernels::AlignedFloats gradient(size), first(size), second(size), params(size);
  for (std::size_t i = 0; i < size; ++i) gradient[i] = drawn[i];
  const kernels::Adam step{.size = size,
                           .gradient = gradient.data(),
                           .factor = 1.0F,
                           .beta1 = 0.9F,
                           .beta2 = 0.999F,
                           .rest1 = 0.1F,
                           .rest2 = 0.001F,
                           .step_size = 1e-9F,
                           .root_scale = 1.0F,
                           .epsilon = 1e-5F,
                           .first = first.data(),
                           .second = second.data(),
                           .params = params.data()};
  for (auto _ : state) {
    set.adam(step);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size));
}

/// Take a model of a million parameters over and hand it out again, as a peer does in each round.
void exchange_model(benchmark::State& state, const kernels::KernelSet& set) {
  PolicySpec spec = layout_of(kTasks[0]).spec();
  spec.hidden = {512, 512, 512};
  const PolicyLayout layout(spec);
  const auto backend = make_backend(layout, set);
  std::vector<float> params(layout.num_params());
  for (auto _ : state) {
    backend->get_params(params);
    backend->set_params(params);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(params.size()));
}

template <class Fn>
void add(std::string title, const kernels::KernelSet& set, std::initializer_list<std::int64_t> rows,
         Fn&& fn) {
  title += '/';
  title += set.name;
  auto* const added = benchmark::RegisterBenchmark(title.c_str(), std::forward<Fn>(fn));
  for (const std::int64_t n : rows) added->Arg(n);
}

}  // namespace

void register_network_benchmarks() {
  for (const kernels::KernelSet* set : measured_kernels()) {
    for (const Task& task : kTasks) {
      add(std::string("act/") + task.name, *set, {8, 1024},
          [&task, set](benchmark::State& s) { act(s, task, *set); });
      add(std::string("minibatch/") + task.name, *set, {256, 16384},
          [&task, set](benchmark::State& s) { minibatch(s, task, *set); });
    }
    add("adam", *set, {}, [set](benchmark::State& s) { adam(s, *set); });
    add("exchange_model", *set, {}, [set](benchmark::State& s) { exchange_model(s, *set); });
  }
}

}  // namespace murmur::benchmarks
