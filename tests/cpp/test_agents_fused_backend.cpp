// The fused back end against plain loops in double precision, and its own promise: the same bytes for any
// number of threads and on every instruction set.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "expect_message.hpp"
#include "murmur/agents/fused_backend.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/base/hash.hpp"
#include "random_minibatch.hpp"
#include "scalar_backend.hpp"

namespace murmur {
namespace {

using testing::gradient_of;
using testing::Minibatch;
using testing::params_of;
using testing::random_params;
using testing::ScalarBackend;

std::unique_ptr<PpoBackend> fused(const PolicyLayout& layout, int threads = 1,
                                  const kernels::KernelSet& set = kernels::best_kernels()) {
  return make_fused_backend(layout, Device::kCpu, std::make_shared<ThreadPool>(threads), set);
}

// Widths below, at and between multiples of the register blocks; one to three layers; both heads; all
// activations; separate networks and a shared trunk.
std::vector<PolicyLayout> layouts() {
  return {PolicyLayout({4, true, 2, {64, 64}, Activation::kTanh}),
          PolicyLayout({3, false, 1, {16, 32}, Activation::kTanh}),
          PolicyLayout({7, true, 5, {8}, Activation::kRelu}),
          PolicyLayout({2, false, 3, {12, 8, 4}, Activation::kRelu}),
          PolicyLayout({1, true, 2, {1}, Activation::kTanh}),
          PolicyLayout({11, false, 6, {33, 96, 17}, Activation::kTanh}),
          PolicyLayout({5, true, 18, {130, 65}, Activation::kTanh}),
          PolicyLayout({4, true, 2, {64, 64}, Activation::kSilu}),
          PolicyLayout({3, false, 1, {9, 40, 23}, Activation::kSilu}),
          PolicyLayout({4, true, 2, {64, 64}, Activation::kTanh, true}),
          PolicyLayout({6, false, 15, {13}, Activation::kRelu, true}),
          PolicyLayout({3, false, 2, {48, 31, 8}, Activation::kSilu, true}),
          PolicyLayout({2, true, 64, {511, 8}, Activation::kSilu, true})};
}

void expect_close(const std::vector<float>& got, const std::vector<float>& expected,
                  const PolicyLayout& layout, float relative) {
  float largest = 0.0F;
  for (const float x : expected) largest = std::max(largest, std::abs(x));
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], relative * largest + 1e-9F) << layout.describe(i) << ", index " << i;
}

TEST(FusedBackend, ForwardAgreesWithPlainLoopsForAnyNumberOfRows) {
  for (const PolicyLayout& layout : layouts()) {
    Rng rng(3);
    const std::vector<float> params = random_params(layout, rng, 0.3F);
    const auto fast = fused(layout, 3);
    ScalarBackend plain(layout);
    fast->set_params(params);
    plain.set_params(params);
    for (const std::size_t rows : {1, 2, 5, 6, 8, 13, 95, 96, 97, 300, 1000}) {
      std::vector<float> x(rows * layout.spec().obs_dim);
      for (float& v : x) v = rng.uniform(-4.0F, 4.0F);
      std::vector<float> a(rows * layout.spec().action_dim), b(a.size()), u(rows), v(rows);
      fast->act(x, a);
      plain.act(x, b);
      fast->value(x, u);
      plain.value(x, v);
      for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5F * (1.0F + std::abs(b[i])));
      for (std::size_t i = 0; i < u.size(); ++i) ASSERT_NEAR(u[i], v[i], 1e-5F * (1.0F + std::abs(v[i])));
    }
  }
}

