/// Where each weight of an actor-critic lies in the flat parameter vector.
///
/// Order, fixed for good because peers exchange these bytes and every back end reads them:
///   actor layer 0 weight [out, in] row-major, actor layer 0 bias [out], actor layer 1 ..., actor head,
///   log_std [A] (continuous actions only),
///   critic layer 0 weight, critic layer 0 bias, ..., critic head (one output).
/// With a shared trunk the hidden layers come once, where the actor's would be, and of the critic only its
/// head.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "murmur/agents/ppo_config.hpp"

namespace murmur {

/// What the network must take in and give out.
struct PolicySpec {
  std::size_t obs_dim = 0;
  bool discrete = true;
  std::size_t action_dim = 0;  ///< number of choices if discrete, else components of the action
  std::vector<std::int64_t> hidden;
  Activation activation = Activation::kTanh;
  bool shared_trunk = false;  ///< hidden layers in common (Huang et al. 2022, detail 13)
};

/// One affine map `y = W x + b` inside the flat vector.
struct DenseLayer {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  std::size_t weight_offset = 0;  ///< W: [outputs, inputs]
  std::size_t bias_offset = 0;    ///< b: [outputs]
};

/// A weight, a bias or log_std, as a run of the flat vector.
struct NamedTensor {
  std::string name;  ///< such as "actor layer 1 bias"
  std::size_t offset = 0;
  std::size_t size = 0;
};

class PolicyLayout {
 public:
  /// Throws std::invalid_argument when a dimension is zero.
  explicit PolicyLayout(PolicySpec spec);

  [[nodiscard]] const PolicySpec& spec() const noexcept { return spec_; }
  [[nodiscard]] const std::vector<DenseLayer>& actor() const noexcept { return actor_; }
  /// With a shared trunk, all but the last of these are those of the actor.
  [[nodiscard]] const std::vector<DenseLayer>& critic() const noexcept { return critic_; }
  /// How many leading layers of the critic are the actor's: all but the head, or none.
  [[nodiscard]] std::size_t num_shared_layers() const noexcept {
    return spec_.shared_trunk ? spec_.hidden.size() : 0;
  }
  /// Offset of log_std [A]; meaningless for discrete actions.
  [[nodiscard]] std::size_t log_std_offset() const noexcept { return log_std_offset_; }
  [[nodiscard]] std::size_t log_std_size() const noexcept { return spec_.discrete ? 0 : spec_.action_dim; }
  [[nodiscard]] std::size_t num_params() const noexcept { return num_params_; }

  /// All tensors in the order of the flat vector, which they tile.
  [[nodiscard]] std::vector<NamedTensor> tensors() const;

  /// Name the tensor that holds flat index `index`, for error messages.
  [[nodiscard]] std::string describe(std::size_t index) const;

 private:
  /// Append layers to the flat vector until `layers` has all hidden ones and a head of `outputs`.
  void place(std::size_t outputs, std::vector<DenseLayer>& layers);

  PolicySpec spec_;
  std::vector<DenseLayer> actor_;
  std::vector<DenseLayer> critic_;
  std::size_t log_std_offset_ = 0;
  std::size_t num_params_ = 0;
};

}  // namespace murmur
