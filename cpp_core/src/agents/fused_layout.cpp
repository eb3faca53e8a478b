#include "murmur/agents/fused_layout.hpp"

#include <algorithm>
#include <utility>

namespace murmur {
namespace {

/// Call `visit(flat index, packed index)` for every weight and bias of `net`.
template <class Visit>
void for_each_weight(const std::vector<DenseLayer>& layers, const PackedNet& net, const Visit& visit) {
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const bool is_head = l + 1 == layers.size();
    const DenseLayer& from = layers[l];
    const PackedLayer& to = is_head ? net.head : net.hidden[l];
    for (std::size_t o = 0; o < from.outputs; ++o) {
      for (std::size_t i = 0; i < from.inputs; ++i) {
        const std::size_t at = is_head ? o * to.columns + i : i * to.columns + o;
        visit(from.weight_offset + o * from.inputs + i, to.weight_offset + at);
      }
      visit(from.bias_offset + o, to.bias_offset + o);
    }
  }
}

template <class Visit>
void for_each_parameter(const FusedLayout& layout, const Visit& visit) {
  for_each_weight(layout.flat().actor(), layout.actor(), visit);
  for_each_weight(layout.flat().critic(), layout.critic(), visit);
  for (std::size_t j = 0; j < layout.flat().log_std_size(); ++j)
    visit(layout.flat().log_std_offset() + j, layout.log_std_offset() + j);
}

}  // namespace

FusedLayout::FusedLayout(PolicyLayout layout) : layout_(std::move(layout)) {
  const std::size_t outputs = layout_.spec().action_dim;
  const bool shared = layout_.spec().shared_trunk;
  actor_ = place(layout_.actor(), shared ? outputs + 1 : outputs);
  log_std_offset_ = size_;
  size_ += kernels::padded(layout_.log_std_size());
  if (shared) {
    joint_ = actor_;
    actor_ = joint_outputs(0, outputs);
    critic_ = joint_outputs(outputs, 1);
  } else {
    critic_ = place(layout_.critic(), 1);
  }
}

PackedNet FusedLayout::joint_outputs(std::size_t first, std::size_t count) const {
  PackedNet net = joint_;
  net.head.outputs = count;
  net.head.weight_offset += first * net.head.columns;
  net.head.bias_offset += first;
  return net;
}

PackedNet FusedLayout::place(const std::vector<DenseLayer>& layers, std::size_t outputs) {
  PackedNet net;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const bool is_head = l + 1 == layers.size();
    PackedLayer layer{.inputs = layers[l].inputs, .outputs = is_head ? outputs : layers[l].outputs};
    layer.columns = kernels::padded(is_head ? layer.inputs : layer.outputs);
    layer.weight_offset = size_;
    size_ += (is_head ? layer.outputs : layer.inputs) * layer.columns;
    layer.bias_offset = size_;
    size_ += kernels::padded(layer.outputs);
    if (is_head) {
      net.head = layer;
      break;
    }
    if (l > 0) {
      layer.backward_offset = backward_size_;
      backward_size_ += layer.outputs * kernels::padded(layer.inputs);
    }
    net.widest = std::max(net.widest, layer.columns);
    net.hidden.push_back(layer);
  }
  return net;
}

void FusedLayout::pack(std::span<const float> flat, std::span<float> packed) const {
  std::ranges::fill(packed, 0.0F);
  for_each_parameter(*this, [&](std::size_t from, std::size_t to) { packed[to] = flat[from]; });
}

void FusedLayout::unpack(std::span<const float> packed, std::span<float> flat) const {
  for_each_parameter(*this, [&](std::size_t to, std::size_t from) { flat[to] = packed[from]; });
}

void FusedLayout::transpose(const kernels::KernelSet& kernels, std::span<const float> packed,
                            std::span<float> backward) const noexcept {
  for (const PackedNet* net : {&actor_, &critic_}) {
    if (net == &critic_ && layout_.spec().shared_trunk) return;  // done with the actor
    for (std::size_t l = 1; l < net->hidden.size(); ++l) {
      const PackedLayer& layer = net->hidden[l];
      kernels.transpose({.rows = layer.inputs,
                         .columns = layer.outputs,
                         .from = packed.data() + layer.weight_offset,
                         .from_stride = layer.columns,
                         .to = backward.data() + layer.backward_offset,
                         .to_stride = kernels::padded(layer.inputs)});
    }
  }
}

}  // namespace murmur
