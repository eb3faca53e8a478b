// The fused back end against libtorch: gradients by autograd in double precision, and ten updates side by
// side.

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "murmur/agents/fused_backend.hpp"
#include "random_minibatch.hpp"

namespace murmur {
namespace {

using testing::gradient_of;
using testing::Minibatch;
using testing::params_of;
using testing::random_params;

std::unique_ptr<PpoBackend> fused(const PolicyLayout& layout) {
  return make_fused_backend(layout, Device::kCpu, std::make_shared<ThreadPool>(1));
}
std::unique_ptr<PpoBackend> libtorch(const PolicyLayout& layout) {
  return make_libtorch_backend(layout, Device::kCpu, std::make_shared<ThreadPool>(1));
}

torch::Tensor tensor(const std::vector<float>& values) {
  return torch::tensor(values, torch::kFloat).to(torch::kDouble);
}

torch::Tensor activate(Activation activation, const torch::Tensor& x) {
  switch (activation) {
    case Activation::kTanh:
      return torch::tanh(x);
    case Activation::kRelu:
      return torch::relu(x);
    case Activation::kSilu:
      return x * torch::sigmoid(x);
  }
  return x;
}

/// One of the two networks, in double, as slices of the flat vector `p`.
torch::Tensor run(const std::vector<DenseLayer>& layers, Activation activation, const torch::Tensor& p,
                  torch::Tensor x) {
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const DenseLayer& layer = layers[l];
    const auto rows = static_cast<std::int64_t>(layer.outputs),
               columns = static_cast<std::int64_t>(layer.inputs);
    const torch::Tensor w =
        p.narrow(0, static_cast<std::int64_t>(layer.weight_offset), rows * columns).view({rows, columns});
    x = torch::matmul(x, w.t()) + p.narrow(0, static_cast<std::int64_t>(layer.bias_offset), rows);
    if (l + 1 < layers.size()) x = activate(activation, x);
  }
  return x;
}

struct Reference {
  double loss = 0.0;
  torch::Tensor gradient;  // [P], float64
};

/// The loss as the paper writes it, from observations to a number, differentiated by autograd in float64.
Reference reference(const PolicyLayout& layout, const std::vector<float>& params, const Minibatch& m,
                    const PpoLossSettings& settings) {
  const PolicySpec& spec = layout.spec();
  const auto n = static_cast<std::int64_t>(m.returns.size());
  const torch::Tensor p = tensor(params).requires_grad_();
  const torch::Tensor x = tensor(m.observations).view({n, -1});
  const torch::Tensor policy = run(layout.actor(), spec.activation, p, x);
  const torch::Tensor value = run(layout.critic(), spec.activation, p, x).squeeze(1);
  torch::Tensor log_prob, entropy, base_kl = torch::zeros({n}, torch::kDouble);
  const bool has_base = !m.base_policy.empty();
  const torch::Tensor base = has_base ? tensor(m.base_policy).view({n, -1}) : torch::Tensor();
  if (spec.discrete) {
    const torch::Tensor all = torch::log_softmax(policy, 1);
    log_prob = all.gather(1, tensor(m.actions).to(torch::kLong).unsqueeze(1)).squeeze(1);
    entropy = -(all.exp() * all).sum(1);
    if (has_base)  // torch's own: kl_div(input, target) is KL(target || input)
      base_kl =
          torch::kl_div(all, torch::log_softmax(base, 1), at::Reduction::None, /*log_target=*/true).sum(1);
  } else {
    const torch::Tensor log_std = p.narrow(0, static_cast<std::int64_t>(layout.log_std_offset()),
                                           static_cast<std::int64_t>(spec.action_dim));
    const torch::Tensor z = (tensor(m.actions).view({n, -1}) - policy) / log_std.exp();
    const double half_log_two_pi = 0.5 * std::log(2.0 * M_PI);
    log_prob = (-0.5 * z.pow(2) - log_std - half_log_two_pi).sum(1);
    entropy = (log_std + half_log_two_pi + 0.5).sum().expand({n});
    if (has_base) {
      const torch::Tensor base_log_std = tensor(m.base_log_std);
      base_kl = (log_std - base_log_std +
                 ((2.0 * base_log_std).exp() + (base - policy).pow(2)) / (2.0 * (2.0 * log_std).exp()) - 0.5)
                    .sum(1);
    }
  }
  torch::Tensor advantage = tensor(m.advantages);
  if (settings.normalize_advantages && n > 1)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8);
  const torch::Tensor ratio = (log_prob - tensor(m.log_probs)).exp();
  const double clip = static_cast<double>(settings.clip_range);
  const torch::Tensor surrogate =
      torch::max(-advantage * ratio, -advantage * ratio.clamp(1.0 - clip, 1.0 + clip)).mean();
  const torch::Tensor target = tensor(m.returns);
  torch::Tensor value_loss = (value - target).pow(2);
  if (const double v = static_cast<double>(settings.value_clip_range); v > 0.0) {
    const torch::Tensor old = tensor(m.values);
    value_loss = torch::max(value_loss, (old + (value - old).clamp(-v, v) - target).pow(2));
  }
  const torch::Tensor loss = surrogate - static_cast<double>(settings.entropy_coef) * entropy.mean() +
                             static_cast<double>(settings.value_coef) * 0.5 * value_loss.mean() +
                             static_cast<double>(settings.kl_penalty) * base_kl.mean();
  loss.backward();
  return {loss.item<double>(), p.grad()};
}

