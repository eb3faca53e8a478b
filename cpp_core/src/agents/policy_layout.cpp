#include "murmur/agents/policy_layout.hpp"

#include <stdexcept>
#include <utility>

namespace murmur {

PolicyLayout::PolicyLayout(PolicySpec spec) : spec_(std::move(spec)) {
  if (spec_.obs_dim == 0) throw std::invalid_argument("obs_dim must be at least 1, got 0");
  if (spec_.action_dim == 0) throw std::invalid_argument("action_dim must be at least 1, got 0");
  actor_ = place(spec_.action_dim);
  log_std_offset_ = num_params_;
  num_params_ += log_std_size();
  critic_ = place(1);
}

std::vector<DenseLayer> PolicyLayout::place(std::size_t outputs) {
  std::vector<DenseLayer> layers;
  std::size_t inputs = spec_.obs_dim;
  auto add = [&](std::size_t width) {
    const std::size_t weights = inputs * width;
    layers.push_back({inputs, width, num_params_, num_params_ + weights});
    num_params_ += weights + width;
    inputs = width;
  };
  for (const std::int64_t units : spec_.hidden) {
    if (units < 1) throw std::invalid_argument("hidden must be at least 1, got " + std::to_string(units));
    add(static_cast<std::size_t>(units));
  }
  add(outputs);
  return layers;
}

std::string PolicyLayout::describe(std::size_t index) const {
  auto find = [&](const std::vector<DenseLayer>& layers, const std::string& net) -> std::string {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const DenseLayer& layer = layers[i];
      if (index < layer.weight_offset || index >= layer.bias_offset + layer.outputs) continue;
      return net + " layer " + std::to_string(i) + (index < layer.bias_offset ? " weight" : " bias");
    }
    return {};
  };
  if (std::string name = find(actor_, "actor"); !name.empty()) return name;
  if (std::string name = find(critic_, "critic"); !name.empty()) return name;
  return index < num_params_ ? "log_std" : "out of range";
}

}  // namespace murmur
