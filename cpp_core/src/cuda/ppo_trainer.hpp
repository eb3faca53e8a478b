#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "cuda/advantages.hpp"
#include "cuda/device_model.hpp"
#include "cuda/rollout.hpp"
#include "murmur/agents/device_trainer.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/ppo_update.hpp"
#include "murmur/envs/batched_env.hpp"

namespace murmur::cuda {

/// Iterations of PPO in envs of type E on the device of `Executor`: see murmur::DeviceTrainer. One upload,
/// one replay of everything, one download.
template <class Executor, Environment E>
class PpoTrainer final : public DeviceTrainer {
 public:
  /// `collector` must hold envs of type E.
  PpoTrainer(DeviceModel<Executor>& model, const PpoConfig& config, const RolloutCollector& collector)
      : model_(model),
        config_(config),
        num_envs_(static_cast<int>(config.num_envs)),
        num_steps_(static_cast<int>(config.rollout_steps)),
        tile_(plan_tile(model.plan(), envs_per_block())),
        control_(executor(), 1),
        inputs_(executor(), 1),
        scale_(executor(), 2 * kObs),
        envs_(executor(), size(num_envs_)),
        observations_(executor(), (rows() + finals()) * kObs),
        actions_(executor(), samples() * E::kSpec.action_dim),
        log_probs_(executor(), samples()),
        rewards_(executor(), samples()),
        discounted_(executor(), samples()),
        ended_(executor(), samples()),
        discounted_now_(executor(), size(num_envs_)),
        truncations_(executor(), size(num_envs_)),
        episodes_(executor(), size(num_envs_)),
        return_sums_(executor(), size(num_envs_)),
        length_sums_(executor(), size(num_envs_)),
        values_(executor(), rows() + finals()),
        advantages_(executor(), samples()),
        returns_(executor(), samples()),
        base_params_(executor(), penalised() ? model.layout().num_params() : 0),
        base_policy_(executor(), penalised() ? samples() * size(model.plan().outputs) : 0),
        moment_chunks_(executor(), size(kColumns * num_moment_chunks(static_cast<int>(samples())))),
        moments_(executor(), size(kColumns + kErrorColumns)),
        update_(executor(), model.plan(), static_cast<int>(config.minibatch_size), num_optimizer_steps()) {
    send(collector);
  }

  void send(const RolloutCollector& collector) override {
    const auto& env = dynamic_cast<const BatchedEnv<E>&>(collector.env());
    std::vector<EnvRow<E>> rows;
    for (std::size_t i = 0; i < env.num_envs(); ++i) rows.push_back(env.row(i));
    executor().upload(std::span<const EnvRow<E>>(rows), envs_);
    executor().upload(collector.discounted_returns(), discounted_now_);
  }

  void fetch(RolloutCollector& collector) const override {
    std::vector<EnvRow<E>> rows(size(num_envs_));
    model_.executor().download(envs_, std::span(rows));
    collector.take_back([&](VectorEnv& env, std::span<float> discounted_returns) {
      for (std::size_t i = 0; i < rows.size(); ++i) dynamic_cast<BatchedEnv<E>&>(env).set_row(i, rows[i]);
      model_.executor().download(discounted_now_, discounted_returns);
    });
  }

  void set_base_policy(std::span<const float> params) override {
    has_base_ = !params.empty();
    if (has_base_) executor().upload(params, base_params_);
  }

  UpdateStats iterate(RolloutCollector& collector, ModelMoments& moments, RolloutTally& tally,
                      std::int64_t env_steps, Rng& shuffle_rng) override {
    const std::vector<StepInputs> steps = step_inputs(env_steps, shuffle_rng);
    upload(collector, moments, steps);
    executor().replay([this] { launch(); });
    Control control;
    executor().download(control_, std::span(&control, 1));
    if (control.fault != kNoFault) {
      send(collector);  // the envs have played on with what is not finite, and would never come back from it
      throw_fault(control.fault);
    }
    std::vector<Moments> seen(moments_.size());
    executor().download(moments_, std::span(seen));
    moments.add(running_moments(seen));
    count_episodes(tally, collector.env().variant_of());
    return finish(control, seen, steps);
  }

