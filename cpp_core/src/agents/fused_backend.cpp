// Data-parallel over samples. A minibatch is cut into chunks by its size alone, each chunk's gradient is
// summed in sample order into memory of its own, and the chunks are added in order: the bytes do not depend
// on who computed what. Actor and critic share nothing, so that a minibatch of one chunk still feeds two
// threads.
#include "murmur/agents/fused_backend.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>
#include <vector>

#include "murmur/agents/fused_layout.hpp"
#include "murmur/agents/fused_network.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/base/check.hpp"

namespace murmur {
namespace {

constexpr std::size_t kMaxUnits = 512;   // wider layers no longer fit the caches that the kernels count on
constexpr std::size_t kMaxOutputs = 64;  // heads are treated output by output
constexpr std::size_t kMaxChunks = 16;   // bounds the memory of partial gradients
constexpr std::size_t kMinChunk = 256;   // below, adding partial gradients costs more than a thread brings
constexpr std::size_t kActGrain = 192;   // rows worth waking a second thread for
constexpr std::size_t kShard = 16;       // ThreadPool shards begin at multiples of this

/// Shift and scale advantages of a minibatch to mean 0 and standard deviation 1, in double as ppo_loss does.
void normalize(std::span<const float> advantages, bool enabled, std::span<float> out) {
  // One sample has no spread: normalising would make its advantage zero and waste the step.
  if (!enabled || advantages.size() < 2) {
    std::ranges::copy(advantages, out.begin());
    return;
  }
  constexpr std::size_t kLanes = 8;  // fixed, for a sum that vectorises and never depends on the machine
  const auto n = static_cast<double>(advantages.size());
  auto sum = [&](auto term) {
    double lane[kLanes] = {};
    const std::size_t whole = advantages.size() - advantages.size() % kLanes;
    for (std::size_t i = 0; i < whole; i += kLanes) {
      for (std::size_t k = 0; k < kLanes; ++k) lane[k] += term(static_cast<double>(advantages[i + k]));
    }
    double total = 0.0;
    for (const double x : lane) total += x;
    for (std::size_t i = whole; i < advantages.size(); ++i) total += term(static_cast<double>(advantages[i]));
    return total;
  };
  const double mean = sum([](double a) { return a; }) / n;
  const double squares = sum([mean](double a) { return (a - mean) * (a - mean); });
  const double inverse_std = 1.0 / (std::sqrt(squares / (n - 1.0)) + 1e-8);  // unbiased, as torch.std
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>((static_cast<double>(advantages[i]) - mean) * inverse_std);
}

void add(kernels::LossSums& sum, const kernels::LossSums& x) noexcept {
  sum.policy_loss += x.policy_loss;
  sum.value_loss += x.value_loss;
  sum.entropy += x.entropy;
  sum.approx_kl += x.approx_kl;
  sum.clip_fraction += x.clip_fraction;
}

PpoLossStats to_stats(const kernels::LossSums& sums, const PpoLossSettings& settings, std::size_t n) {
  const double scale = 1.0 / static_cast<double>(n);
  PpoLossStats stats{.policy_loss = sums.policy_loss * scale,
                     .value_loss = sums.value_loss * scale,
                     .entropy = sums.entropy * scale,
                     .approx_kl = sums.approx_kl * scale,
                     .clip_fraction = sums.clip_fraction * scale};
  stats.loss = stats.policy_loss - static_cast<double>(settings.entropy_coef) * stats.entropy +
               static_cast<double>(settings.value_coef) * stats.value_loss;
  return stats;
}

class FusedBackend final : public PpoBackend {
 public:
  FusedBackend(const PolicyLayout& layout, std::shared_ptr<ThreadPool> pool,
               const kernels::KernelSet& kernels)
      : kernels_(kernels),
        layout_(layout),
        actor_(kernels, layout_.actor(), nonlinearity()),
        critic_(kernels, layout_.critic(), nonlinearity()),
        pool_(std::move(pool)),
        name_("fused (" + std::string(kernels.name) + ") on cpu"),
        params_(layout_.size()),
        backward_weights_(layout_.backward_size()),
        first_(layout_.size()),
        second_(layout_.size()) {
    for (int i = 0; i < pool_->size(); ++i) scratch_.emplace_back(layout_);
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }

