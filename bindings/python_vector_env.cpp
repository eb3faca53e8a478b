#include "python_vector_env.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "arrays.hpp"
#include "held_gil.hpp"
#include "murmur/base/check.hpp"

namespace murmur::python {
namespace {

/// Seeds that every environment takes: NumPy's old generators know 32 bits, others read them as signed.
constexpr std::uint64_t kSeedBits = 0x7fffffff;

std::size_t checked_count(std::size_t num_envs) {
  if (num_envs > PythonVectorEnv::kMaxPythonEnvs) {
    throw_invalid("an environment in Python runs at most " + std::to_string(PythonVectorEnv::kMaxPythonEnvs) +
                  " times at once (num_envs, or episodes of an evaluation), got " + std::to_string(num_envs));
  }
  return num_envs;
}

}  // namespace

/// What Python works on, and its methods.
struct PythonVectorEnv::Batch {
  Batch(const EnvSpec& spec, std::size_t num_envs, py::handle type)
      : actions(zeros<float>({size(num_envs), size(spec.action_dim)})),
        observations(zeros<float>({size(num_envs), size(spec.obs_dim)})),
        rewards(zeros<float>({size(num_envs)})),
        terminated(zeros<std::uint8_t>({size(num_envs)})),
        truncated(zeros<std::uint8_t>({size(num_envs)})),
        final_observations(zeros<float>({size(num_envs), size(spec.obs_dim)})),
        resting(zeros<std::uint8_t>({size(num_envs)})),
        waiting(zeros<std::uint8_t>({size(num_envs)})),
        python(call(py::reinterpret_borrow<py::object>(type),
                    py::make_tuple(actions, observations, rewards, terminated, truncated, final_observations,
                                   resting, waiting))),
        restarts_itself(python.attr("restarts_itself").cast<bool>()),
        build(python.attr("build")),
        reset(python.attr("reset")),
        settle(python.attr("settle")),
        step(python.attr("step")) {}

  static py::ssize_t size(std::size_t n) { return static_cast<py::ssize_t>(n); }

