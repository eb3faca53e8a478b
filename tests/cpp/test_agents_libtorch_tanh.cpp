// tanh on our kernels against libtorch in double precision.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "murmur/agents/torch_tanh.hpp"

namespace murmur {
namespace {

torch::Tensor inputs(std::int64_t count) {
  return torch::linspace(-12.0, 12.0, count, torch::kFloat);
}

double largest(const torch::Tensor& x) {
  return x.abs().max().item<double>();
}

TEST(TorchTanh, EqualsDoublePrecisionForAnyNumberOfValues) {
  for (const std::int64_t count : {1, 2, 15, 16, 17, 31, 32, 33, 1000, 4099}) {
    const torch::Tensor x = inputs(count);
    EXPECT_LT(largest(fast_tanh(x) - torch::tanh(x.to(torch::kDouble))), 4e-7) << count;
  }
}

TEST(TorchTanh, GradientEqualsDoublePrecision) {
  const torch::Tensor x = inputs(333).view({9, 37}).requires_grad_(true);
  const torch::Tensor exact = x.detach().to(torch::kDouble).requires_grad_(true);
  const torch::Tensor weights = torch::linspace(-1.0, 1.0, 333, torch::kFloat).view({9, 37});
  const torch::Tensor got = torch::autograd::grad({(fast_tanh(x) * weights).sum()}, {x})[0];
  const torch::Tensor expected = torch::autograd::grad({(torch::tanh(exact) * weights).sum()}, {exact})[0];
  EXPECT_LT(largest(got - expected), 1e-6);
}

TEST(TorchTanh, KeepsWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const torch::Tensor y = fast_tanh(torch::tensor({kInfinity, -kInfinity, std::nanf("")}));
  EXPECT_EQ(y[0].item<float>(), 1.0F);
  EXPECT_EQ(y[1].item<float>(), -1.0F);
  EXPECT_TRUE(std::isnan(y[2].item<float>()));
}

TEST(TorchTanh, LeavesOtherTensorsToLibtorch) {
  const torch::Tensor x = inputs(64).view({8, 8});
  EXPECT_EQ(largest(fast_tanh(x.t()) - torch::tanh(x.t())), 0.0);
  EXPECT_EQ(largest(fast_tanh(x.to(torch::kDouble)) - torch::tanh(x.to(torch::kDouble))), 0.0);
}

}  // namespace
}  // namespace murmur
