// The reference back end: any network that ActorCritic describes, gradients by libtorch's autograd, CPU or
// CUDA.
//
// On the CPU, rows are worked off in chunks of a fixed size, each with a graph of its own, whose gradients
// are added in order: the bytes do not depend on the number of threads, and activations stay in the cache.
//
// Parameters and Adam live in host memory; the networks read a copy that is renewed after every step. On the
// CPU that copy costs a microsecond, and it keeps one code path for both devices.
#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "murmur/agents/actor_critic.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/ppo_backend.hpp"
#include "murmur/base/check.hpp"
#include "torch_threads.hpp"

namespace murmur {
namespace {

at::Device choose_device(Device wanted) {
  const bool available = wanted != Device::kCpu && at::hasCUDA();
  if (wanted == Device::kCuda && !available) {
    throw_invalid(
        "device is 'cuda', but libtorch finds no CUDA device: use 'auto' or 'cpu', or install the CUDA "
        "build of torch and a driver");
  }
  return available ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
}

// Activations of 64 units are half a megabyte then and stay in the second-level cache (measured: a tenth less
// CPU time per sample than with 16,384 rows at once; 512 are slower again, since every operation has a
// price).
constexpr std::size_t kChunkRows = 2048;

/// Samples [begin, end) of `batch`, with other advantages.
PpoBatch part_of(const PpoBatch& batch, std::span<const float> advantages, std::size_t begin,
                 std::size_t end) {
  const auto rows = [&](std::span<const float> array) {
    const std::size_t width = array.size() / batch.size();
    return array.subspan(begin * width, (end - begin) * width);
  };
  return {.observations = rows(batch.observations),
          .actions = rows(batch.actions),
          .log_probs = rows(batch.log_probs),
          .advantages = rows(advantages),
          .returns = rows(batch.returns),
          .values = rows(batch.values),
          .base_policy = rows(batch.base_policy),
          .base_log_std = batch.base_log_std};
}

class LibtorchBackend final : public PpoBackend {
 public:
  LibtorchBackend(const PolicyLayout& layout, Device device, std::shared_ptr<ThreadPool> pool,
                  std::string_view why)
      : device_(choose_device(device)),
        name_(std::string("libtorch on ") + (device_.is_cuda() ? "cuda" : "cpu")),
        net_(layout, device_),
        pool_(std::move(pool)),
        params_(layout.num_params()),
        gradient_(layout.num_params()),
        adam_(layout.num_params()) {
    if (!why.empty()) name_.append(" (").append(why).append(")");
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }

  void get_params(std::span<float> params) const override {
    check_size("params", params_.size(), params.size());
    std::copy(params_.begin(), params_.end(), params.begin());
  }

  void set_params(std::span<const float> params) override {
    check_size("params", params_.size(), params.size());
    std::copy(params.begin(), params.end(), params_.begin());
    publish_params();
  }

  [[nodiscard]] AdamState optimizer_state() const override { return adam_; }

  void set_optimizer_state(const AdamState& state) override {
    check_size("first moments", params_.size(), state.first.size());
    check_size("second moments", params_.size(), state.second.size());
    adam_ = state;
  }

  [[nodiscard]] bool starts_threads() const noexcept override { return true; }

  void enter() override { callers_threads_ = set_torch_threads(1); }
  void leave() noexcept override { set_torch_threads(callers_threads_); }

  void act(std::span<const float> observations, std::span<float> policy) override {
    infer(observations, policy, [this](const at::Tensor& rows) { return net_.policy(rows); });
  }

  void log_std(std::span<float> log_std) const override {
    check_size("log_std", net_.layout().log_std_size(), log_std.size());
    std::copy_n(params_.begin() + static_cast<std::ptrdiff_t>(net_.layout().log_std_offset()), log_std.size(),
                log_std.begin());
  }

  void value(std::span<const float> observations, std::span<float> values) override {
    infer(observations, values, [this](const at::Tensor& rows) { return net_.value(rows); });
  }

  PpoLossStats step(const PpoBatch& batch, const PpoLossSettings& loss, const AdamSettings& adam,
                    double max_kl) override {
    check_batch(net_.layout().spec(), batch);
    const PpoLossStats stats = compute_gradient(batch, loss);
    if (!std::isfinite(stats.loss)) throw NonFiniteError("the loss " + describe_non_finite(stats));
    if (max_kl > 0.0 && stats.approx_kl > max_kl) return stats;
    const double norm = l2_norm(gradient_);
    if (!std::isfinite(norm)) throw_bad_gradient();
    adam_step(adam, gradient_, clip_factor(norm, adam.max_grad_norm), adam_, params_);
    publish_params();
    return stats;
  }

