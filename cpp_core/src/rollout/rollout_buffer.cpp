#include "murmur/rollout/rollout_buffer.hpp"

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>

#include "murmur/base/check.hpp"

namespace murmur {

namespace {

// 2^40 floats are 4 TB: anything above is a mistake, and below it no product of sizes overflows.
constexpr std::size_t kMaxElements = std::size_t{1} << 40U;

std::size_t checked_product(std::initializer_list<std::pair<const char*, std::size_t>> factors) {
  std::size_t product = 1;
  for (const auto& [name, value] : factors) {
    if (value == 0) throw_invalid(std::string(name) + " must be at least 1");
    if (value > kMaxElements / product) throw_invalid(std::string("rollout too large at ") + name);
    product *= value;
  }
  return product;
}

}  // namespace

RolloutBuffer::RolloutBuffer(const RolloutShape& shape) : shape_(shape) {
  const auto& [t, n, d, a] = shape;
  const std::size_t samples = checked_product({{"num_steps", t}, {"num_envs", n}});
  observations.resize(checked_product({{"num_steps", t}, {"num_envs", n}, {"obs_dim", d}}));
  actions.resize(checked_product({{"num_steps", t}, {"num_envs", n}, {"action_dim", a}}));
  values.resize(samples + n);
  for (auto* array : {&log_probs, &rewards, &final_values, &advantages, &returns}) array->resize(samples);
  for (auto* array : {&terminated, &truncated}) array->resize(samples);
}

void RolloutBuffer::compute_advantages(float gamma, float lambda) {
  compute_gae(gae_input(), gamma, lambda, advantages);
  for (std::size_t i = 0; i < num_samples(); ++i) returns[i] = advantages[i] + values[i];
}

void RolloutBuffer::fill_gaps(std::span<const std::size_t> gaps, Rng& rng) {
  num_gaps_ = gaps.size();
  for (const std::size_t gap : gaps) {
    if (gaps.size() == num_samples()) {
      advantages[gap] = 0.0F;
      returns[gap] = values[gap];
      continue;
    }
    std::size_t other = gap;
    while (std::ranges::binary_search(gaps, other)) other = rng.below(num_samples());
    copy_sample(other, gap);
  }
}

void RolloutBuffer::copy_sample(std::size_t from, std::size_t to) noexcept {
  auto copy = [=](std::vector<float>& array, std::size_t width) {
    std::copy_n(array.begin() + static_cast<std::ptrdiff_t>(from * width), width,
                array.begin() + static_cast<std::ptrdiff_t>(to * width));
  };
  copy(observations, shape_.obs_dim);
  copy(actions, shape_.action_dim);
  for (auto* array : {&log_probs, &values, &advantages, &returns}) copy(*array, 1);
}

GaeInput RolloutBuffer::gae_input() const noexcept {
  return {shape_.num_steps, shape_.num_envs, rewards, values, terminated, truncated, final_values};
}

}  // namespace murmur
