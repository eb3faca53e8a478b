// Networks, loss, gradient and Adam of the CUDA kernels, emulated on the CPU, against the fused CPU back end
// and plain loops in double precision; and the emulation's own promise: the same bytes in whatever order
// blocks and threads run.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/device_envs.hpp"
#include "cuda/host_executor.hpp"
#include "expect_message.hpp"
#include "murmur/agents/fused_backend.hpp"
#include "murmur/cuda/cuda_support.hpp"
#include "random_minibatch.hpp"
#include "scalar_backend.hpp"

namespace murmur::cuda {
namespace {

using testing::gradient_of;
using testing::Minibatch;
using testing::params_of;
using testing::random_params;
using testing::ScalarBackend;

constexpr std::size_t kLargeShared = 227 * 1024, kSmallShared = 99 * 1024;

std::unique_ptr<PpoBackend> emulated(const PolicyLayout& layout,
                                     EmulationOrder order = EmulationOrder::kForward,
                                     std::size_t shared_limit = kLargeShared) {
  return std::make_unique<DeviceModel<HostExecutor>>(std::make_shared<HostExecutor>(order, shared_limit),
                                                     layout);
}
std::unique_ptr<PpoBackend> fused(const PolicyLayout& layout) {
  return make_fused_backend(layout, Device::kCpu, std::make_shared<ThreadPool>(1));
}

// Widths below, at and between multiples of four and of the register blocks; one to three layers; both heads;
// one network so wide that a block's tile has 16 rows; every activation, apart and with a shared trunk.
std::vector<PolicyLayout> layouts() {
  return {PolicyLayout({4, true, 2, {64, 64}, Activation::kTanh}),
          PolicyLayout({3, false, 1, {16, 32}, Activation::kTanh}),
          PolicyLayout({7, true, 5, {8}, Activation::kRelu}),
          PolicyLayout({2, false, 3, {12, 8, 4}, Activation::kRelu}),
          PolicyLayout({1, true, 2, {1}, Activation::kTanh}),
          PolicyLayout({11, false, 6, {33, 96, 17}, Activation::kTanh}),
          PolicyLayout({5, true, 18, {120, 65}, Activation::kTanh}),
          PolicyLayout({6, false, 2, {128, 124}, Activation::kTanh}),
          PolicyLayout({4, true, 3, {30, 64}, Activation::kSilu}),
          PolicyLayout({3, false, 2, {9, 40, 23}, Activation::kSilu}),
          PolicyLayout({4, true, 2, {64, 64}, Activation::kTanh, true}),
          PolicyLayout({3, false, 2, {33}, Activation::kRelu, true}),
          PolicyLayout({5, false, 4, {48, 31, 8}, Activation::kSilu, true})};
}

std::string describe(const PolicyLayout& layout, std::size_t n) {
  return std::to_string(layout.num_params()) + " parameters, " + std::to_string(n) + " samples";
}

void expect_close(const std::vector<float>& got, const std::vector<float>& expected,
                  const PolicyLayout& layout, float relative) {
  float largest = 0.0F;
  for (const float x : expected) largest = std::max(largest, std::abs(x));
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], relative * largest + 1e-9F) << layout.describe(i) << ", index " << i;
}

TEST(CudaModel, ForwardAgreesWithTheFusedBackEndForAnyNumberOfRows) {
  for (const PolicyLayout& layout : layouts()) {
    Rng rng(3);
    const std::vector<float> params = random_params(layout, rng, 0.3F);
    const auto device = emulated(layout), cpu = fused(layout);
    device->set_params(params);
    cpu->set_params(params);
    for (const std::size_t rows : {1, 3, 16, 63, 64, 65, 300}) {
      SCOPED_TRACE(describe(layout, rows));
      std::vector<float> x(rows * layout.spec().obs_dim);
      for (float& v : x) v = rng.uniform(-4.0F, 4.0F);
      std::vector<float> a(rows * layout.spec().action_dim), b(a.size()), u(rows), v(rows);
      device->act(x, a);
      cpu->act(x, b);
      device->value(x, u);
      cpu->value(x, v);
      for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5F * (1.0F + std::abs(b[i])));
      for (std::size_t i = 0; i < u.size(); ++i) ASSERT_NEAR(u[i], v[i], 1e-5F * (1.0F + std::abs(v[i])));
    }
  }
}

