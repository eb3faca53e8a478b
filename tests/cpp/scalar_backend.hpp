/// A back end in plain loops and double precision: the oracle for the fast ones, and what lets the whole
/// agent run under the sanitizers, which libtorch does not.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/ppo_backend.hpp"
#include "murmur/base/check.hpp"

namespace murmur::testing {

class ScalarBackend final : public PpoBackend {
 public:
  explicit ScalarBackend(const PolicyLayout& layout)
      : layout_(layout),
        params_(layout.num_params()),
        gradient_(layout.num_params()),
        adam_(layout.num_params()) {}

  [[nodiscard]] static std::unique_ptr<PpoBackend> make(const PolicyLayout& layout, Device /*device*/) {
    return std::make_unique<ScalarBackend>(layout);
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "scalar"; }
  void get_params(std::span<float> params) const override {
    std::copy(params_.begin(), params_.end(), params.begin());
  }
  void set_params(std::span<const float> params) override { params_.assign(params.begin(), params.end()); }
  [[nodiscard]] AdamState optimizer_state() const override { return adam_; }
  void set_optimizer_state(const AdamState& state) override { adam_ = state; }
  void enter() override {}

  void act(std::span<const float> observations, std::span<float> policy) override {
    run(layout_.actor(), observations, policy);
  }
  void log_std(std::span<float> log_std) const override {
    for (std::size_t j = 0; j < log_std.size(); ++j) log_std[j] = params_[layout_.log_std_offset() + j];
  }
  void value(std::span<const float> observations, std::span<float> values) override {
    run(layout_.critic(), observations, values);
  }

  PpoLossStats step(const PpoBatch& batch, const PpoLossSettings& loss, const AdamSettings& adam,
                    double max_kl) override {
    const std::size_t n = batch.size();
    const std::size_t width = layout_.spec().action_dim;
    std::vector<float> policy(n * width);
    std::vector<float> values(n);
    act(batch.observations, policy);
    value(batch.observations, values);
    std::vector<float> policy_gradient(policy.size());
    std::vector<float> value_gradient(n);
    const std::size_t at = layout_.log_std_offset();
    std::fill(gradient_.begin(), gradient_.end(), 0.0F);
    const PpoLossStats stats = ppo_loss(
        loss, batch, {policy, std::span<const float>(params_).subspan(at, layout_.log_std_size()), values},
        {policy_gradient, std::span<float>(gradient_).subspan(at, layout_.log_std_size()), value_gradient});
    if (!std::isfinite(stats.loss)) throw NonFiniteError("the loss is not finite");
    if (max_kl > 0.0 && stats.approx_kl > max_kl) return stats;
    backward(layout_.actor(), batch.observations, policy_gradient);
    backward(layout_.critic(), batch.observations, value_gradient);
    adam_step(adam, gradient_, clip_factor(l2_norm(gradient_), adam.max_grad_norm), adam_, params_);
    return stats;
  }

  /// The gradient of the last step, before clipping. [P]
  [[nodiscard]] std::span<const float> gradient() const noexcept { return gradient_; }

 private:
  using Row = std::vector<double>;

  /// One sample's way through a network.
  struct Trace {
    std::vector<Row> values;  // the input, each hidden layer, the output
    std::vector<Row> sums;    // of each layer, before its activation
  };

  [[nodiscard]] Trace trace(const std::vector<DenseLayer>& net, std::span<const float> x) const {
    Trace t{{Row(x.begin(), x.end())}, {}};
    for (std::size_t i = 0; i < net.size(); ++i) {
      Row sum(net[i].outputs);
      for (std::size_t o = 0; o < sum.size(); ++o) {
        sum[o] = static_cast<double>(params_[net[i].bias_offset + o]);
        for (std::size_t k = 0; k < net[i].inputs; ++k) sum[o] += weight(net[i], o, k) * t.values.back()[k];
      }
      Row value = sum;
      if (i + 1 < net.size()) {
        for (double& v : value) v = activate(v);
      }
      t.sums.push_back(std::move(sum));
      t.values.push_back(std::move(value));
    }
    return t;
  }

  [[nodiscard]] double activate(double x) const {
    switch (layout_.spec().activation) {
      case Activation::kTanh:
        return std::tanh(x);
      case Activation::kRelu:
        return std::max(x, 0.0);
      case Activation::kSilu:
        return x / (1.0 + std::exp(-x));
    }
    return x;
  }
  [[nodiscard]] double slope(double x) const {
    const double sigmoid = 1.0 / (1.0 + std::exp(-x));
    switch (layout_.spec().activation) {
      case Activation::kTanh:
        return 1.0 - std::tanh(x) * std::tanh(x);
      case Activation::kRelu:
        return x > 0.0 ? 1.0 : 0.0;
      case Activation::kSilu:
        return sigmoid + x * sigmoid * (1.0 - sigmoid);
    }
    return 1.0;
  }

  void run(const std::vector<DenseLayer>& net, std::span<const float> x, std::span<float> out) const {
    const std::size_t in = net.front().inputs;
    const std::size_t width = net.back().outputs;
    for (std::size_t i = 0; i * width < out.size(); ++i) {
      const Row y = trace(net, x.subspan(i * in, in)).values.back();
      std::transform(y.begin(), y.end(), &out[i * width], [](double v) { return static_cast<float>(v); });
    }
  }

  void backward(const std::vector<DenseLayer>& net, std::span<const float> x,
                std::span<const float> output_gradient) {
    const std::size_t in = net.front().inputs;
    const std::size_t width = net.back().outputs;
    std::vector<double> sum(params_.size());
    for (std::size_t i = 0; i * width < output_gradient.size(); ++i) {
      const Trace t = trace(net, x.subspan(i * in, in));
      Row g(output_gradient.begin() + static_cast<std::ptrdiff_t>(i * width),
            output_gradient.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
      for (std::size_t l = net.size(); l-- > 0;) {
        Row below(net[l].inputs);
        for (std::size_t o = 0; o < g.size(); ++o) {
          sum[net[l].bias_offset + o] += g[o];
          for (std::size_t k = 0; k < net[l].inputs; ++k) {
            sum[net[l].weight_offset + o * net[l].inputs + k] += g[o] * t.values[l][k];
            below[k] += g[o] * weight(net[l], o, k);
          }
        }
        if (l == 0) break;
        for (std::size_t k = 0; k < below.size(); ++k) below[k] *= slope(t.sums[l - 1][k]);
        g = std::move(below);
      }
    }
    for (std::size_t i = 0; i < sum.size(); ++i) gradient_[i] += static_cast<float>(sum[i]);
  }

  [[nodiscard]] double weight(const DenseLayer& layer, std::size_t o, std::size_t k) const {
    return static_cast<double>(params_[layer.weight_offset + o * layer.inputs + k]);
  }

  PolicyLayout layout_;
  std::vector<float> params_;
  std::vector<float> gradient_;
  AdamState adam_;
};

}  // namespace murmur::testing
