#include "cuda/network_plan.hpp"

#include <string>
#include <vector>

#include "cuda/shared_budget.hpp"
#include "murmur/base/check.hpp"
#include "murmur/cuda/cuda_support.hpp"

namespace murmur::cuda {
namespace {

constexpr int kMaxOutputs = 64;  // heads are treated row by row

NetworkPlan plan_network(const std::vector<DenseLayer>& layers, Activation activation) {
  NetworkPlan plan;
  plan.num_hidden = static_cast<int>(layers.size()) - 1;
  plan.activation = activation;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto inputs = static_cast<int>(layers[l].inputs), outputs = static_cast<int>(layers[l].outputs);
    LayerPlan& layer = plan.layers[l];
    layer = {.inputs = inputs,
             .outputs = outputs,
             .weights = static_cast<int>(layers[l].weight_offset),
             .bias = static_cast<int>(layers[l].bias_offset),
             .stride = row_stride(inputs)};
    layer.weights_at = plan.shared_floats;
    plan.shared_floats += round_up(outputs, 4) * layer.stride;
    layer.bias_at = plan.shared_floats;
    plan.shared_floats += round_up(outputs, 4);
  }
  return plan;
}

PolicyPlan plan_unchecked(const PolicyLayout& layout, std::size_t shared_limit) {
  const PolicySpec& spec = layout.spec();
  PolicyPlan plan;
  plan.actor = plan_network(layout.actor(), spec.activation);
  plan.critic = plan_network(layout.critic(), spec.activation);
  plan.obs_dim = static_cast<int>(spec.obs_dim);
  plan.discrete = spec.discrete;
  plan.shared_trunk = spec.shared_trunk;
  plan.outputs = static_cast<int>(spec.action_dim);
  plan.action_width = spec.discrete ? 1 : plan.outputs;
  plan.log_std = static_cast<int>(layout.log_std_offset());
  plan.num_params = static_cast<int>(layout.num_params());
  plan.shared_limit = shared_limit;
  return plan;
}

}  // namespace

TilePlan plan_tile(const PolicyPlan& plan, int rows) {
  TilePlan tile;
  tile.rows = rows;
  for (int l = 0; l <= plan.actor.num_hidden; ++l) {  // both networks have the same hidden layers
    tile.input_at[l] = tile.shared_floats;
    tile.shared_floats += rows * plan.actor.layers[l].stride;
  }
  for (int l = 1; l <= plan.actor.num_hidden && plan.actor.activation == Activation::kSilu; ++l) {
    tile.slope_at[l] = tile.shared_floats;
    tile.shared_floats += rows * plan.actor.layers[l].stride;
  }
  tile.out_stride = round_up(plan.outputs, 4);
  tile.out_at = tile.shared_floats;
  tile.shared_floats += rows * tile.out_stride;
  tile.gradient_at = tile.shared_floats;
  tile.shared_floats += rows * tile.out_stride;
  tile.log_std_at = tile.shared_floats;
  if (!plan.discrete) tile.shared_floats += rows * tile.out_stride;
  return tile;
}

int rows_that_fit(const PolicyPlan& plan, int wanted, int least, std::size_t other_bytes) {
  for (int rows = wanted; rows >= least; rows /= 2) {
    const auto floats = static_cast<std::size_t>(plan.weight_floats() + plan_tile(plan, rows).shared_floats);
    if (floats * sizeof(float) + other_bytes <= plan.shared_limit) return rows;
  }
  return 0;
}

std::string why_not_cuda_kernels(const PolicyLayout& layout, std::size_t shared_limit) {
  const PolicySpec& spec = layout.spec();
  if (spec.hidden.size() > static_cast<std::size_t>(kMaxHidden)) {
    return std::to_string(spec.hidden.size()) + " hidden layers are more than " + std::to_string(kMaxHidden);
  }
  if (spec.action_dim > static_cast<std::size_t>(kMaxOutputs)) {
    return "a head of " + std::to_string(spec.action_dim) + " outputs is wider than " +
           std::to_string(kMaxOutputs);
  }
  std::size_t weights = 0;
  for (const DenseLayer& layer : layout.actor()) weights += layer.inputs * layer.outputs;
  const bool hopeless = weights * sizeof(float) > shared_limit;  // also keeps the arithmetic below in an int
  if (hopeless ||
      rows_that_fit(plan_unchecked(layout, shared_limit), kLeastRows, kLeastRows, kReservedBytes) == 0) {
    return "its " + std::to_string(weights) + " weights do not fit the " +
           std::to_string(shared_limit / 1024) + " KB of a GPU block's shared memory";
  }
  return {};
}

PolicyPlan plan_policy(const PolicyLayout& layout, std::size_t shared_limit) {
  if (const std::string why_not = why_not_cuda_kernels(layout, shared_limit); !why_not.empty()) {
    throw_invalid("no CUDA kernels for this network: " + why_not);
  }
  return plan_unchecked(layout, shared_limit);
}

}  // namespace murmur::cuda