  void get_params(std::span<float> params) const override {
    check_size("params", num_params(), params.size());
    layout_.unpack(params_, params);
  }

  void set_params(std::span<const float> params) override {
    check_size("params", num_params(), params.size());
    layout_.pack(params, params_);
    layout_.transpose(params_, backward_weights_);
  }

  [[nodiscard]] AdamState optimizer_state() const override {
    AdamState state(num_params());
    layout_.unpack(first_, state.first);
    layout_.unpack(second_, state.second);
    state.steps = steps_;
    return state;
  }

  void set_optimizer_state(const AdamState& state) override {
    check_size("first moments", num_params(), state.first.size());
    check_size("second moments", num_params(), state.second.size());
    layout_.pack(state.first, first_);
    layout_.pack(state.second, second_);
    steps_ = state.steps;
  }

  void enter() override {}

  void act(std::span<const float> observations, std::span<float> policy) override {
    run(actor_, observations, spec().action_dim, policy);
  }

  void log_std(std::span<float> log_std) const override {
    check_size("log_std", layout_.flat().log_std_size(), log_std.size());
    std::copy_n(params_.data() + layout_.log_std_offset(), log_std.size(), log_std.begin());
  }

  void value(std::span<const float> observations, std::span<float> values) override {
    run(critic_, observations, 1, values);
  }

  PpoLossStats step(const PpoBatch& batch, const PpoLossSettings& loss, const AdamSettings& adam,
                    double max_kl) override {
    check_shapes(batch);
    advantages_.resize(batch.size());
    normalize(batch.advantages, loss.normalize_advantages, advantages_);
    const PpoLossStats stats = differentiate(batch, loss);
    if (!std::isfinite(stats.loss)) throw NonFiniteError("the loss " + describe_non_finite(stats));
    if (max_kl > 0.0 && stats.approx_kl > max_kl) return stats;
    const double norm = std::sqrt(kernels_.sum_of_squares(layout_.size(), gradient(0)));
    if (!std::isfinite(norm)) throw_bad_gradient();
    take_step(adam, clip_factor(norm, adam.max_grad_norm));
    return stats;
  }

 private:
  /// Samples [begin, end) of the minibatch through one network, and where their gradient goes.
  struct Task {
    std::size_t begin, end;
    float* gradient;
  };

  [[nodiscard]] const PolicySpec& spec() const noexcept { return layout_.flat().spec(); }
  [[nodiscard]] std::size_t num_params() const noexcept { return layout_.flat().num_params(); }
  [[nodiscard]] kernels::Nonlinearity nonlinearity() const noexcept {
    return spec().activation == Activation::kTanh ? kernels::Nonlinearity::kTanh
                                                  : kernels::Nonlinearity::kRelu;
  }
  [[nodiscard]] float* gradient(std::size_t chunk) noexcept {
    return gradients_.data() + chunk * layout_.size();
  }

  void check_shapes(const PpoBatch& batch) const {
    const std::size_t n = batch.size();
    if (n == 0) throw_invalid("the minibatch is empty");
    check_size("observations", n * spec().obs_dim, batch.observations.size());
    check_size("actions", spec().discrete ? n : n * spec().action_dim, batch.actions.size());
    check_size("log_probs", n, batch.log_probs.size());
    check_size("advantages", n, batch.advantages.size());
    check_size("values", n, batch.values.size());
  }

  /// Call `body(scratch, begin, end)` for shards of [0, n) on the pool.
  template <class Body>
  void parallel(std::size_t n, std::size_t grain, const Body& body) {
    std::atomic<std::size_t> next_scratch{0};
    pool_->parallel_for(n, grain, [&](std::size_t begin, std::size_t end) noexcept {
      body(scratch_[next_scratch.fetch_add(1, std::memory_order_relaxed)], begin, end);
    });
  }

