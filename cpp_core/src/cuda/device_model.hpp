#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cuda/forward_rows.hpp"
#include "cuda/policy_update.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/ppo_backend.hpp"
#include "murmur/base/check.hpp"

namespace murmur::cuda {

/// Throw NonFiniteError for a step that the device refused: it names the loss, or the first bad parameter.
[[noreturn]] inline void throw_failed_step(const PolicyLayout& layout, const PpoLossStats& stats,
                                           std::span<const float> gradient) {
  if (!std::isfinite(stats.loss)) throw NonFiniteError("the loss " + describe_non_finite(stats));
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    if (!std::isfinite(gradient[i]))
      throw NonFiniteError("the gradient of " + layout.describe(i) + " is not finite");
  }
  throw NonFiniteError("the gradient's norm overflows");
}

/// The coefficients of a minibatch of `minibatch` samples as the kernels take them. Without a base policy,
/// `kl_penalty` must be 0.
[[nodiscard]] inline LossSettings loss_settings(const PpoLossSettings& loss, std::size_t minibatch) {
  return {.clip_range = loss.clip_range,
          .value_clip_range = loss.value_clip_range,
          .entropy_coef = loss.entropy_coef,
          .value_coef = loss.value_coef,
          .inverse_n = 1.0F / static_cast<float>(minibatch),
          .kl_penalty = loss.kl_penalty};
}

/// Parameters and optimizer state on a device, behind the interface that every back end has.
///
/// What comes through that interface is copied from and to the host; DeviceTrainer is the way that does not.
template <class Executor>
class DeviceModel final : public PpoBackend {
 public:
  /// Throws std::invalid_argument when `why_not_cuda_kernels` says something.
  DeviceModel(std::shared_ptr<Executor> executor, const PolicyLayout& layout)
      : executor_(std::move(executor)),
        layout_(layout),
        plan_(plan_policy(layout, executor_->shared_limit())),
        tile_(plan_tile(plan_, rows_that_fit(plan_, kMostRows, kLeastRows, 0))),
        name_("fused (CUDA) on " + executor_->device_name()),
        params_(*executor_, layout.num_params()),
        first_(*executor_, layout.num_params()),
        second_(*executor_, layout.num_params()),
        control_(*executor_, 1) {
    set_optimizer_state(AdamState(layout.num_params()));
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }

  void get_params(std::span<float> params) const override { executor_->download(params_, params); }
  void set_params(std::span<const float> params) override {
    check_size("params", layout_.num_params(), params.size());
    executor_->upload(params, params_);
  }

  [[nodiscard]] AdamState optimizer_state() const override {
    AdamState state(layout_.num_params());
    executor_->download(first_, std::span(state.first));
    executor_->download(second_, std::span(state.second));
    state.steps = steps_;
    return state;
  }
  void set_optimizer_state(const AdamState& state) override {
    check_size("first moments", layout_.num_params(), state.first.size());
    check_size("second moments", layout_.num_params(), state.second.size());
    executor_->upload(std::span(state.first), first_);
    executor_->upload(std::span(state.second), second_);
    steps_ = state.steps;
  }

  void enter() override {}

  void act(std::span<const float> observations, std::span<float> policy) override {
    run(plan_.actor, observations, policy);
  }
  void log_std(std::span<float> log_std) const override {
    check_size("log_std", layout_.log_std_size(), log_std.size());
    std::vector<float> params(layout_.num_params());
    get_params(params);
    std::copy_n(params.begin() + plan_.log_std, log_std.size(), log_std.begin());
  }
  void value(std::span<const float> observations, std::span<float> values) override {
    run(plan_.critic, observations, values);
  }

  PpoLossStats step(const PpoBatch& batch, const PpoLossSettings& loss, const AdamSettings& adam,
                    double max_kl) override {
    check_batch(layout_.spec(), batch);
    if (update_ == nullptr || update_->minibatch() != static_cast<int>(batch.size())) {
      update_ =
          std::make_unique<PolicyUpdate<Executor>>(*executor_, plan_, static_cast<int>(batch.size()), 1);
    }
    PpoLossSettings used = loss;
    if (batch.base_policy.empty()) used.kl_penalty = 0.0F;
    const StepInputs inputs{.order = {},
                            .loss = loss_settings(used, batch.size()),
                            .adam = adam_scalars(adam, steps_ + 1),
                            .max_grad_norm = adam.max_grad_norm,
                            .max_kl = max_kl};
    update_->set_inputs({&inputs, 1});
    const Control fresh;
    executor_->upload(std::span(&fresh, 1), control_);
    update_->launch(upload(batch), pointers(), loss.normalize_advantages, control_.data());
    Control control;
    executor_->download(control_, std::span(&control, 1));
    const PpoLossStats stats = to_stats(update_->totals()[0], inputs.loss, batch.size());
    if (control.failed != 0) throw_failed_step(layout_, stats, update_->gradient());
    steps_ += control.steps;
    return stats;
  }

