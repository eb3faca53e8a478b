#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "murmur/base/rng.hpp"
#include "murmur/envs/variants.hpp"
#include "murmur/envs/vector_env.hpp"

namespace murmur::python {

/// A batch of environments that Python steps, one after another or all at once, and with the GIL held: a call
/// of `step` is one call into Python.
///
/// Python makes, resets and steps them; which env is of which variant, what episode comes next and how long
/// the running one is are known here, as of the core's own. Where Python has all in one object, that object
/// begins the episodes after the first by itself: the seeds drawn here are only of those it begins with.
/// Running episodes are not part of what `save` writes: after `load` every env begins its next one.
///
/// Every function may be called with or without the GIL. Errors of Python come as
/// pybind11::error_already_set.
class PythonVectorEnv final : public VectorEnv {
 public:
  static constexpr std::size_t kMaxPythonEnvs =
      4096;  // objects of Python: thousands of times as large as ours

  /// `batch_type(actions, observations, rewards, terminated, truncated, final_observations, resting,
  /// waiting)` takes arrays float32[N, A], float32[N, D], float32[N], two of uint8[N], float32[N, D] and two
  /// of uint8[N], and returns what works on them: see peer/python_envs/batch.py. It must outlive the batch.
  /// Throws std::invalid_argument unless 1 <= num_envs <= kMaxPythonEnvs.
  PythonVectorEnv(const EnvSpec& spec, pybind11::handle batch_type, std::size_t num_envs, std::uint64_t seed);
  ~PythonVectorEnv() override;

  void reset(std::uint64_t seed) override;
  void observe(std::span<float> observations) const noexcept override;
  void step(std::span<const float> actions, const StepOutput& out) override;
  void rest(std::size_t i) noexcept override;
  [[nodiscard]] std::span<const std::uint8_t> waiting() const noexcept override;
  std::vector<std::size_t> assign_variants(std::span<const EnvVariant> variants) override;
  [[nodiscard]] std::span<const std::int32_t> variant_of() const noexcept override;
  /// Throws std::invalid_argument: nobody knows how to copy such an env's state.
  void get_state(std::size_t i, std::span<float> state) const override;
  void set_state(std::size_t i, std::span<const float> state, std::size_t elapsed_steps) override;
  void save(BlobWriter& writer) const override;
  void load(BlobReader& reader) override;
  [[nodiscard]] bool saves_episodes() const noexcept override { return false; }

 private:
  struct Batch;
  struct DropBatch {
    void operator()(Batch* batch) const noexcept;
  };
  using BatchPtr = std::unique_ptr<Batch, DropBatch>;

  // All of these with the GIL held.
  [[nodiscard]] BatchPtr make_batch() const;
  void build(Batch& batch, std::size_t i) const;
  void start_episode(std::size_t i);
  void end_episode(std::size_t i, const StepOutput& out);
  /// Have Python carry out what was built and started. Returns the envs that began anew, ascending.
  std::vector<std::size_t> settle();

  void count_anew(std::size_t i) noexcept;

  pybind11::handle batch_type_;
  BatchPtr batch_;
  VariantTable variants_;
  std::vector<Rng> episode_seeds_;     // [N], draws the next episode's seed
  std::vector<std::int32_t> elapsed_;  // [N], steps of the running episode
  std::vector<float> returns_;         // [N], its reward so far
  std::vector<std::uint8_t> waited_;   // [N], `waiting` before the step
};

}  // namespace murmur::python