 private:
  template <class T>
  using Buffer = typename Executor::template Buffer<T>;
  static constexpr std::size_t kObs = E::kSpec.obs_dim;
  static constexpr int kColumns = static_cast<int>(kObs) + 1;  // observation dims, discounted return
  static constexpr int kErrorColumns = 2;                      // returns, returns - values

  [[nodiscard]] static std::size_t size(int n) noexcept { return static_cast<std::size_t>(n); }
  [[nodiscard]] std::size_t samples() const noexcept { return size(num_envs_) * size(num_steps_); }
  [[nodiscard]] std::size_t rows() const noexcept { return samples() + size(num_envs_); }
  [[nodiscard]] int max_finals() const noexcept {
    return max_truncations(num_steps_, E::kSpec.max_episode_steps);
  }
  [[nodiscard]] std::size_t finals() const noexcept { return size(max_finals()) * size(num_envs_); }
  [[nodiscard]] int steps_per_epoch() const noexcept {
    return static_cast<int>(config_.batch_size() / config_.minibatch_size);
  }
  [[nodiscard]] int num_optimizer_steps() const noexcept {
    return static_cast<int>(config_.epochs) * steps_per_epoch();
  }
  [[nodiscard]] Executor& executor() noexcept { return model_.executor(); }
  [[nodiscard]] bool penalised() const noexcept { return config_.kl_penalty > 0.0; }

  /// Few enough that every processor has work, many enough to share the weights; the bytes do not depend on
  /// it.
  [[nodiscard]] int envs_per_block() const {
    int wanted = 32;
    while (wanted > 4 && num_envs_ / wanted < 2 * model_.executor().num_processors()) wanted /= 2;
    return rows_that_fit(model_.plan(), wanted, 4, Rollout<E>::own_bytes(wanted));
  }

  [[nodiscard]] std::vector<StepInputs> step_inputs(std::int64_t env_steps, Rng& shuffle_rng) const {
    PpoLossSettings loss = scheduled_loss(config_, env_steps);
    if (!has_base_) loss.kl_penalty = 0.0F;
    const AdamSettings adam = scheduled_adam(config_, env_steps);
    std::vector<StepInputs> steps;
    Shuffle order;
    for (int step = 0; step < num_optimizer_steps(); ++step) {
      // Huang et al. 2022, detail 6: every sample once per epoch, in new minibatches.
      if (step % steps_per_epoch() == 0)
        order = {shuffle_rng.next_u64(), static_cast<std::uint32_t>(samples())};
      steps.push_back({.order = order,
                       .loss = loss_settings(loss, size(static_cast<int>(config_.minibatch_size))),
                       .adam = adam_scalars(adam, model_.optimizer_steps() + step + 1),
                       .max_grad_norm = adam.max_grad_norm,
                       .max_kl = kl_limit(config_)});
    }
    return steps;
  }

  void upload(RolloutCollector& collector, const ModelMoments& moments, std::span<const StepInputs> steps) {
    const RunningMoments& used = moments.in_use();
    const RolloutInputs inputs{collector.draw_action_key(),
                               {used.count()[kObs], used.mean()[kObs], used.m2()[kObs]}};
    executor().upload(std::span(&inputs, 1), inputs_);
    const std::vector<float> scale = moments.scale();
    executor().upload(std::span(scale), scale_);
    update_.set_inputs(steps);
    const Control fresh;
    executor().upload(std::span(&fresh, 1), control_);
  }

  /// Everything of one iteration, always the same launches.
  void launch() {
    const RolloutArrays rollout = arrays();
    launch_rollout(rollout);
    launch_advantages(rollout);
    launch_update(rollout);
  }