 private:
  /// What is found out about one chunk of a minibatch.
  struct Chunk {
    double share = 0.0;           // of the minibatch
    PpoLossStats stats;           // means over the chunk
    std::vector<float> gradient;  // [P], of the chunk's part of the minibatch's loss
    std::vector<float> policy;    // [rows, A], d loss / d policy output
    std::vector<float> value;     // [rows], likewise
  };

  [[nodiscard]] std::size_t obs_dim() const noexcept { return net_.layout().spec().obs_dim; }

  /// Rows of every chunk but the last, of n rows. A GPU takes all at once.
  [[nodiscard]] std::size_t chunk_rows(std::size_t n) const noexcept {
    return device_.is_cpu() ? kChunkRows : n;
  }

  /// Call `body(chunk, begin, end)` for the chunks of n rows on the pool, and throw what the first one threw.
  ///
  /// One thread inside an operation: at RL's sizes a second one costs more than it brings, and a reduction
  /// split over threads would change the bytes.
  template <class Body>
  void for_chunks(std::size_t n, const Body& body) {
    const std::size_t rows = chunk_rows(n), chunks = (n + rows - 1) / rows;
    std::vector<std::exception_ptr> errors(chunks);
    pool_->parallel_tasks(chunks, [&](std::size_t begin, std::size_t end) noexcept {
      set_torch_threads(1);
      for (std::size_t c = begin; c < end; ++c) {
        try {
          body(c, c * rows, std::min(c * rows + rows, n));
        } catch (...) {
          errors[c] = std::current_exception();
        }
      }
    });
    for (const std::exception_ptr& error : errors)
      if (error) std::rethrow_exception(error);
  }

  /// Run `net` on `observations` [N, D] without gradients, and write its outputs into `out`.
  template <class Net>
  void infer(std::span<const float> observations, std::span<float> out, const Net& net) {
    if (observations.empty() || observations.size() % obs_dim() != 0) {
      throw_invalid("expected rows of " + std::to_string(obs_dim()) + " numbers, got " +
                    std::to_string(observations.size()));
    }
    const std::size_t n = observations.size() / obs_dim(), width = out.size() / n;
    for_chunks(n, [&](std::size_t /*chunk*/, std::size_t begin, std::size_t end) {
      const c10::InferenceMode no_gradients;
      const std::size_t rows = end - begin;
      copy_out(net(to_device(observations.subspan(begin * obs_dim(), rows * obs_dim()), obs_dim())),
               rows == n ? out : out.subspan(begin * width, rows * width));
    });
  }

  /// View host rows [B, width] as a tensor, on the network's device. The rows must outlive it.
  [[nodiscard]] at::Tensor to_device(std::span<const float> rows, std::size_t width) const {
    // from_blob wants mutable memory; nothing here writes to it.
    at::Tensor host =
        at::from_blob(const_cast<float*>(rows.data()),
                      {static_cast<std::int64_t>(rows.size() / width), static_cast<std::int64_t>(width)},
                      at::TensorOptions().dtype(at::kFloat));
    return device_.is_cpu() ? host : host.to(device_);
  }

  static void copy_out(const at::Tensor& from, std::span<float> to) {
    const at::Tensor host = from.to(at::kCPU).contiguous();
    check_size("network output", static_cast<std::size_t>(host.numel()), to.size());
    std::copy_n(host.const_data_ptr<float>(), to.size(), to.begin());
  }

  /// Fill `gradient_` with the gradient of the loss over `batch`.
  PpoLossStats compute_gradient(const PpoBatch& batch, PpoLossSettings loss) {
    const std::size_t n = batch.size();
    advantages_.resize(n);
    normalize_advantages(batch.advantages, loss.normalize_advantages, advantages_);
    loss.normalize_advantages = false;  // the chunks' own means are not meant
    chunks_.resize((n + chunk_rows(n) - 1) / chunk_rows(n));
    for_chunks(n, [&](std::size_t c, std::size_t begin, std::size_t end) {
      const double share = static_cast<double>(end - begin) / static_cast<double>(n);
      differentiate(part_of(batch, advantages_, begin, end), loss, share, chunks_[c]);
    });
    PpoLossStats stats;
    std::ranges::fill(gradient_, 0.0F);
    for (const Chunk& chunk : chunks_) {
      add_share(stats, chunk.stats, chunk.share);
      std::ranges::transform(gradient_, chunk.gradient, gradient_.begin(), std::plus());
    }
    return stats;
  }