void compare(const PolicyLayout& layout, const std::vector<float>& params, const Minibatch& m,
             const PpoLossSettings& settings, const std::string& what) {
  SCOPED_TRACE(what);
  const Reference expected = reference(layout, params, m, settings);
  const double* const gradient = expected.gradient.const_data_ptr<double>();
  const double scale = expected.gradient.abs().max().item<double>();
  for (const bool is_fused : {true, false}) {
    const auto backend = is_fused ? fused(layout) : libtorch(layout);
    SCOPED_TRACE(std::string(backend->name()));
    backend->enter();
    backend->set_params(params);
    const double loss = backend->step(m.batch(), settings, {}, 0.0).loss;
    EXPECT_NEAR(loss, expected.loss, 1e-5 * (1.0 + std::abs(expected.loss)));
    backend->set_params(params);
    const std::vector<float> got = gradient_of(*backend, layout, m.batch(), settings);
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], gradient[i], 1e-5 * scale + 1e-9)
          << layout.describe(i) << ", index " << i << ", largest " << scale;
    }
  }
}

constexpr Activation kActivations[] = {Activation::kTanh, Activation::kRelu, Activation::kSilu};

PolicyLayout random_layout(Rng& rng) {
  constexpr std::int64_t kWidths[] = {1, 3, 8, 16, 17, 31, 48, 64, 100};
  PolicySpec spec{.obs_dim = 1 + rng.below(12),
                  .discrete = rng.below(2) == 0,
                  .action_dim = 1 + rng.below(7),
                  .hidden = {},
                  .activation = kActivations[rng.below(3)],
                  .shared_trunk = rng.below(2) == 0};
  for (std::uint64_t l = 1 + rng.below(3); l > 0; --l) spec.hidden.push_back(kWidths[rng.below(9)]);
  return PolicyLayout(spec);
}

TEST(FusedGradient, AgreesWithAutogradOnRandomNetworksAndBatches) {
  Rng rng(2025);
  for (int round = 0; round < 150; ++round) {
    const PolicyLayout layout = random_layout(rng);
    const std::vector<float> params = random_params(layout, rng, rng.uniform(0.01F, 0.2F));
    const auto behaviour = libtorch(layout);
    behaviour->enter();
    behaviour->set_params(params);
    const std::size_t n = round % 6 == 0 ? 1 : 1 + rng.below(300);
    Minibatch m(layout, *behaviour, n, rng, rng.uniform(0.0F, 0.6F));
    if (rng.below(2) == 0) {
      behaviour->set_params(random_params(layout, rng, 0.2F));
      m.set_base(layout, *behaviour);
    }
    const PpoLossSettings settings{.clip_range = rng.uniform(0.05F, 0.5F),
                                   .value_clip_range = rng.below(2) == 0 ? 0.0F : rng.uniform(0.05F, 1.0F),
                                   .entropy_coef = rng.below(2) == 0 ? 0.0F : 0.03F,
                                   .value_coef = rng.uniform(0.0F, 1.0F),
                                   .normalize_advantages = rng.below(2) == 0,
                                   .kl_penalty = rng.uniform(0.0F, 2.0F)};
    compare(layout, params, m, settings, "round " + std::to_string(round));
    if (HasFatalFailure()) return;
  }
}