  py::array_t<float> actions, observations, rewards;
  py::array_t<std::uint8_t> terminated, truncated;
  py::array_t<float> final_observations;
  py::array_t<std::uint8_t> resting, waiting;
  py::object python;
  bool restarts_itself;  // its envs begin their next episodes without being told to
  py::object build, reset, settle, step;
};

void PythonVectorEnv::DropBatch::operator()(Batch* batch) const noexcept {
  const HeldGil gil;
  try {
    call(batch->python.attr("close"), py::make_tuple());
  } catch (py::error_already_set& error) {
    error.discard_as_unraisable("closing environments");
  }
  delete batch;
}

PythonVectorEnv::PythonVectorEnv(const EnvSpec& spec, py::handle batch_type, std::size_t num_envs,
                                 std::uint64_t seed)
    : VectorEnv(spec, checked_count(num_envs)),
      batch_type_(batch_type),
      variants_(spec, num_envs),
      episode_seeds_(num_envs),
      elapsed_(num_envs),
      returns_(num_envs),
      waited_(num_envs) {
  {
    const HeldGil gil;
    batch_ = make_batch();
  }
  reset(seed);
}

PythonVectorEnv::~PythonVectorEnv() = default;

void PythonVectorEnv::reset(std::uint64_t seed) {
  const HeldGil gil;
  std::ranges::fill(writable(batch_->resting), std::uint8_t{0});
  for (std::size_t i = 0; i < num_envs(); ++i) {
    episode_seeds_[i] = Rng(seed, i);
    start_episode(i);
  }
  settle();
}

void PythonVectorEnv::observe(std::span<float> observations) const noexcept {
  MURMUR_ASSERT(observations.size() == num_envs() * spec().obs_dim);
  std::copy_n(batch_->observations.data(), observations.size(), observations.begin());
}

void PythonVectorEnv::step(std::span<const float> actions, const StepOutput& out) {
  MURMUR_ASSERT(actions.size() == num_envs() * spec().action_dim);
  MURMUR_ASSERT(out.rewards.size() == num_envs());
  const HeldGil gil;
  std::ranges::copy(actions, batch_->actions.mutable_data());
  std::copy_n(batch_->waiting.data(), num_envs(), waited_.begin());
  call(batch_->step, py::make_tuple());
  std::copy_n(batch_->rewards.data(), num_envs(), out.rewards.begin());
  std::copy_n(batch_->terminated.data(), num_envs(), out.terminated.begin());
  std::copy_n(batch_->truncated.data(), num_envs(), out.truncated.begin());
  for (std::size_t i = 0; i < num_envs(); ++i) {
    if (waited_[i] != 0) out.rewards[i] = 0.0F;
    if (batch_->resting.data()[i] != 0 || waited_[i] != 0) {
      out.terminated[i] = out.truncated[i] = 0;
      continue;
    }
    ++elapsed_[i];
    returns_[i] += out.rewards[i];
    if (static_cast<std::size_t>(elapsed_[i]) >= spec().max_episode_steps) out.truncated[i] = 1;
    if (out.terminated[i] != 0 || out.truncated[i] != 0) end_episode(i, out);
  }
  observe(out.observations);
}

void PythonVectorEnv::rest(std::size_t i) noexcept {
  batch_->resting.mutable_data()[i] = 1;
}

std::span<const std::uint8_t> PythonVectorEnv::waiting() const noexcept {
  return {batch_->waiting.data(), num_envs()};
}

std::vector<std::size_t> PythonVectorEnv::assign_variants(std::span<const EnvVariant> variants) {
  std::vector<std::size_t> changed = variants_.assign(variants);
  const HeldGil gil;
  for (const std::size_t i : changed) {
    build(*batch_, i);
    start_episode(i);
  }
  const std::vector<std::size_t> restarted = settle();
  std::vector<std::size_t> all;
  std::ranges::set_union(changed, restarted, std::back_inserter(all));
  return all;
}

std::span<const std::int32_t> PythonVectorEnv::variant_of() const noexcept {
  return variants_.variant_of();
}

void PythonVectorEnv::get_state(std::size_t /*i*/, std::span<float> /*state*/) const {
  throw_invalid("the state of env '" + std::string(spec().name) + "', which runs in Python, cannot be read");
}

void PythonVectorEnv::set_state(std::size_t /*i*/, std::span<const float> /*state*/,
                                std::size_t /*elapsed_steps*/) {
  throw_invalid("the state of env '" + std::string(spec().name) + "', which runs in Python, cannot be set");
}

void PythonVectorEnv::save(BlobWriter& writer) const {
  writer.put("env.name", spec().name);
  writer.put("env.num_envs", static_cast<std::uint64_t>(num_envs()));
  variants_.save(writer);
  std::vector<std::uint64_t> streams;
  for (const Rng& rng : episode_seeds_) {
    streams.insert(streams.end(), {rng.state().state, rng.state().increment});
  }
  writer.put("env.streams", streams);
}

void PythonVectorEnv::load(BlobReader& reader) {
  if (const std::string name = reader.get_text("env.name", kMaxEnvName); name != spec().name) {
    throw BlobError("saved by env '" + name + "', this is '" + std::string(spec().name) + "'");
  }
  if (const auto n = reader.get<std::uint64_t>("env.num_envs"); n != num_envs()) {
    throw BlobError("saved by " + std::to_string(n) + " envs, this batch has " + std::to_string(num_envs()));
  }
  VariantTable variants(spec(), num_envs());
  variants.load(reader);
  std::vector<std::uint64_t> streams(2 * num_envs());
  reader.get("env.streams", streams);
  reader.expect_end();
  for (std::size_t i = 1; i < streams.size(); i += 2) {
    if (streams[i] % 2 == 0) throw BlobError("field 'env.streams' holds an even increment");
  }
  std::swap(variants_, variants);
  const HeldGil gil;
  try {
    BatchPtr batch = make_batch();
    std::swap(batch_, batch);
  } catch (...) {
    std::swap(variants_, variants);
    throw;
  }
  for (std::size_t i = 0; i < num_envs(); ++i) {
    episode_seeds_[i] = Rng::from_state({streams[2 * i], streams[2 * i + 1]});
    start_episode(i);
  }
  settle();
}

PythonVectorEnv::BatchPtr PythonVectorEnv::make_batch() const {
  BatchPtr batch(std::make_unique<Batch>(spec(), num_envs(), batch_type_).release());
  for (std::size_t i = 0; i < num_envs(); ++i) build(*batch, i);
  return batch;
}

void PythonVectorEnv::build(Batch& batch, std::size_t i) const {
  py::dict changed;
  const std::span<const double> values = variants_.params(i);
  for (std::size_t p = 0; p < values.size(); ++p) {
    const ParamSpec& param = spec().params[p];
    if (values[p] != param.default_value) changed[py::str(std::string(param.name))] = values[p];
  }
  call(batch.build, py::make_tuple(i, changed));
}

void PythonVectorEnv::start_episode(std::size_t i) {
  const SeedRange seeds = variants_.seeds(i);
  const std::uint64_t seed = seeds.start + episode_seeds_[i].below(seeds.end - seeds.start);
  call(batch_->reset, py::make_tuple(i, seed & kSeedBits));
  count_anew(i);
}

std::vector<std::size_t> PythonVectorEnv::settle() {
  const auto restarted = call(batch_->settle, py::make_tuple()).cast<std::vector<std::size_t>>();
  for (const std::size_t i : restarted) count_anew(i);
  return restarted;
}

void PythonVectorEnv::count_anew(std::size_t i) noexcept {
  elapsed_[i] = 0;
  returns_[i] = 0.0F;
}

void PythonVectorEnv::end_episode(std::size_t i, const StepOutput& out) {
  const auto& final = batch_->restarts_itself ? batch_->final_observations : batch_->observations;
  const std::size_t row = i * spec().obs_dim;
  std::copy_n(final.data() + row, spec().obs_dim, out.final_observations.subspan(row).begin());
  out.episode_returns[i] = returns_[i];
  out.episode_lengths[i] = elapsed_[i];
  if (batch_->restarts_itself) {
    count_anew(i);
  } else {
    start_episode(i);
  }
}

}  // namespace murmur::python