  /// Fill `chunk` from samples that are this `share` of a minibatch.
  void differentiate(const PpoBatch& samples, const PpoLossSettings& loss, double share, Chunk& chunk) const {
    const auto [policy, value] = net_.outputs(to_device(samples.observations, obs_dim()));
    chunk.share = share;
    chunk.stats = differentiate_loss(samples, loss, policy, value, chunk);
    for (std::vector<float>* const gradient : {&chunk.policy, &chunk.value, &chunk.gradient})
      for (float& x : *gradient) x *= static_cast<float>(share);
    backpropagate(policy, value, chunk);
  }

  /// Fill the gradients of the loss with respect to policy, log_std and value.
  PpoLossStats differentiate_loss(const PpoBatch& samples, const PpoLossSettings& loss,
                                  const at::Tensor& policy, const at::Tensor& value, Chunk& chunk) const {
    const at::Tensor host_policy = policy.detach().to(at::kCPU).contiguous();
    const at::Tensor host_value = value.detach().to(at::kCPU).contiguous();
    chunk.policy.resize(static_cast<std::size_t>(host_policy.numel()));
    chunk.value.resize(static_cast<std::size_t>(host_value.numel()));
    chunk.gradient.assign(params_.size(), 0.0F);
    const std::size_t at = net_.layout().log_std_offset(), size = net_.layout().log_std_size();
    return ppo_loss(loss, samples,
                    {.policy = {host_policy.const_data_ptr<float>(), chunk.policy.size()},
                     .log_std = std::span<const float>(params_).subspan(at, size),
                     .values = {host_value.const_data_ptr<float>(), chunk.value.size()}},
                    {.policy = chunk.policy,
                     .log_std = std::span<float>(chunk.gradient).subspan(at, size),
                     .values = chunk.value});
  }

  /// Push the gradients of the outputs through both networks.
  void backpropagate(const at::Tensor& policy, const at::Tensor& value, Chunk& chunk) const {
    const torch::autograd::variable_list gradients = torch::autograd::grad(
        {policy, value}, net_.leaves(),
        {to_device(chunk.policy, net_.layout().spec().action_dim), to_device(chunk.value, 1)});
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      const at::Tensor host = gradients[i].to(at::kCPU).contiguous();
      std::copy_n(host.const_data_ptr<float>(), host.numel(),
                  chunk.gradient.begin() + static_cast<std::ptrdiff_t>(net_.offsets()[i]));
    }
  }

  void publish_params() {
    const c10::InferenceMode no_gradients;
    net_.flat().copy_(at::from_blob(params_.data(), {static_cast<std::int64_t>(params_.size())},
                                    at::TensorOptions().dtype(at::kFloat)));
  }

  [[noreturn]] void throw_bad_gradient() const {
    for (std::size_t i = 0; i < gradient_.size(); ++i) {
      if (std::isfinite(gradient_[i])) continue;
      throw NonFiniteError("the gradient of " + net_.layout().describe(i) + " is not finite");
    }
    throw NonFiniteError("the gradient's norm overflows");
  }

  at::Device device_;
  std::string name_;
  ActorCritic net_;
  std::shared_ptr<ThreadPool> pool_;
  std::vector<float> params_;      // [P], on the host
  std::vector<float> gradient_;    // [P]
  std::vector<float> advantages_;  // [B], of the whole minibatch, normalised if asked to
  std::vector<Chunk> chunks_;
  AdamState adam_;
  int callers_threads_ = 1;  // between `enter` and `leave`
};

}  // namespace

std::unique_ptr<PpoBackend> make_libtorch_backend(const PolicyLayout& layout, Device device,
                                                  std::shared_ptr<ThreadPool> pool, std::string_view why) {
  return std::make_unique<LibtorchBackend>(layout, device, std::move(pool), why);
}

bool libtorch_has_cuda() {
  return at::hasCUDA();
}

}  // namespace murmur
