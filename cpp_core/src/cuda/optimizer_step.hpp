/// Adds the chunks of a gradient, clips by its norm, and takes one step of Adam.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/differentiate.hpp"

namespace murmur::cuda {

/// Sums over the samples of one minibatch, in the order of LossTerm.
struct LossSums {
  double terms[kLossTerms];
};

/// Grid: param_blocks + 1 blocks; the last one adds the loss terms.
struct ReduceGradient {
  static constexpr int kParams = 32;                 // parameters of a block
  static constexpr int kLanes = kThreads / kParams;  // partial sums per parameter
  static constexpr int kLossLanes = 16;
  static constexpr std::size_t kShared =
      kThreads * sizeof(double) + kParams * sizeof(double);  // the last block's sums are doubles

  int num_params, num_gradients, num_chunks;
  int log_std, num_log_std;  // where the entropy bonus adds its gradient
  const StepInputs* inputs;
  const Control* control;
  const float* gradients;   // [num_gradients, P]
  const double* loss_sums;  // [chunks, kLossTerms]
  float* gradient;          // [P]
  double* squares;          // [param_blocks], partial sums of the gradient's squares
  LossSums* total;

  [[nodiscard]] static constexpr int param_blocks(int num_params) noexcept {
    return (num_params + kParams - 1) / kParams;
  }

  template <class Block>
  MURMUR_HOST_DEVICE void operator()(Block& block) const {
    if (control->closed()) return;
    if (block.index() + 1 == block.count()) {
      add_losses(block);
    } else {
      add_gradients(block);
    }
  }

 private:
  template <class Block>
  MURMUR_HOST_DEVICE void add_gradients(Block& block) const {
    double* const square = block.template shared<double>(0);
    float* const lanes = block.template shared<float>(kParams * sizeof(double));
    block.each([&](int thread) {
      const int param = block.index() * kParams + thread % kParams;
      float sum = 0.0F;
      if (param < num_params) {
        MURMUR_UNROLL(8)
        for (int g = thread / kParams; g < num_gradients; g += kLanes)
          sum += gradients[static_cast<std::size_t>(g) * static_cast<std::size_t>(num_params) +
                           static_cast<std::size_t>(param)];
      }
      lanes[thread] = sum;
    });
    block.each([&](int thread) {
      if (thread >= kParams) return;
      const int param = block.index() * kParams + thread;
      float sum = lanes[thread];
      for (int lane = 1; lane < kLanes; ++lane) sum += lanes[lane * kParams + thread];
      // d H / d log_std = 1 for every sample alike
      if (param >= log_std && param < log_std + num_log_std) sum -= inputs->loss.entropy_coef;
      if (param < num_params) gradient[param] = sum;
      square[thread] = static_cast<double>(sum) * static_cast<double>(sum);
    });
    block.each([&](int thread) {
      if (thread != 0) return;
      double sum = 0.0;
      for (int i = 0; i < kParams; ++i) sum += square[i];
      squares[block.index()] = sum;
    });
  }

  template <class Block>
  MURMUR_HOST_DEVICE void add_losses(Block& block) const {
    double* const lanes = block.template shared<double>(0);
    block.each([&](int thread) {
      if (thread >= kLossTerms * kLossLanes) return;
      double sum = 0.0;
      for (int c = thread % kLossLanes; c < num_chunks; c += kLossLanes)
        sum += loss_sums[c * kLossTerms + thread / kLossLanes];
      lanes[thread] = sum;
    });
    block.each([&](int thread) {
      if (thread >= kLossTerms) return;
      double sum = 0.0;
      for (int lane = 0; lane < kLossLanes; ++lane) sum += lanes[thread * kLossLanes + lane];
      total->terms[thread] = sum;
    });
  }
};

/// Grid: one thread per parameter. Changes nothing when the KL divergence is above its limit or a number is
/// not finite, and closes the iteration then.
struct AdamStep {
  static constexpr std::size_t kClosedAt = kMomentsScratch * sizeof(double);
  static constexpr std::size_t kShared = kClosedAt + sizeof(std::int32_t);

  int num_params, num_squares;
  const StepInputs* inputs;
  const float* gradient;  // [P]
  const double* squares;  // [num_squares]
  const LossSums* total;
  Control* control;
  float* params;  // [P]
  float* first;   // [P]
  float* second;  // [P]

  template <class Block>
  MURMUR_HOST_DEVICE void operator()(Block& block) const {
    // Block 0 may close the iteration while this block starts: one thread looks, so that all go the same way.
    auto* const closed = block.template shared<std::int32_t>(kClosedAt);
    block.each([&](int thread) {
      if (thread == 0) *closed = control->closed() ? 1 : 0;
    });
    if (*closed != 0) return;
    double* const scratch = block.template shared<double>(0);
    double* const sum = scratch + kSumScratch;
    block_sum(block, 0, num_squares, scratch, sum, [&](int i) { return squares[i]; });
    const double norm = square_root(*sum);
    const auto inverse_n = static_cast<double>(inputs->loss.inverse_n);
    const bool stop = inputs->max_kl > 0.0 && total->terms[kApproxKl] * inverse_n > inputs->max_kl;
    const bool bad = !finite(sum_of_losses()) || (!stop && !finite(norm));
    if (!bad && !stop) step(block, norm);
    block.each([&](int thread) {
      if (block.index() != 0 || thread != 0) return;
      if (bad) {
        control->failed = 1;
      } else if (stop) {
        control->stopped = 1;
      } else {
        ++control->steps;
      }
    });
  }

 private:
  [[nodiscard]] MURMUR_HOST_DEVICE double sum_of_losses() const noexcept {
    return total->terms[kPolicyLoss] + total->terms[kEntropy] + total->terms[kBaseKl] +
           total->terms[kValueLoss];
  }

  // No fused multiply-add: the formula, and given the same gradient the bytes, of adam_step in
  // agents/adam.hpp.
  template <class Block>
  MURMUR_HOST_DEVICE void step(Block& block, double norm) const {
    const double ratio = inputs->max_grad_norm / (norm + 1e-6);
    const auto factor = static_cast<float>(ratio < 1.0 ? ratio : 1.0);
    const AdamScalars s = inputs->adam;
    block.each([&](int thread) {
      const int i = block.index() * kThreads + thread;
      if (i >= num_params) return;
      const float clipped = gradient[i] * factor;
      const float m = s.beta1 * first[i] + s.rest1 * clipped;
      const float v = s.beta2 * second[i] + s.rest2 * clipped * clipped;
      first[i] = m;
      second[i] = v;
      params[i] -= s.step_size * m / (square_root(v) * s.root_scale + s.epsilon);
    });
  }
};

}  // namespace murmur::cuda
