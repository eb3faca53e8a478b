#include "murmur/agents/fused_network.hpp"

namespace murmur {

FusedScratch::FusedScratch(const FusedLayout& layout) {
  const std::size_t width = layout.actor().head.outputs;  // the critic has one, a joint head one more
  const bool keeps_slopes = layout.flat().spec().activation == Activation::kSilu;
  for (const PackedLayer& layer : layout.actor().hidden) {
    h.emplace_back(kFusedBlock * layer.columns);
    if (keeps_slopes) slope.emplace_back(kFusedBlock * layer.columns);
  }
  for (auto* array : {&outputs, &output_gradient}) array->resize(kFusedBlock * (width + 1));
  for (auto* array : {&policy, &policy_gradient}) array->resize(kFusedBlock * width);
  for (auto* array : {&value, &value_gradient}) array->resize(kFusedBlock);
  head.resize(kernels::kHeadScratch * width);
}

void FusedNetwork::forward(const float* params, const float* x, std::size_t rows, FusedScratch& scratch,
                           float* out, Keep keep) const noexcept {
  const bool keeps_slopes = keep == Keep::kForBackward && f_ == kernels::Nonlinearity::kSilu;
  std::size_t stride = net_.hidden.front().inputs;
  for (std::size_t l = 0; l < net_.hidden.size(); ++l) {
    const PackedLayer& layer = net_.hidden[l];
    kernels_.dense_forward({.rows = rows,
                            .inputs = layer.inputs,
                            .columns = layer.columns,
                            .x = x,
                            .x_stride = stride,
                            .weights = params + layer.weight_offset,
                            .bias = params + layer.bias_offset,
                            .f = f_,
                            .out = scratch.h[l].data(),
                            .slope = keeps_slopes ? scratch.slope[l].data() : nullptr});
    x = scratch.h[l].data();
    stride = layer.columns;
  }
  kernels_.head_forward({.rows = rows,
                         .columns = net_.head.columns,
                         .outputs = net_.head.outputs,
                         .x = x,
                         .weights = params + net_.head.weight_offset,
                         .bias = params + net_.head.bias_offset,
                         .out = out});
}

void FusedNetwork::backward(const float* params, const float* backward_weights, const float* x,
                            std::size_t rows, FusedScratch& scratch, float* gradient,
                            bool accumulate) const noexcept {
  head_backward(params, rows, scratch, gradient, accumulate);
  for (std::size_t l = net_.hidden.size(); l-- > 0;) {
    const PackedLayer& layer = net_.hidden[l];
    const float* const delta = slope_then_delta(scratch, l);
    kernels_.weight_gradient({.rows = rows,
                              .inputs = layer.inputs,
                              .columns = layer.columns,
                              .x = l == 0 ? x : scratch.h[l - 1].data(),
                              .x_stride = l == 0 ? layer.inputs : net_.hidden[l - 1].columns,
                              .d = delta,
                              .gradient = gradient + layer.weight_offset,
                              .accumulate = accumulate});
    kernels_.column_sums({.rows = rows,
                          .columns = layer.columns,
                          .d = delta,
                          .sums = gradient + layer.bias_offset,
                          .accumulate = accumulate});
    if (l == 0) return;
    kernels_.dense_backward({.rows = rows,
                             .inputs = layer.outputs,
                             .columns = net_.hidden[l - 1].columns,
                             .d = delta,
                             .d_stride = layer.columns,
                             .weights = backward_weights + layer.backward_offset,
                             .f = f_,
                             .h = slope_then_delta(scratch, l - 1)});
  }
}

void FusedNetwork::head_backward(const float* params, std::size_t rows, FusedScratch& scratch,
                                 float* gradient, bool accumulate) const noexcept {
  const PackedLayer& head = net_.head;
  const float* const d = scratch.output_gradient.data();
  const float* const h = scratch.h[net_.hidden.size() - 1].data();
  // The gradient of the weights [outputs, columns] is d^T h: the roles of input and delta are swapped.
  kernels_.weight_gradient({.rows = rows,
                            .inputs = head.outputs,
                            .columns = head.columns,
                            .x = d,
                            .x_stride = head.outputs,
                            .d = h,
                            .gradient = gradient + head.weight_offset,
                            .accumulate = accumulate});
  for (std::size_t o = 0; o < head.outputs; ++o) {
    float sum = accumulate ? gradient[head.bias_offset + o] : 0.0F;
    for (std::size_t row = 0; row < rows; ++row) sum += d[row * head.outputs + o];
    gradient[head.bias_offset + o] = sum;
  }
  kernels_.dense_backward({.rows = rows,
                           .inputs = head.outputs,
                           .columns = head.columns,
                           .d = d,
                           .d_stride = head.outputs,
                           .weights = params + head.weight_offset,
                           .f = f_,
                           .h = slope_then_delta(scratch, net_.hidden.size() - 1)});
}

}  // namespace murmur