TEST(CudaModel, GradientsAgreeWithTheFusedBackEnd) {
  Rng rng(7);
  for (const PolicyLayout& layout : layouts()) {
    for (const std::size_t n : {1, 2, 15, 64, 65, 257}) {
      SCOPED_TRACE(describe(layout, n));
      const auto device = emulated(layout), cpu = fused(layout);
      const std::vector<float> params = random_params(layout, rng);
      device->set_params(params);
      cpu->set_params(params);
      const PpoLossSettings loss{.value_clip_range = n % 2 == 0 ? 0.2F : 0.0F, .entropy_coef = 0.01F};
      const Minibatch minibatch(layout, *cpu, n, rng, 0.3F);
      expect_close(gradient_of(*device, layout, minibatch.batch(), loss),
                   gradient_of(*cpu, layout, minibatch.batch(), loss), layout, 1e-5F);
    }
  }
}

TEST(CudaModel, GradientsAgreeWithPlainLoopsInDoublePrecision) {
  Rng rng(8);
  for (const PolicyLayout& layout : layouts()) {
    const auto device = emulated(layout);
    ScalarBackend plain(layout);
    const std::vector<float> params = random_params(layout, rng);
    device->set_params(params);
    plain.set_params(params);
    const Minibatch minibatch(layout, plain, 130, rng, 0.3F);
    const PpoLossSettings loss{.entropy_coef = 0.02F, .normalize_advantages = false};
    expect_close(gradient_of(*device, layout, minibatch.batch(), loss),
                 gradient_of(plain, layout, minibatch.batch(), loss), layout, 2e-5F);
  }
}

TEST(CudaModel, ThePenaltyOnLeavingABasePolicyAgreesWithPlainLoopsInDoublePrecision) {
  Rng rng(14);
  for (const PolicyLayout& layout : layouts()) {
    const auto device = emulated(layout);
    ScalarBackend plain(layout);
    plain.set_params(random_params(layout, rng, 0.2F));
    Minibatch minibatch(layout, plain, 130, rng, 0.3F);
    minibatch.set_base(layout, plain);
    const std::vector<float> params = random_params(layout, rng, 0.2F);
    device->set_params(params);
    plain.set_params(params);
    const PpoLossSettings loss{.entropy_coef = 0.02F, .normalize_advantages = false, .kl_penalty = 0.7F};
    expect_close(gradient_of(*device, layout, minibatch.batch(), loss),
                 gradient_of(plain, layout, minibatch.batch(), loss), layout, 2e-5F);
    device->set_params(params);
    plain.set_params(params);
    const PpoLossStats a = device->step(minibatch.batch(), loss, {}, 0.0);
    const PpoLossStats b = plain.step(minibatch.batch(), loss, {}, 0.0);
    EXPECT_GT(b.base_kl, 1e-3);
    EXPECT_NEAR(a.base_kl, b.base_kl, 1e-5 * (1.0 + b.base_kl));
    EXPECT_NEAR(a.loss, b.loss, 1e-5 * (1.0 + std::abs(b.loss)));
  }
}

TEST(CudaModel, WithoutABasePolicyThePenaltyIsOfNoEffect) {
  const PolicyLayout layout = layouts()[1];
  Rng rng(15);
  const std::vector<float> params = random_params(layout, rng);
  const auto device = emulated(layout);
  device->set_params(params);
  const Minibatch minibatch(layout, *device, 70, rng, 0.3F);
  const std::vector<float> plain = gradient_of(*device, layout, minibatch.batch(), {});
  device->set_params(params);
  EXPECT_EQ(gradient_of(*device, layout, minibatch.batch(), {.kl_penalty = 5.0F}), plain);
}

