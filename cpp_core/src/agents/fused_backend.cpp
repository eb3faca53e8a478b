#include "murmur/agents/fused_backend.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "murmur/agents/fused_gradient.hpp"
#include "murmur/agents/fused_layout.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/base/check.hpp"

namespace murmur {
namespace {

constexpr std::size_t kMaxLayers = 3;    // deeper ones are tested nowhere
constexpr std::size_t kMaxUnits = 512;   // wider layers no longer fit the caches that the kernels count on
constexpr std::size_t kMaxOutputs = 64;  // heads are treated output by output

class FusedBackend final : public PpoBackend {
 public:
  FusedBackend(const PolicyLayout& layout, std::shared_ptr<ThreadPool> pool,
               const kernels::KernelSet& kernels)
      : kernels_(kernels),
        layout_(layout),
        networks_(layout_, kernels, std::move(pool)),
        name_("fused (" + std::string(kernels.name) + ") on cpu"),
        params_(layout_.size()),
        backward_weights_(layout_.backward_size()),
        first_(layout_.size()),
        second_(layout_.size()) {}

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }

  void get_params(std::span<float> params) const override {
    check_size("params", num_params(), params.size());
    layout_.unpack(kernels_, params_, params);
  }

  void set_params(std::span<const float> params) override {
    check_size("params", num_params(), params.size());
    layout_.pack(kernels_, params, params_);
    layout_.transpose(kernels_, params_, backward_weights_);
  }

  [[nodiscard]] AdamState optimizer_state() const override {
    AdamState state(num_params());
    layout_.unpack(kernels_, first_, state.first);
    layout_.unpack(kernels_, second_, state.second);
    state.steps = steps_;
    return state;
  }

  void set_optimizer_state(const AdamState& state) override {
    check_size("first moments", num_params(), state.first.size());
    check_size("second moments", num_params(), state.second.size());
    layout_.pack(kernels_, state.first, first_);
    layout_.pack(kernels_, state.second, second_);
    steps_ = state.steps;
  }

  void enter() override {}

  void act(std::span<const float> observations, std::span<float> policy) override {
    check_size("network output", check_rows(observations) * spec().action_dim, policy.size());
    networks_.act(params_.data(), observations, policy);
  }

  void log_std(std::span<float> log_std) const override {
    check_size("log_std", layout_.flat().log_std_size(), log_std.size());
    std::copy_n(params_.data() + layout_.log_std_offset(), log_std.size(), log_std.begin());
  }

  void value(std::span<const float> observations, std::span<float> values) override {
    check_size("network output", check_rows(observations), values.size());
    networks_.value(params_.data(), observations, values);
  }

  PpoLossStats step(const PpoBatch& batch, const PpoLossSettings& loss, const AdamSettings& adam,
                    double max_kl) override {
    check_batch(spec(), batch);
    const PpoLossStats stats = networks_.compute(params_.data(), backward_weights_.data(), batch, loss);
    if (!std::isfinite(stats.loss)) throw NonFiniteError("the loss " + describe_non_finite(stats));
    if (max_kl > 0.0 && stats.approx_kl > max_kl) return stats;
    const double norm = std::sqrt(kernels_.sum_of_squares(layout_.size(), networks_.gradient().data()));
    if (!std::isfinite(norm)) throw_bad_gradient();
    take_step(adam, clip_factor(norm, adam.max_grad_norm));
    return stats;
  }

 private:
  [[nodiscard]] const PolicySpec& spec() const noexcept { return layout_.flat().spec(); }
  [[nodiscard]] std::size_t num_params() const noexcept { return layout_.flat().num_params(); }

  /// Return how many rows [N, D] `observations` are.
  [[nodiscard]] std::size_t check_rows(std::span<const float> observations) const {
    if (observations.empty() || observations.size() % spec().obs_dim != 0) {
      throw_invalid("expected rows of " + std::to_string(spec().obs_dim) + " numbers, got " +
                    std::to_string(observations.size()));
    }
    return observations.size() / spec().obs_dim;
  }

  void take_step(const AdamSettings& settings, float factor) {
    ++steps_;
    const AdamScalars s = adam_scalars(settings, steps_);
    kernels_.adam({.size = layout_.size(),
                   .gradient = networks_.gradient().data(),
                   .factor = factor,
                   .beta1 = s.beta1,
                   .beta2 = s.beta2,
                   .rest1 = s.rest1,
                   .rest2 = s.rest2,
                   .step_size = s.step_size,
                   .root_scale = s.root_scale,
                   .epsilon = s.epsilon,
                   .first = first_.data(),
                   .second = second_.data(),
                   .params = params_.data()});
    layout_.transpose(kernels_, params_, backward_weights_);
  }

  [[noreturn]] void throw_bad_gradient() const {
    std::vector<float> flat(num_params());
    layout_.unpack(kernels_, networks_.gradient(), flat);
    for (std::size_t i = 0; i < flat.size(); ++i) {
      if (std::isfinite(flat[i])) continue;
      throw NonFiniteError("the gradient of " + layout_.flat().describe(i) + " is not finite");
    }
    throw NonFiniteError("the gradient's norm overflows");
  }

  const kernels::KernelSet& kernels_;
  FusedLayout layout_;
  FusedGradient networks_;
  std::string name_;
  kernels::AlignedFloats params_;  // packed
  kernels::AlignedFloats backward_weights_;
  kernels::AlignedFloats first_;   // packed
  kernels::AlignedFloats second_;  // packed
  std::int64_t steps_ = 0;
};

}  // namespace

std::string fused_cannot_run(const PolicyLayout& layout) {
  const std::vector<std::int64_t>& hidden = layout.spec().hidden;
  if (hidden.empty() || hidden.size() > kMaxLayers) {
    return "hidden has " + std::to_string(hidden.size()) + " layers, not 1 to " + std::to_string(kMaxLayers);
  }
  for (const std::int64_t units : hidden) {
    if (units > static_cast<std::int64_t>(kMaxUnits)) {
      return "a layer of " + std::to_string(units) + " units is wider than " + std::to_string(kMaxUnits);
    }
  }
  if (layout.spec().action_dim > kMaxOutputs) {
    return "a head of " + std::to_string(layout.spec().action_dim) + " outputs is wider than " +
           std::to_string(kMaxOutputs);
  }
  return {};
}

std::string why_not_fused(const PolicyLayout& layout) {
  std::string reason = fused_cannot_run(layout);
  if (reason.empty() && !kernels::has_vector_kernels()) reason = "this CPU has neither AVX2 nor NEON";
  return reason;
}

std::unique_ptr<PpoBackend> make_fused_backend(const PolicyLayout& layout, Device device,
                                               std::shared_ptr<ThreadPool> pool,
                                               const kernels::KernelSet& kernels) {
  if (device == Device::kCuda) {
    throw_invalid("backend 'fused' runs on the CPU, but device is 'cuda': use backend 'libtorch' or 'auto'");
  }
  if (const std::string reason = fused_cannot_run(layout); !reason.empty()) {
    throw_invalid("backend 'fused' cannot run this network: " + reason +
                  "; use backend 'libtorch' or 'auto'");
  }
  if (pool == nullptr) throw_invalid("pool must not be null");
  return std::make_unique<FusedBackend>(layout, std::move(pool), kernels);
}

}  // namespace murmur
