#include "murmur/agents/policy_layout.hpp"

#include <stdexcept>
#include <utility>

namespace murmur {

PolicyLayout::PolicyLayout(PolicySpec spec) : spec_(std::move(spec)) {
  if (spec_.obs_dim == 0) throw std::invalid_argument("obs_dim must be at least 1, got 0");
  if (spec_.action_dim == 0) throw std::invalid_argument("action_dim must be at least 1, got 0");
  if (spec_.shared_trunk && spec_.hidden.empty())
    throw std::invalid_argument("shared_trunk needs at least one hidden layer");
  place(spec_.action_dim, actor_);
  log_std_offset_ = num_params_;
  num_params_ += log_std_size();
  critic_.assign(actor_.begin(), actor_.begin() + static_cast<std::ptrdiff_t>(num_shared_layers()));
  place(1, critic_);
}

void PolicyLayout::place(std::size_t outputs, std::vector<DenseLayer>& layers) {
  auto add = [&](std::size_t width) {
    const std::size_t inputs = layers.empty() ? spec_.obs_dim : layers.back().outputs;
    const std::size_t weights = inputs * width;
    layers.push_back({inputs, width, num_params_, num_params_ + weights});
    num_params_ += weights + width;
  };
  while (layers.size() < spec_.hidden.size()) {
    const std::int64_t units = spec_.hidden[layers.size()];
    if (units < 1) throw std::invalid_argument("hidden must be at least 1, got " + std::to_string(units));
    add(static_cast<std::size_t>(units));
  }
  add(outputs);
}

std::vector<NamedTensor> PolicyLayout::tensors() const {
  std::vector<NamedTensor> found;
  auto add = [&](const std::vector<DenseLayer>& layers, std::size_t first, const std::string& net) {
    for (std::size_t i = first; i < layers.size(); ++i) {
      const DenseLayer& layer = layers[i];
      const std::string name = (i < num_shared_layers() ? "trunk" : net) + " layer " + std::to_string(i);
      found.push_back({name + " weight", layer.weight_offset, layer.inputs * layer.outputs});
      found.push_back({name + " bias", layer.bias_offset, layer.outputs});
    }
  };
  add(actor_, 0, "actor");
  if (log_std_size() > 0) found.push_back({"log_std", log_std_offset_, log_std_size()});
  add(critic_, num_shared_layers(), "critic");
  return found;
}

std::string PolicyLayout::describe(std::size_t index) const {
  for (const NamedTensor& tensor : tensors())
    if (index >= tensor.offset && index < tensor.offset + tensor.size) return tensor.name;
  return "out of range";
}

}  // namespace murmur