TEST(FusedBackend, ARowsResultDoesNotDependOnTheRowsBesideIt) {
  const PolicyLayout layout = layouts()[0];
  Rng rng(4);
  const auto backend = fused(layout, 2);
  backend->set_params(random_params(layout, rng));
  std::vector<float> x(500 * 4), together(500 * 2), alone(2);
  for (float& v : x) v = rng.uniform(-4.0F, 4.0F);
  backend->act(x, together);
  for (std::size_t i = 0; i < 500; ++i) {
    backend->act(std::span(x).subspan(4 * i, 4), alone);
    ASSERT_EQ(alone[0], together[2 * i]);
    ASSERT_EQ(alone[1], together[2 * i + 1]);
  }
}

TEST(FusedBackend, GradientsAgreeWithPlainLoops) {
  Rng rng(7);
  for (const PolicyLayout& layout : layouts()) {
    for (const std::size_t n : {1, 2, 15, 40, 96, 257, 600}) {
      SCOPED_TRACE(std::to_string(layout.num_params()) + " parameters, " + std::to_string(n) + " samples");
      const auto fast = fused(layout);
      ScalarBackend plain(layout);
      const std::vector<float> params = random_params(layout, rng);
      fast->set_params(params);
      plain.set_params(params);
      const PpoLossSettings loss{.value_clip_range = n % 2 == 0 ? 0.2F : 0.0F, .entropy_coef = 0.01F};
      const Minibatch minibatch(layout, plain, n, rng, 0.3F);
      const std::vector<float> expected = gradient_of(plain, layout, minibatch.batch(), loss);
      expect_close(gradient_of(*fast, layout, minibatch.batch(), loss), expected, layout, 2e-5F);
    }
  }
}

TEST(FusedBackend, TenUpdatesAgreeWithPlainLoops) {
  for (const PolicyLayout& layout : layouts()) {
    SCOPED_TRACE(std::to_string(layout.num_params()) + " parameters");
    Rng rng(5);
    const std::vector<float> params = random_params(layout, rng);
    const auto fast = fused(layout);
    ScalarBackend plain(layout);
    fast->set_params(params);
    plain.set_params(params);
    const PpoLossSettings loss{.entropy_coef = 0.01F, .kl_penalty = 0.5F};
    const AdamSettings adam{.learning_rate = 1e-3};
    Minibatch minibatch(layout, plain, 40, rng);
    minibatch.set_base(layout, plain);  // where both start: the penalty is 0 at first
    for (int update = 0; update < 10; ++update) {
      const PpoLossStats a = fast->step(minibatch.batch(), loss, adam, 0.0);
      const PpoLossStats b = plain.step(minibatch.batch(), loss, adam, 0.0);
      EXPECT_NEAR(a.loss, b.loss, 1e-5 * (1.0 + std::abs(b.loss))) << update;
      EXPECT_NEAR(a.policy_loss, b.policy_loss, 1e-5);
      EXPECT_NEAR(a.value_loss, b.value_loss, 1e-5 * (1.0 + b.value_loss));
      EXPECT_NEAR(a.entropy, b.entropy, 1e-5 * (1.0 + std::abs(b.entropy)));
      EXPECT_NEAR(a.approx_kl, b.approx_kl, 1e-5) << update;
      EXPECT_NEAR(a.clip_fraction, b.clip_fraction, 1e-9);
      EXPECT_NEAR(a.base_kl, b.base_kl, 1e-6 * (1.0 + b.base_kl)) << update;
    }
    const std::vector<float> x = params_of(*fast, layout);
    const std::vector<float> y = params_of(plain, layout);
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 2e-5F) << layout.describe(i);
    EXPECT_EQ(fast->optimizer_state().steps, 10);
  }
}