TEST(CudaModel, ABasePolicyOfAnotherShapeIsRefused) {
  const PolicyLayout layout = layouts()[1];
  Rng rng(16);
  const auto device = emulated(layout);
  Minibatch minibatch(layout, *device, 8, rng);
  minibatch.set_base(layout, *device);
  minibatch.base_policy.pop_back();
  EXPECT_MESSAGE(device->step(minibatch.batch(), {.kl_penalty = 1.0F}, {}, 0.0), std::invalid_argument,
                 "base_policy");
}

class CudaModelOfManyChunks : public ::testing::TestWithParam<bool> {};

TEST_P(CudaModelOfManyChunks, AgreesWithTheFusedBackEnd) {
  const PolicyLayout layout({2, true, 3, {8}, Activation::kTanh, GetParam()});
  Rng rng(9);
  const std::vector<float> params = random_params(layout, rng);
  for (const std::size_t n :
       {1023, 1025, 16385}) {  // around one block of advantage moments, and two tiles a chunk
    const auto device = emulated(layout), cpu = fused(layout);
    device->set_params(params);
    cpu->set_params(params);
    const Minibatch minibatch(layout, *cpu, n, rng, 0.3F);
    expect_close(gradient_of(*device, layout, minibatch.batch(), {}),
                 gradient_of(*cpu, layout, minibatch.batch(), {}), layout, 1e-5F);
  }
}

INSTANTIATE_TEST_SUITE_P(Trunk, CudaModelOfManyChunks, ::testing::Bool(),
                         [](const auto& shared) { return shared.param ? "Shared" : "Apart"; });

TEST(CudaModel, TenUpdatesAgreeWithTheFusedBackEnd) {
  for (const PolicyLayout& layout : layouts()) {
    SCOPED_TRACE(describe(layout, 40));
    Rng rng(5);
    const std::vector<float> params = random_params(layout, rng);
    const auto device = emulated(layout), cpu = fused(layout);
    device->set_params(params);
    cpu->set_params(params);
    const PpoLossSettings loss{.entropy_coef = 0.01F};
    const AdamSettings adam{.learning_rate = 1e-3};
    const Minibatch minibatch(layout, *cpu, 40, rng);
    for (int update = 0; update < 10; ++update) {
      const PpoLossStats a = device->step(minibatch.batch(), loss, adam, 0.0);
      const PpoLossStats b = cpu->step(minibatch.batch(), loss, adam, 0.0);
      ASSERT_NEAR(a.loss, b.loss, 1e-5 * (1.0 + std::abs(b.loss)));
      ASSERT_NEAR(a.policy_loss, b.policy_loss, 1e-5 * (1.0 + std::abs(b.policy_loss)));
      ASSERT_NEAR(a.value_loss, b.value_loss, 1e-5 * (1.0 + std::abs(b.value_loss)));
      ASSERT_NEAR(a.entropy, b.entropy, 1e-5 * (1.0 + std::abs(b.entropy)));
      ASSERT_NEAR(a.approx_kl, b.approx_kl, 1e-6 + 1e-3 * b.approx_kl);
      ASSERT_EQ(a.clip_fraction, b.clip_fraction);
    }
    expect_close(params_of(*device, layout), params_of(*cpu, layout), layout, 1e-4F);
    EXPECT_EQ(device->optimizer_state().steps, 10);
  }
}

