#include "murmur/agents/fused_gradient.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace murmur {
namespace {

constexpr std::size_t kMaxChunks = 16;  // bounds the memory of partial gradients
constexpr std::size_t kMinChunk = 256;  // below, adding partial gradients costs more than a thread brings
constexpr std::size_t kActGrain = 192;  // rows worth waking a second thread for

kernels::Nonlinearity nonlinearity(Activation activation) noexcept {
  switch (activation) {
    case Activation::kTanh:
      return kernels::Nonlinearity::kTanh;
    case Activation::kRelu:
      return kernels::Nonlinearity::kRelu;
    case Activation::kSilu:
      break;
  }
  return kernels::Nonlinearity::kSilu;
}

void add(kernels::LossSums& sum, const kernels::LossSums& x) noexcept {
  sum.policy_loss += x.policy_loss;
  sum.value_loss += x.value_loss;
  sum.entropy += x.entropy;
  sum.approx_kl += x.approx_kl;
  sum.clip_fraction += x.clip_fraction;
  sum.base_kl += x.base_kl;
}

PpoLossStats to_stats(const kernels::LossSums& sums) noexcept {
  return {.policy_loss = sums.policy_loss,
          .value_loss = sums.value_loss,
          .entropy = sums.entropy,
          .approx_kl = sums.approx_kl,
          .clip_fraction = sums.clip_fraction,
          .base_kl = sums.base_kl};
}

}  // namespace

FusedGradient::FusedGradient(const FusedLayout& layout, const kernels::KernelSet& kernels,
                             std::shared_ptr<ThreadPool> pool)
    : layout_(layout),
      kernels_(kernels),
      actor_(kernels, layout_.actor(), nonlinearity(spec().activation)),
      critic_(kernels, layout_.critic(), nonlinearity(spec().activation)),
      joint_(kernels, layout_.joint(), nonlinearity(spec().activation)),
      pool_(std::move(pool)) {
  for (int i = 0; i < pool_->size(); ++i) scratch_.emplace_back(layout_);
}

void FusedGradient::act(const float* params, std::span<const float> observations, std::span<float> out) {
  run(actor_, params, observations, spec().action_dim, out);
}

void FusedGradient::value(const float* params, std::span<const float> observations, std::span<float> out) {
  run(critic_, params, observations, 1, out);
}

PpoLossStats FusedGradient::compute(const float* params, const float* backward_weights, const PpoBatch& batch,
                                    const PpoLossSettings& loss) {
  advantages_.resize(batch.size());
  normalize_advantages(batch.advantages, loss.normalize_advantages, advantages_);
  const std::size_t n = batch.size();
  const std::size_t even = std::max(kMinChunk, (n + kMaxChunks - 1) / kMaxChunks);
  const std::size_t chunk = n <= kMinChunk ? n : (even + kFusedBlock - 1) / kFusedBlock * kFusedBlock;
  const std::size_t num_chunks = (n + chunk - 1) / chunk;
  const std::size_t parts = spec().shared_trunk ? 1 : 2;  // tasks of a chunk
  gradients_.resize(num_chunks * layout_.size());
  sums_.resize(parts * num_chunks);
  const Problem problem{params, backward_weights, batch, loss};
  std::atomic<std::size_t> next_scratch{0};
  pool_->parallel_tasks(sums_.size(), [&](std::size_t begin, std::size_t end) noexcept {
    FusedScratch& scratch = scratch_[next_scratch++];
    for (std::size_t t = begin; t < end; ++t) {
      const std::size_t from = t / parts * chunk;
      const Shard shard{from, std::min(from + chunk, n), chunk_gradient(t / parts)};
      const Part part = parts == 1 ? Part::kBoth : t % 2 == 0 ? Part::kPolicy : Part::kValue;
      sums_[t] = differentiate(part, shard, problem, scratch);
    }
  });
  kernels::LossSums total;
  for (const kernels::LossSums& sums : sums_) add(total, sums);
  for (std::size_t c = 1; c < num_chunks; ++c)
    kernels_.add(layout_.size(), chunk_gradient(c), chunk_gradient(0));
  float* const log_std_gradient = chunk_gradient(0) + layout_.log_std_offset();
  // d H / d log_std = 1 for every sample alike
  for (std::size_t j = 0; j < layout_.flat().log_std_size(); ++j) log_std_gradient[j] -= loss.entropy_coef;
  return mean_loss(to_stats(total), n, loss);
}

void FusedGradient::run(const FusedNetwork& net, const float* params, std::span<const float> observations,
                        std::size_t width, std::span<float> out) {
  const std::size_t obs_dim = spec().obs_dim;
  const std::size_t rows = observations.size() / obs_dim;
  std::atomic<std::size_t> next_scratch{0};
  pool_->parallel_for(rows, kActGrain, [&](std::size_t begin, std::size_t end) noexcept {
    FusedScratch& scratch = scratch_[next_scratch++];
    for (std::size_t row = begin; row < end; row += kFusedBlock) {
      net.forward(params, observations.data() + row * obs_dim, std::min(kFusedBlock, end - row), scratch,
                  out.data() + row * width, Keep::kNothing);
    }
  });
}