/// A digest of everything after three steps on 700 samples, which make three chunks. The samples come from
/// arithmetic alone, without libm, so that the digest is the same on every machine. `kl_penalty`: to random
/// outputs.
std::uint64_t digest_after_training(const PolicyLayout& layout, int threads, const kernels::KernelSet& set,
                                    float kl_penalty = 0.0F) {
  constexpr std::size_t kSamples = 700;
  const PolicySpec& spec = layout.spec();
  Rng rng(11);
  const std::vector<float> params = random_params(layout, rng);
  auto draw = [&rng](std::size_t n, float low, float high) {
    std::vector<float> values(n);
    for (float& v : values) v = rng.uniform(low, high);
    return values;
  };
  const std::vector<float> observations = draw(kSamples * spec.obs_dim, -2.0F, 2.0F);
  std::vector<float> actions = draw(kSamples * (spec.discrete ? 1 : spec.action_dim), -1.0F, 1.0F);
  if (spec.discrete) {
    for (float& a : actions) a = static_cast<float>(rng.below(spec.action_dim));
  }
  const std::vector<float> log_probs = draw(kSamples, -1.5F, -0.5F), advantages = draw(kSamples, -2.0F, 3.0F),
                           returns = draw(kSamples, -1.0F, 1.0F), values = draw(kSamples, -1.0F, 1.0F);
  std::vector<float> base_policy, base_log_std;
  if (kl_penalty > 0.0F) {
    base_policy = draw(kSamples * spec.action_dim, -1.0F, 1.0F);
    base_log_std = draw(layout.log_std_size(), -0.5F, 0.5F);
  }
  const auto backend = fused(layout, threads, set);
  backend->set_params(params);
  Fnv1a hash;
  for (int i = 0; i < 3; ++i) {
    const PpoLossStats stats = backend->step(
        {observations, actions, log_probs, advantages, returns, values, base_policy, base_log_std},
        {.entropy_coef = 0.01F, .kl_penalty = kl_penalty}, {}, 0.0);
    hash.update_values(std::span<const double>({stats.loss, stats.approx_kl, stats.entropy}));
    if (kl_penalty > 0.0F) hash.update_values(std::span<const double>({stats.base_kl}));
  }
  const AdamState adam = backend->optimizer_state();
  hash.update_values(std::span<const float>(params_of(*backend, layout)));
  hash.update_values(std::span<const float>(adam.first));
  hash.update_values(std::span<const float>(adam.second));
  return hash.digest();
}

TEST(FusedBackend, SameBytesForAnyNumberOfThreadsAndOnEveryInstructionSet) {
  for (const PolicyLayout& layout : layouts()) {
    SCOPED_TRACE(std::to_string(layout.num_params()) + " parameters");
    for (const float kl_penalty : {0.0F, 0.7F}) {
      const std::uint64_t expected = digest_after_training(layout, 1, kernels::best_kernels(), kl_penalty);
      for (const int threads : {2, 3, 8}) {
        EXPECT_EQ(digest_after_training(layout, threads, kernels::best_kernels(), kl_penalty), expected)
            << threads;
      }
      for (const kernels::KernelSet* set : kernels::available_kernels()) {
        EXPECT_EQ(digest_after_training(layout, 1, *set, kl_penalty), expected) << set->name;
      }
    }
  }
}

// One number for all machines. A change here changes what every seed learns: say so in the changelog.
TEST(FusedBackend, TrainingGivesTheGoldenBytesOnOneTwoAndEightThreads) {
  const std::vector<PolicyLayout> all = layouts();
  for (const int threads : {1, 2, 8}) {
    SCOPED_TRACE(std::to_string(threads) + " threads");
    const kernels::KernelSet& set = kernels::best_kernels();
    EXPECT_EQ(digest_after_training(all[0], threads, set), 7407710697432181157U);
    EXPECT_EQ(digest_after_training(all[1], threads, set), 13048663309271018798U);
    EXPECT_EQ(digest_after_training(all[7], threads, set), 3652347988603642787U) << "SiLU";
    EXPECT_EQ(digest_after_training(all[9], threads, set), 7003820038021606380U) << "shared trunk";
    EXPECT_EQ(digest_after_training(all[11], threads, set, 0.7F), 16859802402585883309U)
        << "SiLU, shared trunk, KL penalty";
    EXPECT_EQ(digest_after_training(all[0], threads, set, 0.7F), 15221374306227373055U) << "KL penalty";
  }
}

