/// The seam between the PPO algorithm and whatever computes networks: libtorch, or fused kernels on a CPU or
/// a GPU.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "murmur/agents/adam.hpp"
#include "murmur/agents/policy_layout.hpp"
#include "murmur/agents/ppo_config.hpp"
#include "murmur/agents/ppo_loss.hpp"
#include "murmur/base/thread_pool.hpp"

namespace murmur {

class DeviceTrainer;
class RolloutCollector;

/// Holds the parameters and the optimizer state of one actor-critic and computes with them.
///
/// All arrays are host memory in the layout of PolicyLayout, so that parameters, optimizer state and
/// checkpoints move freely between back ends. Not thread-safe; calls may come from different threads one
/// after another.
class PpoBackend {
 public:
  virtual ~PpoBackend() = default;
  PpoBackend() = default;
  PpoBackend(const PpoBackend&) = delete;
  PpoBackend& operator=(const PpoBackend&) = delete;
  PpoBackend(PpoBackend&&) = delete;
  PpoBackend& operator=(PpoBackend&&) = delete;

  /// Where it computes and with what, such as "libtorch on cpu".
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  virtual void get_params(std::span<float> params) const = 0;  // [P]
  virtual void set_params(std::span<const float> params) = 0;  // [P]
  [[nodiscard]] virtual AdamState optimizer_state() const = 0;
  virtual void set_optimizer_state(const AdamState& state) = 0;

  /// Whether it computes with threads of its own, which start on the cores of the thread that calls it.
  [[nodiscard]] virtual bool starts_threads() const noexcept { return false; }

  /// Prepare the calling thread (thread counts of the math library and the like). Called before a run of
  /// calls.
  virtual void enter() = 0;
  /// Leave the thread as it was before `enter`: it may be one of a program that uses that library, too.
  virtual void leave() noexcept {}

  /// Run the actor on `observations` [N, D] and write logits or means into `policy` [N, A].
  virtual void act(std::span<const float> observations, std::span<float> policy) = 0;
  /// Write log_std [A]; nothing to write for discrete actions.
  virtual void log_std(std::span<float> log_std) const = 0;
  /// Run the critic on `observations` [N, D] and write `values` [N].
  virtual void value(std::span<const float> observations, std::span<float> values) = 0;

  /// Take one optimizer step on a minibatch and return its loss.
  ///
  /// When the minibatch's approximate KL exceeds `max_kl` (if positive), nothing is changed and only the
  /// statistics come back. Throws std::runtime_error naming the culprit, with parameters and optimizer
  /// untouched, when the loss or the gradient is not finite.
  virtual PpoLossStats step(const PpoBatch& batch, const PpoLossSettings& loss, const AdamSettings& adam,
                            double max_kl) = 0;

  /// Make what plays and learns on this back end's device without the host, in the environments of
  /// `collector`; null where there is no such thing. It uses this back end's parameters and optimizer, and
  /// must not outlive it.
  [[nodiscard]] virtual std::unique_ptr<DeviceTrainer> make_trainer(const PpoConfig& config,
                                                                    const RolloutCollector& collector);
};

/// A run of calls of a back end by one thread, for as long as it lives.
class BackendScope {
 public:
  explicit BackendScope(PpoBackend& backend) : backend_(backend) { backend_.enter(); }
  ~BackendScope() { backend_.leave(); }
  BackendScope(const BackendScope&) = delete;
  BackendScope& operator=(const BackendScope&) = delete;

 private:
  PpoBackend& backend_;
};

/// Throw std::invalid_argument, naming the array, unless `batch` has samples of a network of this `spec`.
void check_batch(const PolicySpec& spec, const PpoBatch& batch);

/// Build the libtorch back end, which shares work on the CPU out over `pool`. `why`: why it was chosen, for
/// its name; may be empty. Throws std::invalid_argument when `device` asks for CUDA and there is none.
[[nodiscard]] std::unique_ptr<PpoBackend> make_libtorch_backend(const PolicyLayout& layout, Device device,
                                                                std::shared_ptr<ThreadPool> pool,
                                                                std::string_view why = {});

/// Whether libtorch finds a CUDA device.
[[nodiscard]] bool libtorch_has_cuda();

}  // namespace murmur