  void launch_rollout(const RolloutArrays& rollout) {
    executor().launch(Rollout<E>{.plan = model_.plan(),
                                 .tile = tile_,
                                 .num_envs = num_envs_,
                                 .num_steps = num_steps_,
                                 .gamma = static_cast<float>(config_.gamma),
                                 .params = model_.pointers().params,
                                 .inputs = inputs_.data(),
                                 .see = see(),
                                 .envs = envs_.data(),
                                 .out = rollout,
                                 .control = control_.data()},
                      (num_envs_ + tile_.rows - 1) / tile_.rows,
                      Rollout<E>::shared_bytes(model_.plan(), tile_.rows));
    reduce({.rows = rollout.observations,
            .width = static_cast<int>(kObs),
            .extra = {rollout.discounted},
            .num_extra = 1},
           moments_.data());
  }

  void launch_advantages(const RolloutArrays& rollout) {
    // The critic runs once over everything: larger tiles, and the parameters have not changed in between.
    model_.launch_value(rollout.observations, static_cast<int>(rows() + finals()), see(), values_.data());
    executor().launch(Advantages{.num_envs = num_envs_,
                                 .num_steps = num_steps_,
                                 .gamma = static_cast<float>(config_.gamma),
                                 .lambda = static_cast<float>(config_.gae_lambda),
                                 .normalize_rewards = config_.normalize_rewards,
                                 .reward_clip = static_cast<float>(config_.reward_clip),
                                 .inputs = inputs_.data(),
                                 .seen_returns = moments_.data() + kObs,
                                 .rollout = rollout,
                                 .values = values_.data(),
                                 .final_values = values_.data() + rows(),
                                 .control = control_.data(),
                                 .advantages = advantages_.data(),
                                 .returns = returns_.data()},
                      (num_envs_ + kThreads - 1) / kThreads, 0);
    reduce({.extra = {returns_.data(), returns_.data()}, .minus = {nullptr, values_.data()}, .num_extra = 2},
           moments_.data() + kColumns);
  }

  void launch_update(const RolloutArrays& rollout) {
    if (penalised()) {
      model_.launch_policy(base_params_.data(), rollout.observations, static_cast<int>(samples()), see(),
                           base_policy_.data());
    }
    update_.launch({.size = static_cast<int>(samples()),
                    .observations = rollout.observations,
                    .actions = rollout.actions,
                    .log_probs = rollout.log_probs,
                    .advantages = advantages_.data(),
                    .returns = returns_.data(),
                    .values = values_.data(),
                    .base_policy = base_policy_.data(),
                    .base_log_std = penalised() ? base_params_.data() + model_.plan().log_std : nullptr,
                    .see = see()},
                   model_.pointers(), config_.normalize_advantages, control_.data());
  }

  void reduce(const MomentColumns& columns, Moments* totals) {
    const auto rows = static_cast<int>(samples());
    executor().launch(ReduceMoments{.columns = columns, .size = rows, .chunks = moment_chunks_.data()},
                      columns.count() * num_moment_chunks(rows), ReduceMoments::kShared);
    executor().launch(
        MergeMoments{
            .num_chunks = num_moment_chunks(rows), .chunks = moment_chunks_.data(), .totals = totals},
        columns.count(), MergeMoments::kShared);
  }

  [[nodiscard]] ObservationScale see() {
    if (!config_.normalize_observations) return {};
    return {.shift = scale_.data(),
            .scale = scale_.data() + kObs,
            .clip = static_cast<float>(config_.observation_clip)};
  }

  [[nodiscard]] RolloutArrays arrays() {
    return {.observations = observations_.data(),
            .actions = actions_.data(),
            .log_probs = log_probs_.data(),
            .rewards = rewards_.data(),
            .discounted = discounted_.data(),
            .ended = ended_.data(),
            .final_observations = observations_.data() + rows() * kObs,
            .discounted_now = discounted_now_.data(),
            .truncations = truncations_.data(),
            .episodes = episodes_.data(),
            .return_sums = return_sums_.data(),
            .length_sums = length_sums_.data()};
  }

  [[noreturn]] void throw_fault(std::uint64_t fault) const {
    static constexpr const char* kNames[] = {"observation", "policy output", "reward", "final observation",
                                             "value"};
    const std::uint64_t sample = fault / 8;
    throw NonFiniteError(std::string(kNames[fault % 8]) + " of env " +
                         std::to_string(sample % static_cast<std::uint64_t>(num_envs_)) +
                         " is not finite in step " +
                         std::to_string(sample / static_cast<std::uint64_t>(num_envs_)) + " of the rollout");
  }

