#include "murmur/rollout/return_scaling.hpp"

#include <algorithm>
#include <cmath>

#include "murmur/base/check.hpp"

namespace murmur {

DiscountedReturns::DiscountedReturns(std::size_t num_envs, float gamma) : gamma_(gamma), returns_(num_envs) {
  if (num_envs == 0) throw_invalid("num_envs must be at least 1");
  if (!(gamma >= 0.0F && gamma <= 1.0F)) {
    throw_invalid("gamma must lie in 0..1, got " + to_text(static_cast<double>(gamma)));
  }
}

std::span<const float> DiscountedReturns::add(std::span<const float> rewards) noexcept {
  MURMUR_ASSERT(rewards.size() == returns_.size());
  for (std::size_t i = 0; i < returns_.size(); ++i) returns_[i] = returns_[i] * gamma_ + rewards[i];
  return returns_;
}

void DiscountedReturns::end_episodes(std::span<const std::uint8_t> terminated,
                                     std::span<const std::uint8_t> truncated) noexcept {
  MURMUR_ASSERT(terminated.size() == returns_.size() && truncated.size() == returns_.size());
  for (std::size_t i = 0; i < returns_.size(); ++i) {
    if ((terminated[i] | truncated[i]) != 0) returns_[i] = 0.0F;
  }
}

void DiscountedReturns::restart(std::size_t i) noexcept {
  MURMUR_ASSERT(i < returns_.size());
  returns_[i] = 0.0F;
}

void DiscountedReturns::restart_all() noexcept {
  std::ranges::fill(returns_, 0.0F);
}

void scale_rewards(std::span<const float> rewards, double return_variance, std::span<float> out, float clip,
                   double epsilon) noexcept {
  MURMUR_ASSERT(rewards.size() == out.size());
  const auto scale = static_cast<float>(1.0 / std::sqrt(return_variance + epsilon));
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    const float value = rewards[i] * scale;
    const float below = clip < value ? clip : value;  // NaN fails both tests and passes through
    out[i] = below < -clip ? -clip : below;
  }
}

}  // namespace murmur
