// How fast a GPU trains, and where the time goes: PPO end to end for several numbers of environments, without
// Python and without libtorch.
//
//   murmur_gpu_speed [--env NAME] [--envs 1024,4096,...] [--seconds S] [--repeats R] [--no-phases]
//
// The setting is `throughput` of `murmur bench`: N envs x 64 steps, 2 epochs of 4 minibatches, actor and
// critic of 2 x 64 tanh. Rates are of wall time, the host's part included. Phases are device time between
// CUDA events around each launch, without the graph that otherwise replays them: their sum is a little more
// than the graph takes.
#include <cuda_runtime.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "cuda/device_envs.hpp"
#include "cuda/gpu_executor.cuh"
#include "murmur/agents/ppo_agent.hpp"
#include "murmur/base/thread_pool.hpp"
#include "murmur/cuda/cuda_backend.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur::cuda {
namespace {

constexpr double kForever = 1e9;

struct Options {
  std::string env = "CartPole-v1";
  std::vector<std::int64_t> num_envs{1024, 4096, 16384, 65536};
  double seconds = 1.0;
  int repeats = 7;
  bool phases = true;
};

/// Device time of a kernel over several iterations.
struct Phase {
  int launches = 0;
  double ms = 0.0;
};

/// A GpuExecutor that takes the time: of each launch apart, or of a whole graph.
class TimedExecutor : public GpuExecutor {
 public:
  using Phases = std::map<std::string, Phase>;

  TimedExecutor(bool apart, std::shared_ptr<Phases> phases) : apart_(apart), phases_(std::move(phases)) {
    for (cudaEvent_t& event : events_) check(cudaEventCreate(&event), "cudaEventCreate");
  }
  ~TimedExecutor() {
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
  }

  template <class Kernel>
  void launch(const Kernel& kernel, int blocks, std::size_t shared_bytes) {
    if (apart_ && timing_) {
      time(name_of<Kernel>(), [&] { GpuExecutor::launch(kernel, blocks, shared_bytes); });
    } else {
      GpuExecutor::launch(kernel, blocks, shared_bytes);
    }
  }
  template <class Launches>
  void replay(const Launches& launches) {
    if (apart_) {
      timing_ = true;
      launches();
      timing_ = false;
    } else {
      time("(whole graph)", [&] { GpuExecutor::replay(launches); });
    }
  }

 private:
  template <class Kernel>
  static std::string name_of() {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(
        abi::__cxa_demangle(typeid(Kernel).name(), nullptr, nullptr, &status), &std::free);
    std::string text = name ? name.get() : typeid(Kernel).name();
    for (const std::string_view space : {"murmur::cuda::", "murmur::"}) {
      for (std::size_t at = text.find(space); at != std::string::npos; at = text.find(space))
        text.erase(at, space.size());
    }
    return text;
  }
  template <class Work>
  void time(const std::string& name, const Work& work) {
    check(cudaEventRecord(events_[0], stream()), "cudaEventRecord");
    work();
    check(cudaEventRecord(events_[1], stream()), "cudaEventRecord");
    check(cudaEventSynchronize(events_[1]), "cudaEventSynchronize");
    float ms = 0.0F;
    check(cudaEventElapsedTime(&ms, events_[0], events_[1]), "cudaEventElapsedTime");
    Phase& phase = (*phases_)[name];
    ++phase.launches;
    phase.ms += static_cast<double>(ms);
  }

