// What the KL penalty holds on to: whose outputs they are, and that the learner's own parameters come back.

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "expect_message.hpp"
#include "murmur/agents/base_policy.hpp"

namespace murmur {
namespace {

/// Its policy's only output is its only parameter; the device can be lost.
class FragileBackend final : public PpoBackend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "fragile"; }
  void get_params(std::span<float> params) const override { std::ranges::fill(params, param); }
  void set_params(std::span<const float> params) override {
    if (is_lost) throw std::runtime_error("the device takes no parameters");
    param = params[0];
  }
  [[nodiscard]] AdamState optimizer_state() const override { return {}; }
  void set_optimizer_state(const AdamState& /*state*/) override {}
  void enter() override {}
  void act(std::span<const float> /*observations*/, std::span<float> policy) override {
    is_lost = loses_device;
    if (fails) throw std::runtime_error("the policy cannot be computed");
    std::ranges::fill(policy, param);
  }
  void log_std(std::span<float> /*log_std*/) const override {}
  void value(std::span<const float> /*observations*/, std::span<float> /*values*/) override {}
  PpoLossStats step(const PpoBatch& /*batch*/, const PpoLossSettings& /*loss*/, const AdamSettings& /*adam*/,
                    double /*max_kl*/) override {
    return {};
  }

  float param = 1.0F;
  bool fails = false, loses_device = false, is_lost = false;
};

struct Fixture {
  Fixture() { base.set(std::vector<float>(layout.num_params(), 7.0F)); }
  PolicyOutputs outputs() { return base.outputs(backend, rollout); }

  PolicyLayout layout{{1, true, 2, {1}, Activation::kRelu}};
  RolloutBuffer rollout{{3, 2, 1, 1}};
  FragileBackend backend;
  BasePolicy base{layout};
};

TEST(BasePolicy, OutputsAreOfTheBaseAndTheLearnersParametersComeBack) {
  Fixture f;
  const PolicyOutputs outputs = f.outputs();
  EXPECT_EQ(std::vector<float>(outputs.policy.begin(), outputs.policy.end()), std::vector<float>(12, 7.0F));
  EXPECT_TRUE(outputs.log_std.empty());
  EXPECT_EQ(f.backend.param, 1.0F);
}

TEST(BasePolicy, TheLearnersParametersComeBackWhenTheBaseCannotBeComputed) {
  Fixture f;
  f.backend.fails = true;
  EXPECT_MESSAGE(static_cast<void>(f.outputs()), std::runtime_error, "the policy cannot be computed");
  EXPECT_EQ(f.backend.param, 1.0F);
}

TEST(BasePolicy, ALostDeviceIsAnErrorAndNotTheEndOfTheProcess) {
  Fixture f;
  f.backend.loses_device = true;
  EXPECT_MESSAGE(static_cast<void>(f.outputs()), std::runtime_error, "the device takes no parameters");
  f.backend.is_lost = false;
  f.backend.fails = true;
  EXPECT_MESSAGE(static_cast<void>(f.outputs()), std::runtime_error, "the policy cannot be computed");
}

}  // namespace
}  // namespace murmur