TEST(CudaModel, TheOrderOfBlocksAndThreadsChangesNoByte) {
  for (const PolicyLayout& layout : layouts()) {
    Rng rng(11);
    const std::vector<float> params = random_params(layout, rng);
    const auto cpu = fused(layout);
    cpu->set_params(params);
    const Minibatch minibatch(layout, *cpu, 150, rng, 0.3F);
    std::vector<std::vector<float>> results;
    for (const auto order :
         {EmulationOrder::kForward, EmulationOrder::kBackward, EmulationOrder::kShuffled}) {
      const auto device = emulated(layout, order);
      device->set_params(params);
      for (int update = 0; update < 2; ++update)
        device->step(minibatch.batch(), {.entropy_coef = 0.01F}, {}, 0.0);
      results.push_back(params_of(*device, layout));
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
    EXPECT_NE(results[0], params);
  }
}

TEST(CudaModel, ADevicesSharedMemoryChangesNoByte) {
  const PolicyLayout layout({6, false, 2, {112, 112}, Activation::kTanh});  // 64 rows a tile, or 16
  Rng rng(12);
  const std::vector<float> params = random_params(layout, rng);
  std::vector<std::vector<float>> results;
  for (const std::size_t limit : {kLargeShared, kSmallShared}) {
    const auto device = emulated(layout, EmulationOrder::kForward, limit);
    device->set_params(params);
    Rng samples(13);
    const Minibatch minibatch(layout, *device, 150, samples, 0.3F);
    device->step(minibatch.batch(), {}, {}, 0.0);
    results.push_back(params_of(*device, layout));
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(CudaModel, ATooLargeDivergenceChangesNothingAndReportsIt) {
  const PolicyLayout layout = layouts()[0];
  Rng rng(2);
  const std::vector<float> params = random_params(layout, rng);
  const auto device = emulated(layout);
  device->set_params(params);
  const Minibatch minibatch(layout, *device, 70, rng, 0.5F);
  const PpoLossStats stats = device->step(minibatch.batch(), {}, {}, 1e-4);
  EXPECT_GT(stats.approx_kl, 1e-4);
  EXPECT_EQ(params_of(*device, layout), params);
  EXPECT_EQ(device->optimizer_state().steps, 0);
  device->step(minibatch.batch(), {}, {}, 1e3);
  EXPECT_NE(params_of(*device, layout), params);
}

TEST(CudaModel, NumbersThatAreNotFiniteAreRefusedByNameAndChangeNothing) {
  const PolicyLayout layout = layouts()[1];
  Rng rng(2);
  const std::vector<float> params = random_params(layout, rng);
  const auto device = emulated(layout);
  device->set_params(params);
  Minibatch minibatch(layout, *device, 70, rng);
  minibatch.returns[69] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_MESSAGE(device->step(minibatch.batch(), {}, {}, 0.0), NonFiniteError, "the loss is not finite");
  minibatch.returns[69] = 1.0F;
  minibatch.observations[3 * 69] = std::numeric_limits<float>::infinity();
  EXPECT_MESSAGE(device->step(minibatch.batch(), {}, {}, 0.0), NonFiniteError, "actor layer 0 weight");
  EXPECT_EQ(params_of(*device, layout), params);
  EXPECT_EQ(device->optimizer_state().steps, 0);
}

TEST(CudaModel, NetworksThatDoNotFitAreRefusedWithTheReason) {
  const PolicyLayout wide({4, true, 2, {512, 512}, Activation::kTanh});
  EXPECT_NE(why_not_cuda_kernels(wide, kLargeShared).find("shared memory"), std::string::npos);
  EXPECT_MESSAGE(emulated(wide), std::invalid_argument, "no CUDA kernels for this network");
  const PolicyLayout middle({4, true, 2, {136, 136}, Activation::kTanh});
  EXPECT_EQ(why_not_cuda_kernels(middle, kLargeShared), "");
  EXPECT_NE(why_not_cuda_kernels(middle, kSmallShared), "");
  const PolicyLayout deep({4, true, 2, {8, 8, 8, 8, 8}, Activation::kTanh});
  EXPECT_NE(why_not_cuda_kernels(deep, kLargeShared).find("5 hidden layers"), std::string::npos);
  const PolicyLayout broad({4, true, 65, {8}, Activation::kTanh});
  EXPECT_NE(why_not_cuda_kernels(broad, kLargeShared).find("65 outputs"), std::string::npos);
  for (const PolicyLayout& layout : layouts()) EXPECT_EQ(why_not_cuda_kernels(layout, kLargeShared), "");
}

}  // namespace
}  // namespace murmur::cuda
