/// The gradient of the PPO loss over one minibatch, chunk by chunk; optimizer_step.hpp adds the chunks.
#pragma once

#include "cuda/iteration.hpp"
#include "cuda/moments.hpp"
#include "cuda/shared_budget.hpp"
#include "cuda/tile_network.hpp"

namespace murmur::cuda {

/// Samples per chunk of a minibatch: a chunk is one block's work for one network. Fixed by the minibatch
/// alone, so that the order of additions is the same on every device.
inline constexpr int kMaxChunks = 256;
[[nodiscard]] MURMUR_HOST_DEVICE constexpr int chunk_rows(int minibatch) noexcept {
  const int even = round_up((minibatch + kMaxChunks - 1) / kMaxChunks, 64);
  return even < 64 ? 64 : even;
}
[[nodiscard]] MURMUR_HOST_DEVICE constexpr int num_chunks(int minibatch) noexcept {
  return (minibatch + chunk_rows(minibatch) - 1) / chunk_rows(minibatch);
}

/// Gradients of a chunk: where both networks have the same hidden layers, each block writes one of its own,
/// in which what only the other network has stays zero.
[[nodiscard]] MURMUR_HOST_DEVICE constexpr int gradients_per_chunk(const PolicyPlan& plan) noexcept {
  return plan.shared_trunk ? 2 : 1;
}

/// Loss terms in the order of `loss_sums`.
enum LossTerm : int { kPolicyLoss, kEntropy, kApproxKl, kClipped, kBaseKl, kValueLoss };

/// Grid: steps * chunks blocks. The moments of each minibatch's advantages, chunk by chunk.
struct AdvantageMoments {
  static constexpr std::size_t kShared = kMomentsScratch * sizeof(double);
  int minibatch;             // samples
  int num_samples;           // of the rollout
  const StepInputs* inputs;  // [steps]
  const float* advantages;
  const Control* control;
  Moments* chunks;  // [steps, moment chunks]

  template <class Block>
  MURMUR_HOST_DEVICE void operator()(Block& block) const {
    if (control->closed()) return;
    const int per_step = num_moment_chunks(minibatch);
    const int step = block.index() / per_step, begin = block.index() % per_step * kMomentsChunk;
    const Shuffle order = inputs[step].order;
    const int first =
        step % (num_samples / minibatch) * minibatch;  // the steps of an epoch follow one another
    const Moments moments = block_moments(
        block, begin, smaller(begin + kMomentsChunk, minibatch), block.template shared<double>(0),
        [&](int i) { return static_cast<double>(advantages[order(static_cast<std::uint32_t>(first + i))]); });
    block.each([&](int thread) {
      if (thread == 0) chunks[block.index()] = moments;
    });
  }
};

/// Shift and scale that normalise advantages: mean 0, standard deviation 1 (unbiased, as torch.std).
struct AdvantageScale {
  double mean, inverse_std;

  MURMUR_HOST_DEVICE static AdvantageScale from(const Moments& total) noexcept {
    // One sample has no spread: normalising would make its advantage zero and waste the step.
    if (total.count < 2.0) return {0.0, 1.0};
    return {total.mean, 1.0 / (square_root(total.m2 / (total.count - 1.0)) + 1e-8)};
  }
};

/// Grid: 2 * chunks blocks, even ones for the actor, odd ones for the critic.
struct Differentiate {
  PolicyPlan plan;
  TilePlan tile;
  int minibatch, first;  // samples; position of the first in the order
  const float* params;   // [P]
  Samples samples;
  const StepInputs* inputs;  // of this step
  const Control* control;
  const Moments* advantage_moments;  // of this step; null: advantages stay as they are
  float* gradients;                  // [chunks, gradients_per_chunk, P], zero at first
  double* loss_sums;                 // [chunks, kLossTerms]

  [[nodiscard]] static std::size_t shared_bytes(const PolicyPlan& plan, int rows) {
    const auto floats = static_cast<std::size_t>(plan.weight_floats() + plan_tile(plan, rows).shared_floats);
    return own_bytes(rows) + floats * sizeof(float);
  }
  /// Besides weights and activations.
  [[nodiscard]] MURMUR_HOST_DEVICE static constexpr std::size_t own_bytes(int rows) noexcept {
    return kHeaderBytes + static_cast<std::size_t>(rows) * (sizeof(int) + kRowTerms * sizeof(float));
  }

