#include <memory>
#include <string>
#include <string_view>

#include "murmur/agents/fused_backend.hpp"
#include "murmur/agents/ppo_agent.hpp"
#include "murmur/base/check.hpp"
#include "murmur/base/thread_pool.hpp"
#include "murmur/cuda/cuda_backend.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur {
namespace {

/// For device 'cuda': our kernels where they run, else libtorch unless that was ruled out.
std::unique_ptr<PpoBackend> make_gpu_backend(const PolicyLayout& layout, const PpoConfig& config,
                                             const std::shared_ptr<ThreadPool>& pool) {
  const std::string why_not = cuda::why_not_cuda(layout);
  if (why_not.empty()) return cuda::make_cuda_backend(layout);
  if (config.backend != Backend::kFused && libtorch_has_cuda())
    return make_libtorch_backend(layout, Device::kCuda, pool, why_not);
  const std::string start = "device is 'cuda', but " + why_not;
  if (config.backend == Backend::kFused) {
    throw_invalid(start +
                  ": use device 'cpu', or backend 'libtorch' where torch is a CUDA build (docs/gpu.md)");
  }
  throw_invalid(start +
                " and libtorch finds no CUDA device: use device 'auto' or 'cpu', or install a driver and " +
                "the CUDA build (docs/gpu.md)");
}

std::unique_ptr<PpoBackend> make_backend(const PolicyLayout& layout, const PpoConfig& config,
                                         const std::shared_ptr<ThreadPool>& pool) {
  const Backend wanted = config.backend;
  const Device device = config.device;
  if (wanted == Backend::kLibtorch) return make_libtorch_backend(layout, device, pool);
  if (device == Device::kCuda) return make_gpu_backend(layout, config, pool);
  if (device == Device::kAuto && cuda::why_not_cuda(layout).empty()) return cuda::make_cuda_backend(layout);
  if (wanted == Backend::kFused) return make_fused_backend(layout, device, pool);
  if (device == Device::kAuto && libtorch_has_cuda()) return make_libtorch_backend(layout, device, pool);
  const std::string why_not = why_not_fused(layout);
  if (!why_not.empty()) return make_libtorch_backend(layout, device, pool, why_not);
  return make_fused_backend(layout, device, pool);
}

}  // namespace

std::unique_ptr<PpoAgent> make_ppo_agent(std::string_view env_name, const PpoConfig& config) {
  validate(config);
  auto pool = std::make_shared<ThreadPool>(static_cast<int>(config.threads), config.cpus);
  const EnvFactory make_env = [name = std::string(env_name), pool](std::size_t num_envs, std::uint64_t seed) {
    return make_vector_env(name, num_envs, seed, pool);
  };
  const PpoAgent::BackendFactory backend = [config, pool](const PolicyLayout& layout, Device /*device*/) {
    return make_backend(layout, config, pool);
  };
  return std::make_unique<PpoAgent>(config, make_env, backend);
}

}  // namespace murmur
