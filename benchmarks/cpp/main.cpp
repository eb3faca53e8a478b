#include <benchmark/benchmark.h>

#include <string>

#include "benchmarks.hpp"
#include "murmur/base/instruction_set.hpp"
#include "murmur/kernels/kernel_set.hpp"

int main(int argc, char** argv) {
  using namespace murmur;
  benchmark::AddCustomContext("best env stepping", std::string(to_text(best_instruction_set())));
  benchmark::AddCustomContext("best kernels", std::string(kernels::best_kernels().name));
  benchmarks::register_env_benchmarks();
  benchmarks::register_network_benchmarks();
  benchmarks::register_rollout_benchmarks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
