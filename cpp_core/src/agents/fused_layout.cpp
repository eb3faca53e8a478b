#include "murmur/agents/fused_layout.hpp"

#include <algorithm>
#include <utility>

namespace murmur {
namespace {

/// What moves numbers between the two layouts: calls `matrix(layer, packed layer)` for the weights of every
/// hidden layer, whose two layouts are each other's transpose, and `run(flat offset, packed offset, length)`
/// for what lies alike in both.
template <class Matrix, class Run>
void for_each_part(const std::vector<DenseLayer>& layers, const PackedNet& net, const Matrix& matrix,
                   const Run& run) {
  for (std::size_t l = 0; l < net.hidden.size(); ++l) {
    matrix(layers[l], net.hidden[l]);
    run(layers[l].bias_offset, net.hidden[l].bias_offset, layers[l].outputs);
  }
  const DenseLayer& head = layers.back();
  for (std::size_t o = 0; o < head.outputs; ++o)
    run(head.weight_offset + o * head.inputs, net.head.weight_offset + o * net.head.columns, head.inputs);
  run(head.bias_offset, net.head.bias_offset, head.outputs);
}

template <class Matrix, class Run>
void for_each_part(const FusedLayout& layout, const Matrix& matrix, const Run& run) {
  for_each_part(layout.flat().actor(), layout.actor(), matrix, run);
  for_each_part(layout.flat().critic(), layout.critic(), matrix, run);
  run(layout.flat().log_std_offset(), layout.log_std_offset(), layout.flat().log_std_size());
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
    net.hidden.push_back(layer);
  }
  return net;
}

void FusedLayout::pack(const kernels::KernelSet& kernels, std::span<const float> flat,
                       std::span<float> packed) const {
  std::ranges::fill(packed, 0.0F);
  for_each_part(
      *this,
      [&](const DenseLayer& from, const PackedLayer& to) {
        kernels.transpose({.rows = from.outputs,
                           .columns = from.inputs,
                           .from = flat.data() + from.weight_offset,
                           .from_stride = from.inputs,
                           .to = packed.data() + to.weight_offset,
                           .to_stride = to.columns});
      },
      [&](std::size_t from, std::size_t to, std::size_t length) {
        std::copy_n(flat.data() + from, length, packed.data() + to);
      });
}

void FusedLayout::unpack(const kernels::KernelSet& kernels, std::span<const float> packed,
                         std::span<float> flat) const {
  for_each_part(
      *this,
      [&](const DenseLayer& to, const PackedLayer& from) {
        kernels.transpose({.rows = to.inputs,
                           .columns = to.outputs,
                           .from = packed.data() + from.weight_offset,
                           .from_stride = from.columns,
                           .to = flat.data() + to.weight_offset,
                           .to_stride = to.inputs});
      },
      [&](std::size_t to, std::size_t from, std::size_t length) {
        std::copy_n(packed.data() + from, length, flat.data() + to);
      });
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
