#include "murmur/agents/torch_tanh.hpp"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_backward.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "murmur/kernels/kernel_set.hpp"

namespace murmur {
namespace {

at::Tensor tanh_values(const at::Tensor& x) {
  at::Tensor out = at::empty_like(x);
  const auto size = static_cast<std::size_t>(x.numel());
  const std::size_t whole = size / kernels::kLanes * kernels::kLanes;
  const float* const from = x.const_data_ptr<float>();
  float* const to = out.mutable_data_ptr<float>();
  const kernels::KernelSet& kernels = kernels::best_kernels();
  kernels.tanh(whole, from, to);
  if (whole < size) {
    alignas(64) std::array<float, kernels::kLanes> tail{};
    std::copy(from + whole, from + size, tail.begin());
    kernels.tanh(kernels::kLanes, tail.data(), tail.data());
    std::copy_n(tail.begin(), size - whole, to + whole);
  }
  return out;
}

/// d tanh(x) / dx = 1 - tanh(x)^2, which libtorch knows.
struct Tanh : torch::autograd::Function<Tanh> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
    at::Tensor out = tanh_values(x);
    context->save_for_backward({out});
    return out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    return {at::tanh_backward(gradients[0], context->get_saved_variables()[0])};
  }
};

}  // namespace

at::Tensor fast_tanh(const at::Tensor& x) {
  if (!x.is_cpu() || x.scalar_type() != at::kFloat || !x.is_contiguous()) return at::tanh(x);
  return at::GradMode::is_enabled() && x.requires_grad() ? Tanh::apply(x) : tanh_values(x);
}

}  // namespace murmur