  bool apart_;
  bool timing_ = false;
  std::shared_ptr<Phases> phases_;
  cudaEvent_t events_[2] = {};
};

PpoConfig config_for(std::int64_t num_envs) {
  PpoConfig config;
  config.num_envs = num_envs;
  config.rollout_steps = 64;
  config.epochs = 2;
  config.minibatch_size = num_envs * 64 / 4;
  return config;
}

std::unique_ptr<PpoAgent> make_agent(const Options& options, std::int64_t num_envs,
                                     const PpoAgent::BackendFactory& make_backend) {
  const auto pool = std::make_shared<ThreadPool>(1);
  const EnvFactory make_env = [=](std::size_t n, std::uint64_t seed) {
    return make_vector_env(options.env, n, seed, pool);
  };
  return std::make_unique<PpoAgent>(config_for(num_envs), make_env, make_backend);
}

void print_rate(const Options& options, std::int64_t num_envs) {
  const auto agent = make_agent(options, num_envs,
                                [](const PolicyLayout& layout, Device) { return make_cuda_backend(layout); });
  agent->train(20 * agent->config().batch_size(), kForever);
  std::vector<double> rates;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const TrainStats stats = agent->train(std::int64_t{1} << 62, options.seconds);
    rates.push_back(static_cast<double>(stats.env_steps) / stats.wall_s);
  }
  std::ranges::sort(rates);
  const double median = rates[rates.size() / 2];
  std::printf(
      "%s, %lld envs x 64, minibatch %lld: %.2fM steps/s (median of %zu; %.2fM to %.2fM), %.3f ms an "
      "iteration\n",
      options.env.c_str(), static_cast<long long>(num_envs),
      static_cast<long long>(agent->config().minibatch_size), median / 1e6, rates.size(), rates.front() / 1e6,
      rates.back() / 1e6, 1e3 * static_cast<double>(agent->config().batch_size()) / median);
  std::fflush(stdout);
}

void print_phases(const Options& options, std::int64_t num_envs, bool apart) {
  constexpr int kIterations = 10;
  const auto phases = std::make_shared<TimedExecutor::Phases>();
  const auto agent = make_agent(options, num_envs, [&](const PolicyLayout& layout, Device) {
    return std::make_unique<DeviceModel<TimedExecutor>>(std::make_shared<TimedExecutor>(apart, phases),
                                                        layout);
  });
  agent->train(5 * agent->config().batch_size(), kForever);
  phases->clear();
  agent->train(kIterations * agent->config().batch_size(), kForever);
  double total = 0.0;
  for (const auto& [name, phase] : *phases) {
    std::printf("  %-28s %5.1f launches  %9.1f us an iteration\n", name.c_str(),
                phase.launches / double{kIterations}, 1e3 * phase.ms / kIterations);
    total += phase.ms;
  }
  if (apart) std::printf("  %-28s %26.1f us an iteration\n", "(sum)", 1e3 * total / kIterations);
  std::fflush(stdout);
}

void print_machine() {
  cudaDeviceProp properties{};
  int driver = 0, runtime = 0;
  check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  std::printf("%s, %d multiprocessors, CUDA driver %d.%d, runtime %d.%d\n", properties.name,
              properties.multiProcessorCount, driver / 1000, driver % 1000 / 10, runtime / 1000,
              runtime % 1000 / 10);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--no-phases") {
      options.phases = false;
      continue;
    }
    if (i + 1 == argc)
      throw std::invalid_argument("unknown option, or no value after it: " + std::string(flag));
    const std::string value = argv[++i];
    if (flag == "--env") {
      options.env = value;
    } else if (flag == "--seconds") {
      options.seconds = std::stod(value);
    } else if (flag == "--repeats") {
      options.repeats = std::max(1, std::stoi(value));
    } else if (flag == "--envs") {
      options.num_envs.clear();
      std::stringstream list(value);
      for (std::string one; std::getline(list, one, ',');) options.num_envs.push_back(std::stoll(one));
    } else {
      throw std::invalid_argument("unknown option: " + std::string(flag));
    }
  }
  return options;
}

void run(const Options& options) {
  print_machine();
  for (const std::int64_t num_envs : options.num_envs) {
    print_rate(options, num_envs);
    if (!options.phases) continue;
    print_phases(options, num_envs, false);
    print_phases(options, num_envs, true);
  }
}

}  // namespace
}  // namespace murmur::cuda

int main(int argc, char** argv) {
  try {
    if (const std::string problem = murmur::cuda::why_no_gpu(); !problem.empty())
      throw std::runtime_error(problem);
    murmur::cuda::run(murmur::cuda::parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "murmur_gpu_speed: %s\n", error.what());
    return 1;
  }
}
