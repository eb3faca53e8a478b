/// Where CUDA kernels keep a network: parameters flat in global memory as PolicyLayout has them, and a copy
/// with tiles of activations in a block's shared memory.
#pragma once

#include <cstddef>

#include "cuda/block.hpp"
#include "murmur/agents/policy_layout.hpp"

namespace murmur::cuda {

inline constexpr int kMaxHidden = 4;

/// Rows are padded to whole vectors of four, and four floats more, so that eight threads that read eight rows
/// hit different banks.
MURMUR_HOST_DEVICE constexpr int row_stride(int width) noexcept {
  return round_up(width, 4) + 4;
}

struct LayerPlan {
  int inputs = 0, outputs = 0;
  int weights = 0, bias = 0;        // offsets in the flat parameters; weights are [outputs, inputs]
  int stride = 0;                   // of a row of its weights, and of its input, in shared memory
  int weights_at = 0, bias_at = 0;  // offsets in shared memory, in floats, from where the weights begin
};

/// One network. Its last layer is the head, which has no activation function.
struct NetworkPlan {
  int num_hidden = 0;
  LayerPlan layers[kMaxHidden + 1];
  int shared_floats = 0;  // of its weights
  Activation activation = Activation::kTanh;

  [[nodiscard]] MURMUR_HOST_DEVICE const LayerPlan& head() const noexcept { return layers[num_hidden]; }
};

/// Activations of a tile of rows in shared memory; offsets in floats from where the tile begins.
struct TilePlan {
  int rows = 0;
  int input_at[kMaxHidden + 1] = {};  // input of each layer, [rows, layer.stride]; 0: the observations
  int slope_at[kMaxHidden + 1] = {};  // SiLU only: its derivative at each input but the first, likewise
  int out_at = 0, gradient_at = 0;    // [rows, out_stride], of the head's outputs
  int log_std_at = 0;                 // [rows, out_stride], gradients of log_std; continuous only
  int out_stride = 0;
  int shared_floats = 0;
};

struct PolicyPlan {
  NetworkPlan actor, critic;
  int obs_dim = 0;
  bool discrete = true;
  bool shared_trunk = false;  // both networks have the same hidden parameters, and each computes them
  int outputs = 0;            // of the actor's head
  int action_width = 0;       // floats per action
  int log_std = 0;            // offset of log_std [outputs] in the flat parameters; continuous only
  int num_params = 0;
  std::size_t shared_limit = 0;  // bytes that a block may have

  [[nodiscard]] MURMUR_HOST_DEVICE int weight_floats() const noexcept {
    return actor.shared_floats > critic.shared_floats ? actor.shared_floats : critic.shared_floats;
  }
};

/// Throws std::invalid_argument when `why_not_cuda_kernels` says something.
[[nodiscard]] PolicyPlan plan_policy(const PolicyLayout& layout, std::size_t shared_limit);

/// The tile of `rows` rows that both networks can use.
[[nodiscard]] TilePlan plan_tile(const PolicyPlan& plan, int rows);

/// The most rows of `wanted`, wanted / 2, ... and at least `least`, whose tile fits beside the weights and
/// `other_bytes`; 0 if none does.
[[nodiscard]] int rows_that_fit(const PolicyPlan& plan, int wanted, int least, std::size_t other_bytes);

/// Rows of a tile of the update: the most, and the fewest (kLossSlots).
inline constexpr int kMostRows = 64, kLeastRows = 16;

}  // namespace murmur::cuda