  [[nodiscard]] static RunningMoments running_moments(std::span<const Moments> seen) {
    std::vector<double> count, mean, m2;
    for (const Moments& column : seen.first(kColumns)) {
      count.push_back(column.count);
      mean.push_back(column.mean);
      m2.push_back(column.m2);
    }
    return {count, mean, m2};
  }

  void count_episodes(RolloutTally& tally, std::span<const std::int32_t> variant_of) {
    std::vector<std::int32_t> episodes(size(num_envs_));
    std::vector<double> return_sums(size(num_envs_));
    std::vector<std::int32_t> length_sums(size(num_envs_));
    executor().download(episodes_, std::span(episodes));
    executor().download(return_sums_, std::span(return_sums));
    executor().download(length_sums_, std::span(length_sums));
    for (std::size_t i = 0; i < episodes.size(); ++i) {
      const auto variant = static_cast<std::size_t>(variant_of[i]);
      if (tally.variants.size() <= variant) tally.variants.resize(variant + 1);
      for (EpisodeTally* sum : {&tally.total, &tally.variants[variant]}) {
        sum->episodes += episodes[i];
        sum->return_sum += return_sums[i];
        sum->length_sum += length_sums[i];
      }
    }
  }

  UpdateStats finish(const Control& control, std::span<const Moments> seen,
                     std::span<const StepInputs> steps) {
    const std::vector<LossSums> totals = update_.totals();
    const auto taken = size(control.steps);
    const auto minibatch = static_cast<std::size_t>(config_.minibatch_size);
    model_.count_optimizer_steps(control.steps);
    if (control.failed != 0)
      throw_failed_step(model_.layout(), to_stats(totals[taken], steps[taken].loss, minibatch),
                        update_.gradient());

    UpdateStats stats;
    stats.optimizer_steps = control.steps;
    stats.stopped_early = control.stopped != 0;
    const std::size_t begun = taken + (stats.stopped_early ? 1 : 0);
    const std::size_t first = (begun - 1) / size(steps_per_epoch()) * size(steps_per_epoch());
    for (std::size_t step = first; step < begun; ++step) {
      add_share(stats.last_epoch, to_stats(totals[step], steps[step].loss, minibatch),
                1.0 / static_cast<double>(begun - first));
    }
    const Moments &returns = seen[kColumns], &errors = seen[kColumns + 1];
    stats.explained_variance =
        returns.m2 > 0.0 ? 1.0 - errors.m2 / returns.m2 : std::numeric_limits<double>::quiet_NaN();
    return stats;
  }

  DeviceModel<Executor>& model_;
  PpoConfig config_;
  int num_envs_;
  int num_steps_;
  TilePlan tile_;  // of the rollout
  Buffer<Control> control_;
  Buffer<RolloutInputs> inputs_;
  Buffer<float> scale_;  // [2, D]: shift and scale of observations
  Buffer<EnvRow<E>> envs_;
  Buffer<float> observations_;  // of the rollout, [T + 1, N, D], and behind them the final ones, [K, N, D]
  Buffer<float> actions_, log_probs_, rewards_, discounted_;
  Buffer<std::uint8_t> ended_;
  Buffer<float> discounted_now_;
  Buffer<std::int32_t> truncations_, episodes_;
  Buffer<double> return_sums_;
  Buffer<std::int32_t> length_sums_;
  Buffer<float> values_;  // of `observations_`
  Buffer<float> advantages_, returns_;
  Buffer<float> base_params_;  // [P], of the policy that the KL penalty holds on to
  Buffer<float> base_policy_;  // [T, N, A], what it says of this rollout
  bool has_base_ = false;
  Buffer<Moments> moment_chunks_;
  Buffer<Moments> moments_;  // [kColumns + kErrorColumns]
  PolicyUpdate<Executor> update_;
};

}  // namespace murmur::cuda
