#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cuda/differentiate.hpp"
#include "cuda/optimizer_step.hpp"
#include "murmur/agents/ppo_loss.hpp"

namespace murmur::cuda {

/// Where parameters and Adam's moments lie on the device, each [P].
struct ModelPointers {
  float* params;
  float* first;
  float* second;
};

/// The means over a minibatch of `n` samples.
[[nodiscard]] inline PpoLossStats to_stats(const LossSums& sums, const LossSettings& settings,
                                           std::size_t n) {
  return mean_loss({.policy_loss = sums.terms[kPolicyLoss],
                    .value_loss = sums.terms[kValueLoss],
                    .entropy = sums.terms[kEntropy],
                    .approx_kl = sums.terms[kApproxKl],
                    .clip_fraction = sums.terms[kClipped],
                    .base_kl = sums.terms[kBaseKl]},
                   n,
                   {.entropy_coef = settings.entropy_coef,
                    .value_coef = settings.value_coef,
                    .kl_penalty = settings.kl_penalty});
}

/// A run of optimizer steps on minibatches of one size, without the host: three launches a step.
template <class Executor>
class PolicyUpdate {
 public:
  PolicyUpdate(Executor& executor, const PolicyPlan& plan, int minibatch, int num_steps)
      : executor_(executor),
        plan_(plan),
        minibatch_(minibatch),
        num_steps_(num_steps),
        tile_(
            plan_tile(plan, rows_that_fit(plan, kMostRows, kLeastRows, Differentiate::own_bytes(kMostRows)))),
        inputs_(executor, static_cast<std::size_t>(num_steps)),
        totals_(executor, static_cast<std::size_t>(num_steps)),
        advantage_chunks_(executor, static_cast<std::size_t>(num_steps * num_moment_chunks(minibatch))),
        advantage_moments_(executor, static_cast<std::size_t>(num_steps)),
        gradients_(executor, static_cast<std::size_t>(num_gradients()) * num_params()),
        loss_sums_(executor, static_cast<std::size_t>(num_chunks(minibatch) * kLossTerms)),
        gradient_(executor, num_params()),
        squares_(executor, static_cast<std::size_t>(ReduceGradient::param_blocks(plan.num_params))) {}

  [[nodiscard]] int minibatch() const noexcept { return minibatch_; }

  /// Upload what the steps need; call before `launch`.
  void set_inputs(std::span<const StepInputs> inputs) { executor_.upload(inputs, inputs_); }

  /// Launch all steps on the current parameters. `control` ends them early.
  void launch(const Samples& samples, const ModelPointers& model, bool normalize_advantages,
              Control* control) {
    const int moment_chunks = num_moment_chunks(minibatch_);
    if (normalize_advantages) {
      executor_.launch(AdvantageMoments{.minibatch = minibatch_,
                                        .num_samples = samples.size,
                                        .inputs = inputs_.data(),
                                        .advantages = samples.advantages,
                                        .control = control,
                                        .chunks = advantage_chunks_.data()},
                       num_steps_ * moment_chunks, AdvantageMoments::kShared);
      executor_.launch(MergeMoments{.num_chunks = moment_chunks,
                                    .chunks = advantage_chunks_.data(),
                                    .totals = advantage_moments_.data()},
                       num_steps_, MergeMoments::kShared);
    }
    for (int step = 0; step < num_steps_; ++step) {
      launch_step(step, samples, model, normalize_advantages ? advantage_moments_.data() + step : nullptr,
                  control);
    }
  }

  /// The sums of every step's minibatch; of steps not taken, garbage.
  [[nodiscard]] std::vector<LossSums> totals() const {
    std::vector<LossSums> totals(totals_.size());
    executor_.download(totals_, std::span(totals));
    return totals;
  }
  /// The gradient [P] of the last step begun.
  [[nodiscard]] std::vector<float> gradient() const {
    std::vector<float> gradient(num_params());
    executor_.download(gradient_, std::span(gradient));
    return gradient;
  }

 private:
  [[nodiscard]] std::size_t num_params() const noexcept { return static_cast<std::size_t>(plan_.num_params); }
  [[nodiscard]] int num_gradients() const noexcept {
    return num_chunks(minibatch_) * gradients_per_chunk(plan_);
  }

  void launch_step(int step, const Samples& samples, const ModelPointers& model,
                   const Moments* advantage_moments, Control* control) {
    const int chunks = num_chunks(minibatch_), param_blocks = ReduceGradient::param_blocks(plan_.num_params);
    const StepInputs* const inputs = inputs_.data() + step;
    executor_.launch(Differentiate{.plan = plan_,
                                   .tile = tile_,
                                   .minibatch = minibatch_,
                                   .first = first_of(step, samples),
                                   .params = model.params,
                                   .samples = samples,
                                   .inputs = inputs,
                                   .control = control,
                                   .advantage_moments = advantage_moments,
                                   .gradients = gradients_.data(),
                                   .loss_sums = loss_sums_.data()},
                     2 * chunks, Differentiate::shared_bytes(plan_, tile_.rows));
    executor_.launch(ReduceGradient{.num_params = plan_.num_params,
                                    .num_gradients = num_gradients(),
                                    .num_chunks = chunks,
                                    .log_std = plan_.log_std,
                                    .num_log_std = plan_.discrete ? 0 : plan_.outputs,
                                    .inputs = inputs,
                                    .control = control,
                                    .gradients = gradients_.data(),
                                    .loss_sums = loss_sums_.data(),
                                    .gradient = gradient_.data(),
                                    .squares = squares_.data(),
                                    .total = totals_.data() + step},
                     param_blocks + 1, ReduceGradient::kShared);
    executor_.launch(AdamStep{.num_params = plan_.num_params,
                              .num_squares = param_blocks,
                              .inputs = inputs,
                              .gradient = gradient_.data(),
                              .squares = squares_.data(),
                              .total = totals_.data() + step,
                              .control = control,
                              .params = model.params,
                              .first = model.first,
                              .second = model.second},
                     (plan_.num_params + kThreads - 1) / kThreads, AdamStep::kShared);
  }

  [[nodiscard]] int first_of(int step, const Samples& samples) const noexcept {
    return step % (samples.size / minibatch_) * minibatch_;
  }

  Executor& executor_;
  PolicyPlan plan_;
  int minibatch_;
  int num_steps_;
  TilePlan tile_;
  typename Executor::template Buffer<StepInputs> inputs_;
  typename Executor::template Buffer<LossSums> totals_;
  typename Executor::template Buffer<Moments> advantage_chunks_, advantage_moments_;
  typename Executor::template Buffer<float> gradients_;   // [num_gradients, P]
  typename Executor::template Buffer<double> loss_sums_;  // [chunks, kLossTerms]
  typename Executor::template Buffer<float> gradient_;    // [P]
  typename Executor::template Buffer<double> squares_;
};

}  // namespace murmur::cuda
