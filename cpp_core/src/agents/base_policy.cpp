#include "murmur/agents/base_policy.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>

#include "murmur/agents/non_finite.hpp"

namespace murmur {
namespace {

constexpr std::size_t kRows = 16384;  // bounds the memory of one pass

/// Call `compute` while `backend` has `params` in place of its own, and give it those back.
template <class Compute>
void with_params(PpoBackend& backend, std::span<const float> params, const Compute& compute) {
  std::vector<float> own(params.size());
  backend.get_params(own);
  std::exception_ptr failure;
  try {
    backend.set_params(params);
    compute();
  } catch (...) {
    failure = std::current_exception();
  }
  try {
    backend.set_params(own);
  } catch (...) {  // a device that is lost takes none back either, and what it failed with first is the cause
    if (failure == nullptr) throw;
  }
  if (failure != nullptr) std::rethrow_exception(failure);
}

}  // namespace

BasePolicy::BasePolicy(const PolicyLayout& layout)
    : num_params_(layout.num_params()),
      obs_dim_(layout.spec().obs_dim),
      width_(layout.spec().action_dim),
      log_std_(layout.log_std_size()) {}

PolicyOutputs BasePolicy::outputs(PpoBackend& backend, const RolloutBuffer& rollout) {
  if (empty()) return {};
  policy_.resize(rollout.num_samples() * width_);
  with_params(backend, params_, [&] {
    const std::span<const float> observations(rollout.observations);
    for (std::size_t begin = 0; begin < rollout.num_samples(); begin += kRows) {
      const std::size_t rows = std::min(kRows, rollout.num_samples() - begin);
      backend.act(observations.subspan(begin * obs_dim_, rows * obs_dim_),
                  std::span(policy_).subspan(begin * width_, rows * width_));
    }
    if (!log_std_.empty()) backend.log_std(log_std_);
  });
  require_finite("base policy output", policy_, width_);
  return {policy_, log_std_};
}

void BasePolicy::save(BlobWriter& writer) const {
  writer.put("base_params_size", static_cast<std::uint64_t>(params_.size()));
  writer.put("base_params", params_);
}

std::vector<float> BasePolicy::read(BlobReader& reader) const {
  const auto size = reader.get<std::uint64_t>("base_params_size");
  if (size != 0 && size != num_params_) {
    throw BlobError("field 'base_params' holds " + std::to_string(size) + " numbers, this model has " +
                    std::to_string(num_params_));
  }
  std::vector<float> params(size);
  reader.get("base_params", params);
  return params;
}

}  // namespace murmur