TEST(FusedBackend, ParametersAndOptimizerStateComeBackAsTheyWere) {
  for (const PolicyLayout& layout : layouts()) {
    Rng rng(8);
    const auto backend = fused(layout);
    const std::vector<float> params = random_params(layout, rng);
    AdamState state(layout.num_params());
    for (float& x : state.first) x = rng.uniform(-1.0F, 1.0F);
    for (float& x : state.second) x = rng.uniform();
    state.steps = 77;
    backend->set_params(params);
    backend->set_optimizer_state(state);
    EXPECT_EQ(params_of(*backend, layout), params);
    EXPECT_EQ(backend->optimizer_state().first, state.first);
    EXPECT_EQ(backend->optimizer_state().second, state.second);
    EXPECT_EQ(backend->optimizer_state().steps, 77);
    std::vector<float> log_std(layout.log_std_size());
    backend->log_std(log_std);
    for (std::size_t j = 0; j < log_std.size(); ++j)
      EXPECT_EQ(log_std[j], params[layout.log_std_offset() + j]);
  }
}

TEST(FusedBackend, ABadMinibatchTouchesNothing) {
  const PolicyLayout layout = layouts()[1];
  const auto backend = fused(layout);
  Rng rng(6);
  backend->set_params(random_params(layout, rng));
  const Minibatch minibatch(layout, *backend, 16, rng);
  backend->step(minibatch.batch(), {}, {}, 0.0);
  const std::vector<float> before = params_of(*backend, layout);
  const AdamState adam_before = backend->optimizer_state();

  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const auto field : {&Minibatch::observations, &Minibatch::actions, &Minibatch::log_probs,
                             &Minibatch::advantages, &Minibatch::returns}) {
      Minibatch broken = minibatch;
      (broken.*field)[3] = bad;
      if (field == &Minibatch::observations && !std::isnan(bad)) continue;  // tanh of infinity is 1
      if (field == &Minibatch::log_probs && !std::isnan(bad)) continue;     // a ratio of 0, which is finite
      EXPECT_MESSAGE(backend->step(broken.batch(), {}, {}, 0.0), NonFiniteError, "not finite");
    }
  }
  EXPECT_EQ(params_of(*backend, layout), before);
  EXPECT_EQ(backend->optimizer_state().steps, adam_before.steps);
  EXPECT_EQ(backend->optimizer_state().first, adam_before.first);
}

TEST(FusedBackend, AnOverflowingGradientNamesItsTensorAndTouchesNothing) {
  const PolicyLayout layout({1, true, 2, {2}, Activation::kRelu});
  const auto backend = fused(layout);
  // The critic sees 3e38 * 2e-38 = 6, so all outputs and the loss are finite; its weight's gradient is 3e38
  // times an error of about 100.
  std::vector<float> params(layout.num_params());
  for (std::size_t i = 0; i < 2; ++i) {
    params[layout.critic()[0].weight_offset + i] = 2e-38F;
    params[layout.critic()[1].weight_offset + i] = 1.0F;
  }
  backend->set_params(params);
  const std::vector<float> observations{3e38F, 3e38F}, actions{0.0F, 1.0F}, log_probs{-0.69F, -0.69F},
      advantages{1.0F, 2.0F}, returns{100.0F, 100.0F}, values{12.0F, 12.0F};
  const PpoBatch batch{observations, actions, log_probs, advantages, returns, values};
  EXPECT_MESSAGE(backend->step(batch, {.value_clip_range = 0.0F}, {}, 0.0), NonFiniteError,
                 "gradient of critic layer 0 weight");
  EXPECT_EQ(params_of(*backend, layout), params);
  EXPECT_EQ(backend->optimizer_state().steps, 0);
}

