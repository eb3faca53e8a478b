/// The environments that CUDA kernels are made of. One more is one line here; without it, an env still trains
/// with `device: cuda`, but is stepped on the CPU.
#pragma once

#include <cstdint>
#include <memory>

#include "cuda/ppo_trainer.hpp"
#include "murmur/envs/acrobot.hpp"
#include "murmur/envs/cartpole.hpp"
#include "murmur/envs/mountain_car.hpp"
#include "murmur/envs/mountain_car_continuous.hpp"
#include "murmur/envs/pendulum.hpp"

namespace murmur::cuda {

/// Optimizer steps of an iteration that are recorded at once. Far above any sensible use; no product of sizes
/// overflows an int below it.
inline constexpr std::int64_t kMaxRecordedSteps = std::int64_t{1} << 20;

template <Environment... E>
struct EnvList {
  /// The trainer for the env type that the collector's batch has; null when it is not in the list, or an
  /// iteration has too many steps to be recorded.
  template <class Executor>
  static std::unique_ptr<DeviceTrainer> make_trainer(DeviceModel<Executor>& model, const PpoConfig& config,
                                                     const RolloutCollector& collector) {
    std::unique_ptr<DeviceTrainer> trainer;
    if (config.epochs * (config.batch_size() / config.minibatch_size) > kMaxRecordedSteps) return trainer;
    const auto try_one = [&]<class One>() {
      if (dynamic_cast<const BatchedEnv<One>*>(&collector.env()) != nullptr)
        trainer = std::make_unique<PpoTrainer<Executor, One>>(model, config, collector);
    };
    (try_one.template operator()<E>(), ...);
    return trainer;
  }
};

using DeviceEnvs = EnvList<CartPole, MountainCar, MountainCarContinuous, Acrobot, Pendulum>;

template <class Executor>
std::unique_ptr<DeviceTrainer> DeviceModel<Executor>::make_trainer(const PpoConfig& config,
                                                                   const RolloutCollector& collector) {
  return DeviceEnvs::make_trainer(*this, config, collector);
}

}  // namespace murmur::cuda