  template <class Block>
  MURMUR_HOST_DEVICE void operator()(Block& block) const {
    if (control->closed()) return;
    const bool is_actor = block.index() % 2 == 0;
    const int chunk = block.index() / 2;
    const int begin = chunk * chunk_rows(minibatch), end = smaller(begin + chunk_rows(minibatch), minibatch);
    float* const weights = block.template shared<float>(own_bytes(tile.rows));
    const NetworkPlan& net = is_actor ? plan.actor : plan.critic;
    const TileNetwork network{net, tile, weights, weights + plan.weight_floats()};
    float* const gradient = gradients + static_cast<std::size_t>(plan.shared_trunk ? block.index() : chunk) *
                                            static_cast<std::size_t>(plan.num_params);

    prepare(block);
    network.load_weights(block, params);
    for (int row = begin; row < end; row += tile.rows) {
      load_rows(block, network, row, end);
      network.forward(block);
      if (is_actor) {
        differentiate_policy(block, network);
      } else {
        differentiate_value(block, network);
      }
      sum_terms(block);
      if (is_actor && !plan.discrete) sum_log_std(block, network, row != begin, gradient);
      network.backward(block, row != begin, gradient);
    }
    block.each([&](int thread) {
      const int terms = is_actor ? kRowTerms : 1;
      if (thread >= terms) return;
      double sum = 0.0;
      for (int slot = 0; slot < kLossSlots; ++slot) sum += slots(block)[thread * kLossSlots + slot];
      loss_sums[chunk * kLossTerms + (is_actor ? thread : static_cast<int>(kValueLoss))] = sum;
    });
  }

 private:
  static constexpr int kRowTerms = 5;
  // Shared memory: scale of advantages, slots, then per row an index and terms.
  static constexpr std::size_t kSlotsAt = sizeof(AdvantageScale);
  static constexpr std::size_t kHeaderBytes = kSlotsAt + kRowTerms * kLossSlots * sizeof(double);

  template <class Block>
  [[nodiscard]] MURMUR_HOST_DEVICE AdvantageScale* scale(Block& block) const {
    return block.template shared<AdvantageScale>(0);
  }
  template <class Block>
  [[nodiscard]] MURMUR_HOST_DEVICE double* slots(Block& block) const {
    return block.template shared<double>(kSlotsAt);
  }
  template <class Block>
  [[nodiscard]] MURMUR_HOST_DEVICE int* indices(Block& block) const {  // [rows], -1: no sample
    return block.template shared<int>(kHeaderBytes);
  }
  template <class Block>
  [[nodiscard]] MURMUR_HOST_DEVICE float* terms(Block& block) const {  // [kRowTerms, rows]
    return block.template shared<float>(kHeaderBytes + static_cast<std::size_t>(tile.rows) * sizeof(int));
  }

  template <class Block>
  MURMUR_HOST_DEVICE void prepare(Block& block) const {
    block.each([&](int thread) {
      if (thread == 0) {
        *scale(block) = advantage_moments == nullptr ? AdvantageScale{0.0, 1.0}
                                                     : AdvantageScale::from(*advantage_moments);
      }
      if (thread < kRowTerms * kLossSlots) slots(block)[thread] = 0.0;
    });
  }

  /// Gather rows [row, row + tile.rows); those from `end` on are zeros.
  template <class Block>
  MURMUR_HOST_DEVICE void load_rows(Block& block, const TileNetwork& network, int row, int end) const {
    const Shuffle order = inputs->order;
    block.each([&](int thread) {
      for (int r = thread; r < tile.rows; r += kThreads) {
        const auto position = static_cast<std::uint32_t>(first + row + r);
        indices(block)[r] = row + r < end ? static_cast<int>(order(position)) : -1;
      }
    });
    block.each([&](int thread) {
      const int stride = network.net.layers[0].stride;
      for (int at = thread; at < tile.rows * stride; at += kThreads) {
        const int k = at % stride, sample = indices(block)[at / stride];
        const bool real = k < plan.obs_dim && sample >= 0;
        const auto from = static_cast<std::size_t>(sample) * static_cast<std::size_t>(plan.obs_dim);
        network.input(0)[at] =
            real ? samples.see(samples.observations[from + static_cast<std::size_t>(k)], k) : 0.0F;
      }
    });
  }