  [[nodiscard]] std::unique_ptr<DeviceTrainer> make_trainer(const PpoConfig& config,
                                                            const RolloutCollector& collector) override;

  // What PpoTrainer needs.
  [[nodiscard]] const PolicyLayout& layout() const noexcept { return layout_; }
  [[nodiscard]] const PolicyPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] Executor& executor() noexcept { return *executor_; }
  [[nodiscard]] ModelPointers pointers() noexcept { return {params_.data(), first_.data(), second_.data()}; }
  [[nodiscard]] std::int64_t optimizer_steps() const noexcept { return steps_; }
  void count_optimizer_steps(std::int64_t taken) noexcept { steps_ += taken; }

  /// Launch the critic on device rows [num_rows, D].
  void launch_value(const float* observations, int num_rows, const ObservationScale& see, float* values) {
    launch_forward(plan_.critic, params_.data(), observations, num_rows, see, values);
  }
  /// Launch the actor with other parameters, device `params` [P].
  void launch_policy(const float* params, const float* observations, int num_rows,
                     const ObservationScale& see, float* policy) {
    launch_forward(plan_.actor, params, observations, num_rows, see, policy);
  }

 private:
  using Floats = typename Executor::template Buffer<float>;
  static constexpr int kBlocksPerProcessor = 4;  // a block loads its weights once for all of its tiles

  void launch_forward(const NetworkPlan& net, const float* params, const float* observations, int num_rows,
                      const ObservationScale& see, float* out) {
    const int tiles = (num_rows + tile_.rows - 1) / tile_.rows;
    executor_->launch(ForwardRows{.net = net,
                                  .tile = tile_,
                                  .obs_dim = plan_.obs_dim,
                                  .num_rows = num_rows,
                                  .params = params,
                                  .observations = observations,
                                  .see = see,
                                  .out = out},
                      std::min(tiles, kBlocksPerProcessor * executor_->num_processors()),
                      ForwardRows::shared_bytes(plan_, tile_.rows));
  }

  void run(const NetworkPlan& net, std::span<const float> observations, std::span<float> out) {
    const auto obs_dim = static_cast<std::size_t>(plan_.obs_dim);
    if (observations.empty() || observations.size() % obs_dim != 0) {
      throw_invalid("expected rows of " + std::to_string(obs_dim) + " numbers, got " +
                    std::to_string(observations.size()));
    }
    const std::size_t rows = observations.size() / obs_dim;
    check_size("network output", rows * static_cast<std::size_t>(net.head().outputs), out.size());
    copy_in(observations, staged_[0]);
    grow(staged_[1], out.size());
    launch_forward(net, params_.data(), staged_[0].data(), static_cast<int>(rows), {}, staged_[1].data());
    executor_->download(staged_[1], out);
  }

  [[nodiscard]] Samples upload(const PpoBatch& batch) {
    return {.size = static_cast<int>(batch.size()),
            .observations = copy_in(batch.observations, staged_[0]),
            .actions = copy_in(batch.actions, staged_[1]),
            .log_probs = copy_in(batch.log_probs, staged_[2]),
            .advantages = copy_in(batch.advantages, staged_[3]),
            .returns = copy_in(batch.returns, staged_[4]),
            .values = copy_in(batch.values, staged_[5]),
            .base_policy = copy_in(batch.base_policy, staged_[6]),
            .base_log_std = copy_in(batch.base_log_std, staged_[7]),
            .see = {}};
  }

  void grow(Floats& buffer, std::size_t size) {
    if (buffer.size() < size) buffer = Floats(*executor_, size);
  }
  const float* copy_in(std::span<const float> from, Floats& to) {
    grow(to, from.size());
    executor_->upload(from, to);
    return to.data();
  }

  std::shared_ptr<Executor> executor_;
  PolicyLayout layout_;
  PolicyPlan plan_;
  TilePlan tile_;
  std::string name_;
  Floats params_;  // [P], flat as PolicyLayout has them
  Floats first_;   // [P]
  Floats second_;  // [P]
  typename Executor::template Buffer<Control> control_;
  Floats staged_[8];  // of calls with host memory
  std::unique_ptr<PolicyUpdate<Executor>> update_;
  std::int64_t steps_ = 0;
};

}  // namespace murmur::cuda