// What the sweep above is too quick for: the widest layers, three of them, mixed with narrow and odd ones.
TEST(FusedGradient, AgreesWithAutogradOnTheWidestNetworks) {
  Rng rng(2026);
  const std::vector<std::vector<std::int64_t>> sizes{{512}, {512, 8, 509}, {9, 512}, {257, 256, 255}};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    for (const bool shared : {false, true}) {
      const PolicyLayout layout({17, i % 2 == 0, 3, sizes[i], kActivations[i % 3], shared});
      const std::vector<float> params = random_params(layout, rng, 0.02F);
      const auto behaviour = libtorch(layout);
      behaviour->enter();
      behaviour->set_params(params);
      const Minibatch m(layout, *behaviour, 100 + 7 * i, rng, 0.3F);
      compare(layout, params, m, {.entropy_coef = 0.01F}, "sizes " + std::to_string(i));
      if (HasFatalFailure()) return;
    }
  }
}

/// A 64-64 CartPole policy with a minibatch of its own behaviour, to be bent by the tests below.
struct Case {
  explicit Case(bool discrete, std::size_t n = 96, float drift = 0.0F)
      : layout({4, discrete, 2, {64, 64}, Activation::kTanh}),
        rng(99),
        params(random_params(layout, rng)),
        minibatch(layout, *behaviour(), n, rng, drift) {}

  std::unique_ptr<PpoBackend> behaviour() const {
    auto backend = libtorch(layout);
    backend->enter();
    backend->set_params(params);
    return backend;
  }

  PolicyLayout layout;
  Rng rng;
  std::vector<float> params;
  Minibatch minibatch;
};

TEST(FusedGradient, AgreesWhereRatiosLieJustInsideAndJustOutsideTheClip) {
  for (const bool discrete : {true, false}) {
    Case c(discrete);
    const float edges[] = {std::log(1.2F), std::log(0.8F)};
    for (std::size_t i = 0; i < c.minibatch.log_probs.size(); ++i)
      c.minibatch.log_probs[i] -= edges[i % 2] + (i % 4 < 2 ? 1e-4F : -1e-4F);
    compare(c.layout, c.params, c.minibatch, {.clip_range = 0.2F, .entropy_coef = 0.01F}, "at the clip");
  }
}

TEST(FusedGradient, AgreesWhenAllAdvantagesAreEqual) {
  Case c(true);
  std::ranges::fill(c.minibatch.advantages, 3.7F);
  compare(c.layout, c.params, c.minibatch, {.entropy_coef = 0.01F}, "equal advantages, normalised");
  compare(c.layout, c.params, c.minibatch, {.normalize_advantages = false}, "equal advantages");
}

TEST(FusedGradient, AgreesWhenOldAndNewValuesAreEqual) {
  Case c(false);
  const auto behaviour = c.behaviour();
  behaviour->value(c.minibatch.observations, c.minibatch.values);
  compare(c.layout, c.params, c.minibatch, {}, "equal values");
}

TEST(FusedGradient, AgreesWithSaturatedTanh) {
  for (const bool discrete : {true, false}) {
    Case c(discrete);
    for (float& x : c.minibatch.observations) x *= 40.0F;
    const auto behaviour = c.behaviour();  // log-probabilities of the saturated policy
    Minibatch fresh = c.minibatch;
    std::vector<float> policy(2 * fresh.returns.size()), row(2), log_std(c.layout.log_std_size());
    behaviour->act(fresh.observations, policy);
    behaviour->value(fresh.observations, fresh.values);
    behaviour->log_std(log_std);
    const GaussianScale gaussian(log_std);
    for (std::size_t i = 0; i < fresh.returns.size(); ++i) {
      const auto head = std::span<const float>(policy).subspan(2 * i, 2);
      if (discrete) {
        log_softmax(head, row);
        fresh.log_probs[i] = row[static_cast<std::size_t>(fresh.actions[i])];
      } else {
        fresh.log_probs[i] = gaussian.log_prob(head, std::span<const float>(fresh.actions).subspan(2 * i, 2));
      }
    }
    compare(c.layout, c.params, fresh, {.entropy_coef = 0.01F}, discrete ? "categorical" : "Gaussian");
  }
}

