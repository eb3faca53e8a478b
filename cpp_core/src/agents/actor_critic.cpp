#include "murmur/agents/actor_critic.hpp"

#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include <utility>

namespace murmur {

ActorCritic::ActorCritic(PolicyLayout layout, at::Device device) : layout_(std::move(layout)) {
  const auto num_params = static_cast<std::int64_t>(layout_.num_params());
  flat_ = at::zeros({num_params}, at::TensorOptions().dtype(at::kFloat).device(device));
  auto add = [this](const std::vector<DenseLayer>& from, std::vector<Layer>& to) {
    for (const DenseLayer& layer : from) {
      const auto rows = static_cast<std::int64_t>(layer.outputs);
      const auto columns = static_cast<std::int64_t>(layer.inputs);
      // Braced initialisers are evaluated left to right, so the leaves keep the order of the flat vector.
      to.push_back(Layer{leaf(layer.weight_offset, {rows, columns}), leaf(layer.bias_offset, {rows})});
    }
  };
  add(layout_.actor(), actor_);
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
  return forward(actor_, observations);
}

at::Tensor ActorCritic::value(const at::Tensor& observations) const {
  return forward(critic_, observations);
}

at::Tensor ActorCritic::forward(const std::vector<Layer>& layers, at::Tensor x) const {
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
    x = at::linear(x, layers[i].weight, layers[i].bias);
    x = layout_.spec().activation == Activation::kTanh ? at::tanh(x) : at::relu(x);
  }
  return at::linear(x, layers.back().weight, layers.back().bias);
}

}  // namespace murmur
