/// The inner loops of small MLPs, compiled once per instruction set and chosen at run time.
///
/// Every kernel computes each of its results by one fixed sequence of correctly rounded operations on 16
/// lanes, whatever the machine's own vectors are: AVX-512, AVX2, NEON and plain scalar code give the same
/// bytes (docs/adr/0010). Nothing here allocates, throws or checks; callers own all memory.
///
/// Matrices are row-major. `columns` are always a multiple of kLanes; what lies beyond the real width is zero
/// and stays zero, so that no kernel has a tail to treat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace murmur::kernels {

/// Floats per virtual vector: one cache line, one AVX-512 register.
inline constexpr std::size_t kLanes = 16;

[[nodiscard]] constexpr std::size_t padded(std::size_t width) noexcept {
  return (width + kLanes - 1) / kLanes * kLanes;
}

enum class Nonlinearity : std::uint8_t { kTanh, kRelu, kSilu };

/// out = f(x W + b)
struct DenseForward {
  std::size_t rows, inputs, columns;
  const float* x;  // [rows, inputs], rows `x_stride` apart
  std::size_t x_stride;
  const float* weights;  // [inputs, columns]
  const float* bias;     // [columns]
  Nonlinearity f;
  float* out;    // [rows, columns]
  float* slope;  // [rows, columns], SiLU only: receives f'; null where no backward pass will follow
};

/// h = (d W) * f', where f' follows from what h held before: f(...), or what the forward pass left of it, as
/// SiLU falls and then rises, so that its value does not tell its slope (docs/adr/0011). In place: one array
/// less to pass through the first-level cache.
struct DenseBackward {
  std::size_t rows, inputs, columns;
  const float* d;  // [rows, inputs], rows `d_stride` apart
  std::size_t d_stride;
  const float* weights;  // [inputs, columns]
  Nonlinearity f;
  float* h;  // [rows, columns]: f(...), of SiLU the slopes; replaced by the result
};

/// gradient (+)= x^T d, summed over rows in order
struct WeightGradient {
  std::size_t rows, inputs, columns;
  const float* x;  // [rows, inputs], rows `x_stride` apart
  std::size_t x_stride;
  const float* d;   // [rows, columns]
  float* gradient;  // [inputs, columns]
  bool accumulate;  // false: overwrite
};

/// sums (+)= the columns of d, summed over rows in order
struct ColumnSums {
  std::size_t rows, columns;
  const float* d;  // [rows, columns]
  float* sums;     // [columns]
  bool accumulate;
};

/// out = x W^T + b for few outputs
struct HeadForward {
  std::size_t rows, columns, outputs;
  const float* x;        // [rows, columns]
  const float* weights;  // [outputs, columns]
  const float* bias;     // [outputs]
  float* out;            // [rows, outputs]
};

/// to = from^T
struct Transpose {
  std::size_t rows, columns;  // of `from`, of any width
  const float* from;          // [rows, columns], rows `from_stride` apart
  std::size_t from_stride;
  float* to;  // [columns, rows], rows `to_stride` apart
  std::size_t to_stride;
};

/// Sums over samples, not yet divided by their number; the fields are those of PpoLossStats.
struct LossSums {
  double policy_loss = 0.0;
  double value_loss = 0.0;
  double entropy = 0.0;
  double approx_kl = 0.0;
  double clip_fraction = 0.0;
  double base_kl = 0.0;
};

/// Clipped surrogate and entropy bonus of B samples in a minibatch of 1 / inverse_n.
struct PolicyLoss {
  std::size_t rows, outputs;
  const float* policy;        // [rows, outputs]: logits or means
  const float* actions;       // categorical: [rows], the index; Gaussian: [rows, outputs]
  const float* log_probs;     // [rows], of the behaviour policy
  const float* advantages;    // [rows], normalised
  const float* log_std;       // [outputs], Gaussian only
  const float* base_policy;   // [rows, outputs], what the KL penalty holds on to; null: no penalty
  const float* base_log_std;  // [outputs], Gaussian only
  float clip_range, entropy_coef, kl_penalty, inverse_n;
  float* gradient;          // [rows, outputs], d loss / d policy
  float* log_std_gradient;  // [outputs], Gaussian only; the surrogate's part is added
  float* scratch;           // [kHeadScratch * outputs]
};