TEST(FusedGradient, AgreesForANearlyCertainChoice) {
  Case c(true, 64, 0.2F);
  const DenseLayer& head = c.layout.actor().back();
  c.params[head.bias_offset] += 12.0F;  // p of the other choice: 6e-6
  compare(c.layout, c.params, c.minibatch, {.entropy_coef = 0.01F}, "nearly certain");
}

TEST(FusedGradient, AgreesWithSaturatedSilu) {
  for (const bool shared : {false, true}) {
    const PolicyLayout layout({4, true, 2, {64, 64}, Activation::kSilu, shared});
    Rng rng(98);
    const std::vector<float> params = random_params(layout, rng);
    const auto behaviour = libtorch(layout);
    behaviour->enter();
    behaviour->set_params(params);
    Minibatch m(layout, *behaviour, 96, rng, 0.2F);
    for (std::size_t i = 0; i < m.observations.size(); ++i) m.observations[i] *= i % 3 == 0 ? 100.0F : 3.0F;
    std::vector<float> policy(2 * m.returns.size()), row(2);
    behaviour->act(m.observations, policy);
    behaviour->value(m.observations, m.values);
    m.returns = m.values;
    for (std::size_t i = 0; i < m.returns.size(); ++i) {
      log_softmax(std::span<const float>(policy).subspan(2 * i, 2), row);
      m.log_probs[i] = row[static_cast<std::size_t>(m.actions[i])];
      // In proportion: SiLU has no bound, and a small difference of two large values has no digits left.
      m.returns[i] += rng.uniform(-1.0F, 1.0F) * (1.0F + std::abs(m.values[i]));
    }
    compare(layout, params, m, {}, "saturated");
  }
}

TEST(FusedGradient, AgreesWhereTheBasePolicyIsThePolicyAndWhereItIsFarAway) {
  for (const bool discrete : {true, false}) {
    Case c(discrete, 96, 0.1F);
    const auto base = c.behaviour();
    c.minibatch.set_base(c.layout, *base);
    compare(c.layout, c.params, c.minibatch, {.kl_penalty = 3.0F}, "the policy itself");
    for (float& x : c.minibatch.base_policy) x = 4.0F * x + 1.0F;
    for (float& x : c.minibatch.base_log_std) x -= 1.0F;
    compare(c.layout, c.params, c.minibatch, {.kl_penalty = 3.0F}, "far away");
  }
}

TEST(FusedGradient, AgreesForOneSample) {
  for (const bool discrete : {true, false}) {
    const Case c(discrete, 1, 0.1F);
    compare(c.layout, c.params, c.minibatch, {.entropy_coef = 0.01F}, discrete ? "categorical" : "Gaussian");
  }
}

TEST(FusedUpdates, TenFromTheSameStateAgreeWithLibtorchAndStatesAreInterchangeable) {
  Rng rng(31);
  for (int round = 0; round < 16; ++round) {
    const PolicyLayout layout = random_layout(rng);
    SCOPED_TRACE("round " + std::to_string(round));
    const std::vector<float> params = random_params(layout, rng);
    auto a = fused(layout);
    auto b = libtorch(layout);
    b->enter();
    a->set_params(params);
    b->set_params(params);
    Minibatch m(layout, *b, 200, rng, 0.05F);
    m.set_base(layout, *b);
    const PpoLossSettings loss{.entropy_coef = 0.01F, .kl_penalty = 0.3F};
    for (int update = 0; update < 10; ++update) {
      const PpoLossStats x = a->step(m.batch(), loss, {.learning_rate = 1e-3}, 0.0);
      const PpoLossStats y = b->step(m.batch(), loss, {.learning_rate = 1e-3}, 0.0);
      EXPECT_NEAR(x.loss, y.loss, 2e-5 * (1.0 + std::abs(y.loss))) << update;
      if (update != 4) continue;
      // Half-way, each goes on from the other's state.
      const AdamState adam = a->optimizer_state();
      const std::vector<float> now = params_of(*a, layout);
      a->set_optimizer_state(b->optimizer_state());
      a->set_params(params_of(*b, layout));
      b->set_optimizer_state(adam);
      b->set_params(now);
    }
    const std::vector<float> x = params_of(*a, layout), y = params_of(*b, layout);
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 5e-5F) << layout.describe(i);
  }
}

}  // namespace
}  // namespace murmur