  void run(const FusedNetwork& net, std::span<const float> observations, std::size_t width,
           std::span<float> out) {
    const std::size_t obs_dim = spec().obs_dim;
    if (observations.empty() || observations.size() % obs_dim != 0) {
      throw_invalid("expected rows of " + std::to_string(obs_dim) + " numbers, got " +
                    std::to_string(observations.size()));
    }
    const std::size_t rows = observations.size() / obs_dim;
    check_size("network output", rows * width, out.size());
    parallel(rows, kActGrain, [&](FusedScratch& scratch, std::size_t begin, std::size_t end) noexcept {
      for (std::size_t row = begin; row < end; row += kFusedBlock) {
        net.forward(params_.data(), observations.data() + row * obs_dim, std::min(kFusedBlock, end - row),
                    scratch, out.data() + row * width);
      }
    });
  }

  /// Fill gradient(0) with the gradient of the loss and return the loss.
  PpoLossStats differentiate(const PpoBatch& batch, const PpoLossSettings& loss) {
    const std::size_t n = batch.size();
    const std::size_t even = std::max(kMinChunk, (n + kMaxChunks - 1) / kMaxChunks);
    const std::size_t chunk = n <= kMinChunk ? n : (even + kFusedBlock - 1) / kFusedBlock * kFusedBlock;
    const std::size_t num_chunks = (n + chunk - 1) / chunk;
    gradients_.resize(num_chunks * layout_.size());
    const std::size_t num_tasks = 2 * num_chunks;
    sums_.resize(num_tasks);
    parallel(num_tasks * kShard, 1, [&](FusedScratch& scratch, std::size_t begin, std::size_t end) noexcept {
      for (std::size_t t = begin / kShard; t * kShard < end; ++t) {
        const std::size_t from = t / 2 * chunk;
        const Task task{from, std::min(from + chunk, n), gradient(t / 2)};
        sums_[t] = t % 2 == 0 ? differentiate_policy(task, batch, loss, scratch)
                              : differentiate_value(task, batch, loss, scratch);
      }
    });
    kernels::LossSums total;
    for (const kernels::LossSums& sums : sums_) add(total, sums);
    for (std::size_t c = 1; c < num_chunks; ++c) kernels_.add(layout_.size(), gradient(c), gradient(0));
    float* const log_std_gradient = gradient(0) + layout_.log_std_offset();
    // d H / d log_std = 1 for every sample alike
    for (std::size_t j = 0; j < layout_.flat().log_std_size(); ++j) log_std_gradient[j] -= loss.entropy_coef;
    return to_stats(total, loss, n);
  }

  kernels::LossSums differentiate_policy(const Task& task, const PpoBatch& batch, const PpoLossSettings& loss,
                                         FusedScratch& scratch) noexcept {
    const std::size_t width = spec().action_dim;
    const std::size_t action_width = spec().discrete ? 1 : width;
    float* const log_std_gradient = task.gradient + layout_.log_std_offset();
    std::fill_n(log_std_gradient, kernels::padded(layout_.flat().log_std_size()), 0.0F);
    kernels::LossSums total;
    for (std::size_t row = task.begin; row < task.end; row += kFusedBlock) {
      const std::size_t rows = std::min(kFusedBlock, task.end - row);
      const float* const x = batch.observations.data() + row * spec().obs_dim;
      actor_.forward(params_.data(), x, rows, scratch, scratch.outputs.data());
      const kernels::PolicyLoss head{.rows = rows,
                                     .outputs = width,
                                     .policy = scratch.outputs.data(),
                                     .actions = batch.actions.data() + row * action_width,
                                     .log_probs = batch.log_probs.data() + row,
                                     .advantages = advantages_.data() + row,
                                     .log_std = params_.data() + layout_.log_std_offset(),
                                     .clip_range = loss.clip_range,
                                     .entropy_coef = loss.entropy_coef,
                                     .inverse_n = 1.0F / static_cast<float>(batch.size()),
                                     .gradient = scratch.output_gradient.data(),
                                     .log_std_gradient = log_std_gradient,
                                     .scratch = scratch.head.data()};
      add(total, spec().discrete ? kernels_.categorical_loss(head) : kernels_.gaussian_loss(head));
      actor_.backward(params_.data(), backward_weights_.data(), x, rows, scratch, task.gradient,
                      row != task.begin);
    }
    return total;
  }

