// The first parameters of a run: the same bytes on every CPU, orthogonal, with the documented gains and
// layout.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "expect_message.hpp"
#include "murmur/agents/policy_init.hpp"
#include "murmur/base/hash.hpp"

namespace murmur {
namespace {

PolicyLayout cartpole_layout() {
  return PolicyLayout({4, true, 2, {64, 64}, Activation::kTanh});
}
PolicyLayout pendulum_layout() {
  return PolicyLayout({3, false, 1, {64, 32}, Activation::kTanh});
}

std::uint64_t hash_of(const PolicyLayout& layout, std::uint64_t seed) {
  std::vector<float> params(layout.num_params());
  initialize_params(layout, seed, params);
  Fnv1a hash;
  hash.update_values(std::span<const float>(params));
  return hash.digest();
}

/// Largest deviation of `matrix`'s shorter side from orthogonal vectors of length `gain`.
double deviation(std::size_t rows, std::size_t cols, double gain, const float* matrix) {
  const bool wide = rows < cols;
  const std::size_t count = std::min(rows, cols);
  const std::size_t length = std::max(rows, cols);
  auto at = [&](std::size_t v, std::size_t i) {
    return static_cast<double>(wide ? matrix[v * cols + i] : matrix[i * cols + v]);
  };
  double worst = 0.0;
  for (std::size_t a = 0; a < count; ++a) {
    for (std::size_t b = 0; b <= a; ++b) {
      double dot = 0.0;
      for (std::size_t i = 0; i < length; ++i) dot += at(a, i) * at(b, i);
      worst = std::max(worst, std::abs(dot - (a == b ? gain * gain : 0.0)));
    }
  }
  return worst;
}

TEST(PolicyInit, BytesAreGolden) {
  EXPECT_EQ(hash_of(cartpole_layout(), 1), 0xfca816e3438b0781ULL);
  EXPECT_EQ(hash_of(pendulum_layout(), 2), 0xfd6239f5368589edULL);
}

TEST(PolicyLayout, TensorsTileTheFlatVectorInTheirOrder) {
  PolicySpec shared{4, true, 2, {64, 32}, Activation::kTanh, true};
  for (const PolicyLayout& layout : {cartpole_layout(), pendulum_layout(), PolicyLayout(shared)}) {
    std::size_t next = 0;
    for (const NamedTensor& tensor : layout.tensors()) {
      EXPECT_EQ(tensor.offset, next) << tensor.name;
      EXPECT_EQ(layout.describe(next), tensor.name);
      next += tensor.size;
      EXPECT_EQ(layout.describe(next - 1), tensor.name);
    }
    EXPECT_EQ(next, layout.num_params());
    EXPECT_EQ(layout.describe(next), "out of range");
  }
}

TEST(PolicyInit, SeedsDiffer) {
  EXPECT_NE(hash_of(cartpole_layout(), 1), hash_of(cartpole_layout(), 2));
}

TEST(PolicyInit, LayersAreOrthogonalWithTheirGains) {
  for (const PolicyLayout& layout : {cartpole_layout(), pendulum_layout()}) {
    std::vector<float> params(layout.num_params());
    initialize_params(layout, 3, params);
    for (const auto* net : {&layout.actor(), &layout.critic()}) {
      for (std::size_t i = 0; i < net->size(); ++i) {
        const DenseLayer& layer = (*net)[i];
        const bool head = i + 1 == net->size();
        const double gain = !head ? std::sqrt(2.0) : net == &layout.actor() ? 0.01 : 1.0;
        EXPECT_LT(deviation(layer.outputs, layer.inputs, gain, &params[layer.weight_offset]),
                  1e-6 * gain * gain)
            << layout.describe(layer.weight_offset);
        for (std::size_t j = 0; j < layer.outputs; ++j) EXPECT_EQ(params[layer.bias_offset + j], 0.0F);
      }
    }
    for (std::size_t j = 0; j < layout.log_std_size(); ++j)
      EXPECT_EQ(params[layout.log_std_offset() + j], 0.0F);
  }
}

TEST(PolicyInit, OrthogonalStaysOrthogonalWhenLargeAndInEveryShape) {
  for (const auto& [rows, cols] :
       std::vector<std::pair<std::size_t, std::size_t>>{{1, 1}, {1, 300}, {300, 1}, {256, 256}}) {
    Rng rng(rows * 1000 + cols);
    std::vector<float> matrix(rows * cols);
    fill_orthogonal(rows, cols, 1.0, rng, matrix);
    EXPECT_LT(deviation(rows, cols, 1.0, matrix.data()), 2e-6) << rows << " x " << cols;
  }
}

TEST(PolicyLayout, CoversEveryParameterOnceInTheDocumentedOrder) {
  const PolicyLayout layout = pendulum_layout();
  std::size_t next = 0;
  auto walk = [&](const std::vector<DenseLayer>& net) {
    for (const DenseLayer& layer : net) {
      EXPECT_EQ(layer.weight_offset, next);
      EXPECT_EQ(layer.bias_offset, next + layer.inputs * layer.outputs);
      next = layer.bias_offset + layer.outputs;
    }
  };
  walk(layout.actor());
  EXPECT_EQ(layout.log_std_offset(), next);
  next += layout.log_std_size();
  walk(layout.critic());
  EXPECT_EQ(layout.num_params(), next);
  EXPECT_EQ(next, std::size_t{3 * 64 + 64 + 64 * 32 + 32 + 32 + 1 + 1 + 3 * 64 + 64 + 64 * 32 + 32 + 32 + 1});
}

TEST(PolicyLayout, SharedTrunkComesOnceAndTheCriticKeepsItsHead) {
  const PolicyLayout layout({3, false, 2, {64, 32}, Activation::kSilu, true});
  EXPECT_EQ(layout.num_shared_layers(), 2U);
  for (std::size_t l = 0; l < 2; ++l) {
    EXPECT_EQ(layout.critic()[l].weight_offset, layout.actor()[l].weight_offset);
    EXPECT_EQ(layout.critic()[l].bias_offset, layout.actor()[l].bias_offset);
  }
  const std::size_t trunk = 3 * 64 + 64 + 64 * 32 + 32, actor_head = 32 * 2 + 2;
  EXPECT_EQ(layout.actor()[2].weight_offset, trunk);
  EXPECT_EQ(layout.log_std_offset(), trunk + actor_head);
  EXPECT_EQ(layout.critic()[2].weight_offset, trunk + actor_head + 2);
  EXPECT_EQ(layout.num_params(), trunk + actor_head + 2 + 32 + 1);
  EXPECT_EQ(layout.describe(0), "trunk layer 0 weight");
  EXPECT_EQ(layout.describe(trunk - 1), "trunk layer 1 bias");
  EXPECT_EQ(layout.describe(trunk), "actor layer 2 weight");
  EXPECT_EQ(layout.describe(layout.num_params() - 1), "critic layer 2 bias");
}

TEST(PolicyInit, SharedTrunkIsOrthogonalAndDrawnAsTheActorOfSeparateNetworksIs) {
  const PolicyLayout shared({3, false, 2, {64, 32}, Activation::kTanh, true});
  const PolicyLayout apart({3, false, 2, {64, 32}, Activation::kTanh});
  std::vector<float> a(shared.num_params()), b(apart.num_params());
  initialize_params(shared, 5, a);
  initialize_params(apart, 5, b);
  for (std::size_t i = 0; i < shared.log_std_offset(); ++i) ASSERT_EQ(a[i], b[i]) << shared.describe(i);
  const DenseLayer& head = shared.critic().back();
  EXPECT_LT(deviation(1, 32, 1.0, &a[head.weight_offset]), 1e-6);
}

TEST(PolicyInit, GainsAndLogStdAreThoseAskedFor) {
  const PolicyLayout layout = pendulum_layout();
  std::vector<float> params(layout.num_params());
  initialize_params(layout, 3, params,
                    {.hidden_gain = 1.0, .policy_gain = 0.5, .value_gain = 2.0, .log_std = -1.25});
  for (const auto* net : {&layout.actor(), &layout.critic()}) {
    for (std::size_t i = 0; i < net->size(); ++i) {
      const double gain = i + 1 < net->size() ? 1.0 : net == &layout.actor() ? 0.5 : 2.0;
      const DenseLayer& layer = (*net)[i];
      EXPECT_LT(deviation(layer.outputs, layer.inputs, gain, &params[layer.weight_offset]),
                1e-6 * gain * gain);
    }
  }
  EXPECT_EQ(params[layout.log_std_offset()], -1.25F);
}

TEST(PolicyLayout, DescribesWhereAnIndexLies) {
  const PolicyLayout layout = pendulum_layout();
  EXPECT_EQ(layout.describe(0), "actor layer 0 weight");
  EXPECT_EQ(layout.describe(layout.log_std_offset()), "log_std");
  EXPECT_EQ(layout.describe(layout.num_params() - 1), "critic layer 2 bias");
  EXPECT_EQ(layout.describe(layout.num_params()), "out of range");
}

TEST(PolicyLayout, RefusesEmptyDimensions) {
  EXPECT_MESSAGE(PolicyLayout({0, true, 2, {64}, Activation::kTanh}), std::invalid_argument, "obs_dim");
  EXPECT_MESSAGE(PolicyLayout({4, true, 0, {64}, Activation::kTanh}), std::invalid_argument, "action_dim");
  EXPECT_MESSAGE(PolicyLayout({4, true, 2, {64, 0}, Activation::kTanh}), std::invalid_argument, "hidden");
  EXPECT_MESSAGE(PolicyLayout({4, true, 2, {}, Activation::kTanh, true}), std::invalid_argument,
                 "shared_trunk needs");
}

TEST(PolicyInit, RefusesAVectorOfAnotherSize) {
  std::vector<float> params(5);
  EXPECT_MESSAGE(initialize_params(cartpole_layout(), 1, params), std::invalid_argument, "params");
}

}  // namespace
}  // namespace murmur
