/// Forward and backward pass of one network on a tile of rows, as phases of a block.
#pragma once

#include "cuda/network_plan.hpp"
#include "cuda/products.hpp"

namespace murmur::cuda {

/// A network and a tile in a block's shared memory. Cheap to make; holds no state of its own.
struct TileNetwork {
  const NetworkPlan& net;
  const TilePlan& tile;
  float* weights;  // shared, net.shared_floats
  float* rows;     // shared, tile.shared_floats

  [[nodiscard]] MURMUR_HOST_DEVICE float* input(int layer) const noexcept {
    return rows + tile.input_at[layer];
  }
  /// The derivative of the activation function at input(layer); SiLU only.
  [[nodiscard]] MURMUR_HOST_DEVICE float* slopes(int layer) const noexcept {
    return rows + tile.slope_at[layer];
  }
  [[nodiscard]] MURMUR_HOST_DEVICE float* out() const noexcept { return rows + tile.out_at; }
  [[nodiscard]] MURMUR_HOST_DEVICE float* gradient() const noexcept { return rows + tile.gradient_at; }

  /// Copy the weights from the flat parameters, with zeros in the padding.
  template <class Block>
  MURMUR_HOST_DEVICE void load_weights(Block& block, const float* params) const {
    block.each([&](int thread) {
      for (int l = 0; l <= net.num_hidden; ++l) {
        const LayerPlan& layer = net.layers[l];
        const int outputs = round_up(layer.outputs, 4);
        for (int o = thread / kLanes; o < outputs; o += kThreads / kLanes) {
          for (int i = thread % kLanes; i < layer.stride; i += kLanes) {
            const bool real = o < layer.outputs && i < layer.inputs;
            weights[layer.weights_at + o * layer.stride + i] =
                real ? params[layer.weights + o * layer.inputs + i] : 0.0F;
          }
        }
        for (int o = thread; o < outputs; o += kThreads)
          weights[layer.bias_at + o] = o < layer.outputs ? params[layer.bias + o] : 0.0F;
      }
    });
  }

  /// From input(0) to out(); leaves in input(1), ... and slopes(1), ... what `backward` needs.
  template <class Block>
  MURMUR_HOST_DEVICE void forward(Block& block) const {
    for (int l = 0; l < net.num_hidden; ++l) {
      block.each([&](int thread) {
        forward_product(thread, net.layers[l], weights + net.layers[l].weights_at,
                        weights + net.layers[l].bias_at, tile.rows, input(l), input(l + 1),
                        net.layers[l + 1].stride, [&](float x, int at) {
                          if (net.activation != Activation::kSilu) return activate(net.activation, x);
                          const Silu y = silu(x);
                          slopes(l + 1)[at] = y.slope;
                          return y.value;
                        });
      });
    }
    block.each([&](int thread) {
      const LayerPlan& head = net.head();
      forward_product(thread, head, weights + head.weights_at, weights + head.bias_at, tile.rows,
                      input(net.num_hidden), out(), tile.out_stride, [](float x, int /*at*/) { return x; });
    });
  }

  /// Push gradient() back through the activations of the last `forward`, which it overwrites, and add to (or
  /// overwrite) this network's part of `sums`, flat as the parameters, in global memory.
  template <class Block>
  MURMUR_HOST_DEVICE void backward(Block& block, bool accumulate, float* sums) const {
    const float* d = gradient();
    int d_stride = tile.out_stride;
    for (int l = net.num_hidden; l >= 0; --l) {
      const LayerPlan& layer = net.layers[l];
      block.each([&](int thread) {
        weight_product(thread, layer, tile.rows, d, d_stride, input(l), accumulate, sums + layer.weights,
                       sums + layer.bias);
      });
      if (l == 0) return;
      block.each([&](int thread) {
        input_product(thread, layer, weights + layer.weights_at, tile.rows, d, d_stride, input(l),
                      [&](int at) {
                        return net.activation == Activation::kSilu ? slopes(l)[at]
                                                                   : slope(net.activation, input(l)[at]);
                      });
      });
      d = input(l);
      d_stride = layer.stride;
    }
  }
};

}  // namespace murmur::cuda