  template <class Block>
  MURMUR_HOST_DEVICE void differentiate_policy(Block& block, const TileNetwork& network) const {
    block.each([&](int thread) {
      for (int r = thread; r < tile.rows; r += kThreads) {
        const float* const out = network.out() + r * tile.out_stride;
        float* const gradient = network.gradient() + r * tile.out_stride;
        float* const log_std_gradient = network.rows + tile.log_std_at + r * tile.out_stride;
        for (int j = 0; j < tile.out_stride; ++j) gradient[j] = 0.0F;
        for (int j = 0; j < tile.out_stride && !plan.discrete; ++j) log_std_gradient[j] = 0.0F;
        PolicyTerms row{};
        if (const int sample = indices(block)[r]; sample >= 0) {
          const AdvantageScale& a = *scale(block);
          const auto advantage =
              static_cast<float>((static_cast<double>(samples.advantages[sample]) - a.mean) * a.inverse_std);
          const float* const action = samples.actions + static_cast<std::size_t>(sample) *
                                                            static_cast<std::size_t>(plan.action_width);
          row = plan.discrete
                    ? categorical_loss(inputs->loss, out, plan.outputs, *action, samples.log_probs[sample],
                                       advantage, gradient)
                    : gaussian_loss(inputs->loss, params + plan.log_std, out, plan.outputs, action,
                                    samples.log_probs[sample], advantage, gradient, log_std_gradient);
          if (inputs->loss.kl_penalty > 0.0F)
            row.base_kl = add_base_kl(out, sample, gradient, log_std_gradient);
        }
        terms(block)[kPolicyLoss * tile.rows + r] = row.policy_loss;
        terms(block)[kEntropy * tile.rows + r] = row.entropy;
        terms(block)[kApproxKl * tile.rows + r] = row.approx_kl;
        terms(block)[kClipped * tile.rows + r] = row.clipped;
        terms(block)[kBaseKl * tile.rows + r] = row.base_kl;
      }
    });
  }

  [[nodiscard]] MURMUR_HOST_DEVICE float add_base_kl(const float* out, int sample, float* gradient,
                                                     float* log_std_gradient) const noexcept {
    const float* const base =
        samples.base_policy + static_cast<std::size_t>(sample) * static_cast<std::size_t>(plan.outputs);
    if (plan.discrete) return add_categorical_kl(inputs->loss, base, out, plan.outputs, gradient);
    return add_gaussian_kl(inputs->loss, samples.base_log_std, base, params + plan.log_std, out, plan.outputs,
                           gradient, log_std_gradient);
  }

  template <class Block>
  MURMUR_HOST_DEVICE void differentiate_value(Block& block, const TileNetwork& network) const {
    block.each([&](int thread) {
      for (int r = thread; r < tile.rows; r += kThreads) {
        float* const gradient = network.gradient() + r * tile.out_stride;
        for (int j = 0; j < tile.out_stride; ++j) gradient[j] = 0.0F;
        ValueTerm row{};
        if (const int sample = indices(block)[r]; sample >= 0) {
          row = value_loss(inputs->loss, network.out()[r * tile.out_stride], samples.values[sample],
                           samples.returns[sample]);
          gradient[0] = inputs->loss.value_coef * inputs->loss.inverse_n * row.slope;
        }
        for (int t = 0; t < kRowTerms; ++t) terms(block)[t * tile.rows + r] = t == 0 ? row.loss : 0.0F;
      }
    });
  }

  /// Row r belongs to slot r mod 16, and each slot is summed in row order: the same for any tile.
  template <class Block>
  MURMUR_HOST_DEVICE void sum_terms(Block& block) const {
    block.each([&](int thread) {
      if (thread >= kRowTerms * kLossSlots) return;
      double sum = slots(block)[thread];
      for (int r = thread % kLossSlots; r < tile.rows; r += kLossSlots)
        sum += static_cast<double>(terms(block)[thread / kLossSlots * tile.rows + r]);
      slots(block)[thread] = sum;
    });
  }

  template <class Block>
  MURMUR_HOST_DEVICE void sum_log_std(Block& block, const TileNetwork& network, bool accumulate,
                                      float* gradient) const {
    block.each([&](int thread) {
      for (int j = thread; j < plan.outputs; j += kThreads) {
        float sum = accumulate ? gradient[plan.log_std + j] : 0.0F;
        for (int r = 0; r < tile.rows; ++r) sum += network.rows[tile.log_std_at + r * tile.out_stride + j];
        gradient[plan.log_std + j] = sum;
      }
    });
  }
};

}  // namespace murmur::cuda