inline constexpr std::size_t kHeadScratch = 4 * kLanes;

/// Half the squared error, clipped if `clip` > 0.
struct ValueLoss {
  std::size_t rows;
  const float* values;      // [rows], predicted now
  const float* old_values;  // [rows], predicted by the behaviour critic
  const float* returns;     // [rows]
  float clip;
  float scale;      // value_coef / B
  float* gradient;  // [rows], d loss / d values
};

/// Pairs of uniform numbers to draw for `n` Gaussian ones.
[[nodiscard]] constexpr std::size_t num_gaussian_pairs(std::size_t n) noexcept {
  return padded((n + 1) / 2);
}

/// Draw an action per row and its log-probability.
struct Sample {
  std::size_t rows, outputs;
  const float* policy;    // [rows, outputs]: logits or means
  const float* log_std;   // [outputs], Gaussian only
  const float* uniforms;  // in [0, 1): categorical [rows]; Gaussian [2, num_gaussian_pairs(rows * outputs)]
  float* actions;         // categorical: [rows], the index; Gaussian: [rows, outputs]
  float* log_probs;       // [rows]
  float* scratch;         // [kHeadScratch * outputs]; Gaussian: and 2 * num_gaussian_pairs(...) more
};

/// One step of Adam; see adam_step in agents/adam.hpp, whose bytes this gives.
struct Adam {
  std::size_t size;       // a multiple of kLanes
  const float* gradient;  // [size]
  float factor;           // multiplies the gradient first
  float beta1, beta2, rest1, rest2, step_size, root_scale, epsilon;
  float* first;   // [size]
  float* second;  // [size]
  float* params;  // [size]
};

/// One implementation of everything.
struct KernelSet {
  std::string_view name;  ///< "AVX-512", "AVX2", "NEON", "scalar"
  void (*dense_forward)(const DenseForward&) noexcept;
  void (*dense_backward)(const DenseBackward&) noexcept;
  void (*weight_gradient)(const WeightGradient&) noexcept;
  void (*column_sums)(const ColumnSums&) noexcept;
  void (*head_forward)(const HeadForward&) noexcept;
  void (*transpose)(const Transpose&) noexcept;
  LossSums (*categorical_loss)(const PolicyLoss&) noexcept;
  LossSums (*gaussian_loss)(const PolicyLoss&) noexcept;
  LossSums (*value_loss)(const ValueLoss&) noexcept;
  void (*sample_categorical)(const Sample&) noexcept;
  void (*sample_gaussian)(const Sample&) noexcept;
  /// Add `addend` [size] to `sum` [size].
  void (*add)(std::size_t size, const float* addend, float* sum) noexcept;
  /// Sum of squares of `x` [size], in double.
  double (*sum_of_squares)(std::size_t size, const float* x) noexcept;
  void (*adam)(const Adam&) noexcept;
  /// tanh, exp and log elementwise on x [size], for tests of their accuracy. `size`: a multiple of kLanes.
  void (*tanh)(std::size_t size, const float* x, float* out) noexcept;
  void (*exp)(std::size_t size, const float* x, float* out) noexcept;
  void (*log)(std::size_t size, const float* x, float* out) noexcept;
  /// x * sigmoid(x) and its derivative, likewise.
  void (*silu)(std::size_t size, const float* x, float* out, float* slope) noexcept;
};

/// Every set that this machine can run, the fastest first; the last is scalar, the oracle.
[[nodiscard]] std::span<const KernelSet* const> available_kernels() noexcept;

/// The fastest set of this machine.
[[nodiscard]] inline const KernelSet& best_kernels() noexcept {
  return *available_kernels().front();
}

/// Whether the machine has vectors with fused multiply-add; without them the scalar set is all there is, and
/// slower than libtorch.
[[nodiscard]] bool has_vector_kernels() noexcept;

}  // namespace murmur::kernels