kernels::LossSums FusedGradient::differentiate(Part part, const Shard& shard, const Problem& problem,
                                               FusedScratch& scratch) const noexcept {
  if (part != Part::kValue) {
    std::fill_n(shard.gradient + layout_.log_std_offset(), kernels::padded(layout_.flat().log_std_size()),
                0.0F);
  }
  const auto block = part == Part::kPolicy  ? &FusedGradient::policy_block
                     : part == Part::kValue ? &FusedGradient::value_block
                                            : &FusedGradient::joint_block;
  kernels::LossSums total;
  for (std::size_t row = shard.begin; row < shard.end; row += kFusedBlock) {
    const std::size_t rows = std::min(kFusedBlock, shard.end - row);
    add(total, (this->*block)(shard, problem, row, rows, scratch));
  }
  return total;
}

kernels::LossSums FusedGradient::policy_block(const Shard& shard, const Problem& problem, std::size_t row,
                                              std::size_t rows, FusedScratch& scratch) const noexcept {
  const float* const x = problem.batch.observations.data() + row * spec().obs_dim;
  actor_.forward(problem.params, x, rows, scratch, scratch.outputs.data(), Keep::kForBackward);
  const kernels::LossSums sums =
      policy_loss(shard, problem, row, rows, scratch.outputs.data(), scratch.output_gradient.data(), scratch);
  actor_.backward(problem.params, problem.backward_weights, x, rows, scratch, shard.gradient,
                  row != shard.begin);
  return sums;
}

kernels::LossSums FusedGradient::value_block(const Shard& shard, const Problem& problem, std::size_t row,
                                             std::size_t rows, FusedScratch& scratch) const noexcept {
  const float* const x = problem.batch.observations.data() + row * spec().obs_dim;
  critic_.forward(problem.params, x, rows, scratch, scratch.outputs.data(), Keep::kForBackward);
  const kernels::LossSums sums =
      value_loss(problem, row, rows, scratch.outputs.data(), scratch.output_gradient.data());
  critic_.backward(problem.params, problem.backward_weights, x, rows, scratch, shard.gradient,
                   row != shard.begin);
  return sums;
}

/// Both losses over a shared trunk, which runs forward and backward once. The loss kernels want their columns
/// apart, the joint head gives and takes them together.
kernels::LossSums FusedGradient::joint_block(const Shard& shard, const Problem& problem, std::size_t row,
                                             std::size_t rows, FusedScratch& scratch) const noexcept {
  const std::size_t width = spec().action_dim;
  const float* const x = problem.batch.observations.data() + row * spec().obs_dim;
  joint_.forward(problem.params, x, rows, scratch, scratch.outputs.data(), Keep::kForBackward);
  for (std::size_t i = 0; i < rows; ++i) {
    const float* const from = scratch.outputs.data() + i * (width + 1);
    std::copy_n(from, width, scratch.policy.data() + i * width);
    scratch.value[i] = from[width];
  }
  kernels::LossSums sums =
      policy_loss(shard, problem, row, rows, scratch.policy.data(), scratch.policy_gradient.data(), scratch);
  add(sums, value_loss(problem, row, rows, scratch.value.data(), scratch.value_gradient.data()));
  for (std::size_t i = 0; i < rows; ++i) {
    float* const to = scratch.output_gradient.data() + i * (width + 1);
    std::copy_n(scratch.policy_gradient.data() + i * width, width, to);
    to[width] = scratch.value_gradient[i];
  }
  joint_.backward(problem.params, problem.backward_weights, x, rows, scratch, shard.gradient,
                  row != shard.begin);
  return sums;
}

kernels::LossSums FusedGradient::policy_loss(const Shard& shard, const Problem& problem, std::size_t row,
                                             std::size_t rows, const float* policy, float* gradient,
                                             FusedScratch& scratch) const noexcept {
  const PpoBatch& batch = problem.batch;
  const std::size_t width = spec().action_dim;
  const bool has_base = !batch.base_policy.empty();
  const kernels::PolicyLoss head{.rows = rows,
                                 .outputs = width,
                                 .policy = policy,
                                 .actions = batch.actions.data() + row * (spec().discrete ? 1 : width),
                                 .log_probs = batch.log_probs.data() + row,
                                 .advantages = advantages_.data() + row,
                                 .log_std = problem.params + layout_.log_std_offset(),
                                 .base_policy = has_base ? batch.base_policy.data() + row * width : nullptr,
                                 .base_log_std = batch.base_log_std.data(),
                                 .clip_range = problem.loss.clip_range,
                                 .entropy_coef = problem.loss.entropy_coef,
                                 .kl_penalty = problem.loss.kl_penalty,
                                 .inverse_n = 1.0F / static_cast<float>(batch.size()),
                                 .gradient = gradient,
                                 .log_std_gradient = shard.gradient + layout_.log_std_offset(),
                                 .scratch = scratch.head.data()};
  return spec().discrete ? kernels_.categorical_loss(head) : kernels_.gaussian_loss(head);
}

kernels::LossSums FusedGradient::value_loss(const Problem& problem, std::size_t row, std::size_t rows,
                                            const float* values, float* gradient) const noexcept {
  return kernels_.value_loss({.rows = rows,
                              .values = values,
                              .old_values = problem.batch.values.data() + row,
                              .returns = problem.batch.returns.data() + row,
                              .clip = problem.loss.value_clip_range,
                              .scale = problem.loss.value_coef / static_cast<float>(problem.batch.size()),
                              .gradient = gradient});
}

}  // namespace murmur
