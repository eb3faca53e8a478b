/// What the kernels of one iteration share in global memory.
#pragma once

#include <cstdint>

#include "cuda/heads.hpp"
#include "cuda/math.hpp"
#include "cuda/shuffle.hpp"
#include "murmur/agents/adam.hpp"

namespace murmur::cuda {

/// What the host decides about one optimizer step; an array of them is uploaded once per iteration.
struct StepInputs {
  Shuffle order;  // of the samples, the same for all minibatches of an epoch
  LossSettings loss;
  AdamScalars adam;
  double max_grad_norm, max_kl;
};

inline constexpr std::uint64_t kNoFault = ~std::uint64_t{0};
enum class FaultKind : std::uint8_t { kObservation, kPolicy, kReward, kFinalObservation, kValue };

/// What the device tells the host, and kernels tell those after them: once closed, nothing changes any more.
struct Control {
  std::uint64_t fault = kNoFault;  // the first of the rollout: sample * 8 + kind
  std::int32_t stopped = 0;        // by the KL divergence
  std::int32_t failed = 0;         // loss or gradient not finite
  std::int32_t steps = 0;          // optimizer steps taken

  [[nodiscard]] MURMUR_HOST_DEVICE bool closed() const noexcept {
    return fault != kNoFault || stopped != 0 || failed != 0;
  }
};

/// Scale observations as Normalizer::apply does; null pointers: leave them as they are.
struct ObservationScale {
  const float* shift = nullptr;  // [D]
  const float* scale = nullptr;  // [D]
  float clip = 10.0F;            // 0: none

  [[nodiscard]] MURMUR_HOST_DEVICE float operator()(float x, int component) const noexcept {
    if (shift == nullptr) return x;
    const float scaled = (x - shift[component]) * scale[component];
    return clip > 0.0F ? clamp(scaled, -clip, clip) : scaled;
  }
};

/// Samples as the behaviour policy left them.
struct Samples {
  int size = 0;                         // B: of the rollout, a multiple of the minibatch
  const float* observations = nullptr;  // [B, D], raw
  const float* actions = nullptr;       // [B, action_width]
  const float* log_probs = nullptr;     // [B]
  const float* advantages = nullptr;    // [B]
  const float* returns = nullptr;       // [B]
  const float* values = nullptr;        // [B]
  // What the policy that the KL penalty holds on to says; read where there is a penalty only.
  const float* base_policy = nullptr;   // [B, A], logits or means
  const float* base_log_std = nullptr;  // [A], continuous only
  ObservationScale see;
};

}  // namespace murmur::cuda