TEST(FusedBackend, AMinibatchBeyondTheKlLimitTouchesNothing) {
  const PolicyLayout layout = layouts()[0];
  const auto backend = fused(layout);
  Rng rng(6);
  const std::vector<float> params = random_params(layout, rng);
  backend->set_params(params);
  Minibatch minibatch(layout, *backend, 16, rng);
  for (float& lp : minibatch.log_probs) lp -= 0.5F;  // as if the policy had moved
  EXPECT_GT(backend->step(minibatch.batch(), {}, {}, 0.01).approx_kl, 0.01);
  EXPECT_EQ(params_of(*backend, layout), params);
  EXPECT_EQ(backend->optimizer_state().steps, 0);
}

TEST(FusedBackend, SmallKlKeepsItsDigits) {
  // Ratios of exp(+-1e-3): r - 1 - log r is 5e-7, which single precision would lose in r - 1.
  const PolicyLayout layout = layouts()[0];
  const auto backend = fused(layout);
  Rng rng(6);
  backend->set_params(random_params(layout, rng));
  Minibatch minibatch(layout, *backend, 512, rng);
  for (std::size_t i = 0; i < 512; ++i) minibatch.log_probs[i] += i % 2 == 0 ? 1e-3F : -1e-3F;
  EXPECT_NEAR(backend->step(minibatch.batch(), {}, {}, 0.0).approx_kl, 5e-7, 5e-9);
}

TEST(FusedBackend, WrongShapesAreNamed) {
  const PolicyLayout layout = layouts()[0];
  const auto backend = fused(layout);
  std::vector<float> seven(7), two(2), eight(8);
  EXPECT_MESSAGE(backend->act(seven, two), std::invalid_argument, "rows of 4");
  EXPECT_MESSAGE(backend->act(eight, two), std::invalid_argument, "network output");
  EXPECT_MESSAGE(backend->set_params(seven), std::invalid_argument, "params");
  EXPECT_MESSAGE(backend->set_optimizer_state(AdamState(3)), std::invalid_argument, "moments");
  EXPECT_MESSAGE(backend->step({}, {}, {}, 0.0), std::invalid_argument, "empty");
  Rng rng(1);
  Minibatch minibatch(layout, *backend, 4, rng);
  minibatch.actions.pop_back();
  EXPECT_MESSAGE(backend->step(minibatch.batch(), {}, {}, 0.0), std::invalid_argument, "actions");
}

TEST(FusedBackend, CudaIsRefused) {
  EXPECT_MESSAGE(make_fused_backend(layouts()[0], Device::kCuda, std::make_shared<ThreadPool>(1)),
                 std::invalid_argument, "device is 'cuda'");
}

TEST(FusedBackend, NetworksItCannotRunAreRefusedAndLeftToLibtorchWithTheSameReason) {
  const std::vector<std::pair<PolicyLayout, std::string>> bad{
      {PolicyLayout({4, true, 2, {64, 1024}, Activation::kTanh}), "1024 units is wider than 512"},
      {PolicyLayout({4, true, 300, {64}, Activation::kTanh}), "300 outputs is wider than 64"},
      {PolicyLayout({4, true, 2, {8, 8, 8, 8}, Activation::kTanh}), "hidden has 4 layers, not 1 to 3"},
      {PolicyLayout({4, true, 2, {}, Activation::kTanh}), "hidden has 0 layers"}};
  for (const auto& [layout, reason] : bad) {
    EXPECT_NE(why_not_fused(layout).find(reason), std::string::npos) << why_not_fused(layout);
    EXPECT_MESSAGE(fused(layout), std::invalid_argument, reason);
    EXPECT_MESSAGE(fused(layout), std::invalid_argument, "use backend 'libtorch' or 'auto'");
  }
  for (const PolicyLayout& layout : layouts()) {
    EXPECT_EQ(fused_cannot_run(layout), "");
    EXPECT_EQ(why_not_fused(layout).empty(), kernels::has_vector_kernels());
  }
}

}  // namespace
}  // namespace murmur
