#include "murmur/agents/actor_critic.hpp"

#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>

#include <utility>

#include "murmur/agents/torch_tanh.hpp"

namespace murmur {
namespace {

at::Tensor apply(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kTanh:
      return fast_tanh(x);
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kSilu:
      return at::silu(x);
  }
  return x;
}

}  // namespace

ActorCritic::ActorCritic(PolicyLayout layout, at::Device device) : layout_(std::move(layout)) {
  const auto num_params = static_cast<std::int64_t>(layout_.num_params());
  flat_ = at::zeros({num_params}, at::TensorOptions().dtype(at::kFloat).device(device));
  auto add = [this](const std::vector<DenseLayer>& from, std::vector<Layer>& to) {
    for (std::size_t i = to.size(); i < from.size(); ++i) {
      const DenseLayer& layer = from[i];
      const auto rows = static_cast<std::int64_t>(layer.outputs);
      const auto columns = static_cast<std::int64_t>(layer.inputs);
      // Braced initialisers are evaluated left to right, so the leaves keep the order of the flat vector.
      to.push_back(Layer{leaf(layer.weight_offset, {rows, columns}), leaf(layer.bias_offset, {rows})});
    }
  };
  add(layout_.actor(), actor_);
  // The same tensors, so that autograd adds up what both heads ask of the trunk.
  critic_.assign(actor_.begin(), actor_.begin() + static_cast<std::ptrdiff_t>(layout_.num_shared_layers()));
  add(layout_.critic(), critic_);
}

at::Tensor ActorCritic::leaf(std::size_t offset, std::vector<std::int64_t> shape) {
  std::int64_t size = 1;
  for (const std::int64_t extent : shape) size *= extent;
  // detach(): a view that is itself a leaf, so that autograd treats each weight on its own.
  at::Tensor view = flat_.narrow(0, static_cast<std::int64_t>(offset), size).view(shape).detach();
  view.set_requires_grad(true);
  leaves_.push_back(view);
  offsets_.push_back(offset);
  return view;
}

at::Tensor ActorCritic::policy(const at::Tensor& observations) const {
  return at::linear(hidden(actor_, observations), actor_.back().weight, actor_.back().bias);
}

at::Tensor ActorCritic::value(const at::Tensor& observations) const {
  return at::linear(hidden(critic_, observations), critic_.back().weight, critic_.back().bias);
}

ActorCritic::Outputs ActorCritic::outputs(const at::Tensor& observations) const {
  if (!layout_.spec().shared_trunk) return {policy(observations), value(observations)};
  const at::Tensor trunk = hidden(actor_, observations);
  return {at::linear(trunk, actor_.back().weight, actor_.back().bias),
          at::linear(trunk, critic_.back().weight, critic_.back().bias)};
}

at::Tensor ActorCritic::hidden(const std::vector<Layer>& layers, at::Tensor x) const {
  for (std::size_t i = 0; i + 1 < layers.size(); ++i)
    x = apply(layout_.spec().activation, at::linear(x, layers[i].weight, layers[i].bias));
  return x;
}

}  // namespace murmur