  kernels::LossSums differentiate_value(const Task& task, const PpoBatch& batch, const PpoLossSettings& loss,
                                        FusedScratch& scratch) noexcept {
    kernels::LossSums total;
    for (std::size_t row = task.begin; row < task.end; row += kFusedBlock) {
      const std::size_t rows = std::min(kFusedBlock, task.end - row);
      const float* const x = batch.observations.data() + row * spec().obs_dim;
      critic_.forward(params_.data(), x, rows, scratch, scratch.outputs.data());
      add(total, kernels_.value_loss({.rows = rows,
                                      .values = scratch.outputs.data(),
                                      .old_values = batch.values.data() + row,
                                      .returns = batch.returns.data() + row,
                                      .clip = loss.value_clip_range,
                                      .scale = loss.value_coef / static_cast<float>(batch.size()),
                                      .gradient = scratch.output_gradient.data()}));
      critic_.backward(params_.data(), backward_weights_.data(), x, rows, scratch, task.gradient,
                       row != task.begin);
    }
    return total;
  }

  void take_step(const AdamSettings& settings, float factor) {
    ++steps_;
    const AdamScalars s = adam_scalars(settings, steps_);
    kernels_.adam({.size = layout_.size(),
                   .gradient = gradient(0),
                   .factor = factor,
                   .beta1 = s.beta1,
                   .beta2 = s.beta2,
                   .rest1 = s.rest1,
                   .rest2 = s.rest2,
                   .step_size = s.step_size,
                   .root_scale = s.root_scale,
                   .epsilon = s.epsilon,
                   .first = first_.data(),
                   .second = second_.data(),
                   .params = params_.data()});
    layout_.transpose(params_, backward_weights_);
  }

  [[noreturn]] void throw_bad_gradient() {
    std::vector<float> flat(num_params());
    layout_.unpack({gradient(0), layout_.size()}, flat);
    for (std::size_t i = 0; i < flat.size(); ++i) {
      if (std::isfinite(flat[i])) continue;
      throw NonFiniteError("the gradient of " + layout_.flat().describe(i) + " is not finite");
    }
    throw NonFiniteError("the gradient's norm overflows");
  }

  const kernels::KernelSet& kernels_;
  FusedLayout layout_;
  FusedNetwork actor_;
  FusedNetwork critic_;
  std::shared_ptr<ThreadPool> pool_;
  std::string name_;
  std::vector<FusedScratch> scratch_;  // one a thread
  kernels::AlignedFloats params_;      // packed
  kernels::AlignedFloats backward_weights_;
  kernels::AlignedFloats first_;         // packed
  kernels::AlignedFloats second_;        // packed
  kernels::AlignedFloats gradients_;     // [chunks, packed]
  std::vector<kernels::LossSums> sums_;  // of each task
  std::vector<float> advantages_;        // [B], normalised
  std::int64_t steps_ = 0;
};

}  // namespace

std::string why_not_fused(const PolicyLayout& layout) {
  for (const std::int64_t units : layout.spec().hidden) {
    if (units > static_cast<std::int64_t>(kMaxUnits)) {
      return "a layer of " + std::to_string(units) + " units is wider than " + std::to_string(kMaxUnits);
    }
  }
  if (layout.spec().action_dim > kMaxOutputs) {
    return "a head of " + std::to_string(layout.spec().action_dim) + " outputs is wider than " +
           std::to_string(kMaxOutputs);
  }
  if (!kernels::has_vector_kernels()) return "this CPU has neither AVX2 nor NEON";
  return {};
}

std::unique_ptr<PpoBackend> make_fused_backend(const PolicyLayout& layout, Device device,
                                               std::shared_ptr<ThreadPool> pool,
                                               const kernels::KernelSet& kernels) {
  if (device == Device::kCuda) {
    throw_invalid("backend 'fused' runs on the CPU, but device is 'cuda': use backend 'libtorch' or 'auto'");
  }
  if (pool == nullptr) throw_invalid("pool must not be null");
  return std::make_unique<FusedBackend>(layout, std::move(pool), kernels);
}

}  // namespace murmur
