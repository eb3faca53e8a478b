#include "murmur/envs/registry.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include "murmur/base/check.hpp"
#include "murmur/envs/acrobot.hpp"
#include "murmur/envs/batched_env.hpp"
#include "murmur/envs/cartpole.hpp"
#include "murmur/envs/mountain_car.hpp"
#include "murmur/envs/mountain_car_continuous.hpp"
#include "murmur/envs/pendulum.hpp"

namespace murmur {

namespace {

struct Entry {
  const EnvSpec* spec;
  std::unique_ptr<VectorEnv> (*make)(std::size_t, std::uint64_t, std::shared_ptr<ThreadPool>, InstructionSet);
};

template <Environment E>
constexpr Entry entry() {
  return {&E::kSpec,
          [](std::size_t num_envs, std::uint64_t seed, std::shared_ptr<ThreadPool> pool,
             InstructionSet set) -> std::unique_ptr<VectorEnv> {
            return std::make_unique<BatchedEnv<E>>(num_envs, seed, std::move(pool), set);
          }};
}

// A new environment is one line here.
constexpr std::array kEnvs = {
    entry<CartPole>(), entry<MountainCar>(), entry<MountainCarContinuous>(),
    entry<Acrobot>(),  entry<Pendulum>(),
};

const Entry* find_own(std::string_view name) {
  const auto* found = std::ranges::find_if(kEnvs, [&](const Entry& e) { return e.spec->name == name; });
  return found == kEnvs.end() ? nullptr : found;
}

/// An environment of others, and the memory that its spec points to.
class Foreign {
 public:
  Foreign(const EnvSpec& spec, EnvMaker make) : make_(std::move(make)), spec_(spec) {
    spec_.name = keep(spec.name);
    spec_.action_low = keep(spec.action_low);
    spec_.action_high = keep(spec.action_high);
    spec_.obs_low = keep(spec.obs_low);
    spec_.obs_high = keep(spec.obs_high);
    for (ParamSpec param : spec.params) {
      param.name = keep(param.name);
      param.meaning = keep(param.meaning);
      params_.push_back(param);
    }
    spec_.params = params_;
  }
  Foreign(const Foreign&) = delete;
  Foreign& operator=(const Foreign&) = delete;

  [[nodiscard]] const EnvSpec& spec() const noexcept { return spec_; }
  [[nodiscard]] const EnvMaker& make() const noexcept { return make_; }

 private:
  std::string_view keep(std::string_view text) { return texts_.emplace_back(text); }
  std::span<const float> keep(std::span<const float> numbers) {
    return numbers_.emplace_back(numbers.begin(), numbers.end());
  }

  EnvMaker make_;
  EnvSpec spec_;
  std::deque<std::string> texts_;  // deques: what is added moves nothing
  std::deque<std::vector<float>> numbers_;
  std::vector<ParamSpec> params_;
};

class ForeignEnvs {
 public:
  const EnvSpec& add(const EnvSpec& spec, EnvMaker make) {
    const std::lock_guard lock(mutex_);
    if (search(spec.name) != nullptr)
      throw_invalid("env '" + std::string(spec.name) + "' is registered already");
    return envs_.emplace_back(spec, std::move(make)).spec();
  }
  /// Null if there is none of that name.
  const Foreign* find(std::string_view name) {
    const std::lock_guard lock(mutex_);
    return search(name);
  }

 private:
  const Foreign* search(std::string_view name) const {
    const auto found = std::ranges::find_if(envs_, [&](const Foreign& e) { return e.spec().name == name; });
    return found == envs_.end() ? nullptr : &*found;
  }

  std::mutex mutex_;
  std::deque<Foreign> envs_;
};

/// Never destroyed: makers may hold what must not be touched when the process ends, as objects of Python.
ForeignEnvs& foreign_envs() {
  static auto* const envs = new ForeignEnvs();
  return *envs;
}

[[noreturn]] void throw_unknown(std::string_view name) {
  throw_invalid("unknown env '" + std::string(name) + "', known are " + suggest_name(name, env_names()));
}

bool is_printable(char c) noexcept {
  return c >= ' ' && c <= '~';
}

void check_spec(const EnvSpec& spec) {
  const std::string start = "env '" + std::string(spec.name) + "': ";
  if (spec.name.empty() || spec.name.size() > kMaxEnvName || !std::ranges::all_of(spec.name, is_printable)) {
    throw_invalid(start + "a name has 1 to " + std::to_string(kMaxEnvName) +
                  " characters of printable ASCII, as checkpoints name it; register it under another one");
  }
  if (find_own(spec.name) != nullptr) throw_invalid(start + "the core has one of that name");
  if (spec.obs_dim < 1) throw_invalid(start + "obs_dim must be at least 1");
  if (spec.max_episode_steps < 1) throw_invalid(start + "max_episode_steps must be at least 1");
  if (spec.action_kind == ActionKind::kDiscrete) {
    if (spec.num_actions < 1) throw_invalid(start + "num_actions must be at least 1");
    if (spec.action_dim != 1) throw_invalid(start + "a discrete action has action_dim 1");
    return;
  }
  if (spec.action_dim < 1) throw_invalid(start + "action_dim must be at least 1");
  check_size("action_low", spec.action_dim, spec.action_low.size());
  check_size("action_high", spec.action_dim, spec.action_high.size());
}

std::size_t find_param(const EnvSpec& spec, std::string_view name) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < spec.params.size(); ++i) {
    if (spec.params[i].name == name) return i;
    names.push_back(spec.params[i].name);
  }
  const std::string start = "env '" + std::string(spec.name) + "' has no parameter";
  if (names.empty()) throw_invalid(start + "s, got '" + std::string(name) + "'");
  throw_invalid(start + " '" + std::string(name) + "', it has " + suggest_name(name, names));
}

}  // namespace

std::vector<std::string_view> env_names() {
  std::vector<std::string_view> names;
  for (const Entry& e : kEnvs) names.push_back(e.spec->name);
  return names;
}

const EnvSpec& env_spec(std::string_view name) {
  if (const Entry* own = find_own(name)) return *own->spec;
  if (const Foreign* foreign = foreign_envs().find(name)) return foreign->spec();
  throw_unknown(name);
}

const EnvSpec& register_env(const EnvSpec& spec, EnvMaker make) {
  check_spec(spec);
  return foreign_envs().add(spec, std::move(make));
}

std::unique_ptr<VectorEnv> make_vector_env(std::string_view name, std::size_t num_envs, std::uint64_t seed,
                                           std::shared_ptr<ThreadPool> pool, InstructionSet set) {
  if (set > best_instruction_set()) {
    throw_invalid("this processor has no " + std::string(to_text(set)) + ", its best is " +
                  std::string(to_text(best_instruction_set())));
  }
  if (const Entry* own = find_own(name)) return own->make(num_envs, seed, std::move(pool), set);
  if (const Foreign* foreign = foreign_envs().find(name))
    return foreign->make()(foreign->spec(), num_envs, seed);
  throw_unknown(name);
}

std::vector<double> resolve_params(const EnvSpec& spec,
                                   std::span<const std::pair<std::string, double>> params) {
  std::vector<double> values;
  for (const ParamSpec& param : spec.params) values.push_back(param.default_value);
  std::vector<bool> given(values.size());
  for (const auto& [name, value] : params) {
    const std::size_t i = find_param(spec, name);
    const ParamSpec& param = spec.params[i];
    if (given[i]) throw_invalid("parameter '" + name + "' is given twice");
    if (!(value >= param.low && value <= param.high)) {  // also false for NaN
      throw_invalid("parameter '" + name + "' of env '" + std::string(spec.name) + "' must lie in " +
                    to_text(param.low) + ".." + to_text(param.high) + ", got " + to_text(value));
    }
    given[i] = true;
    values[i] = value;
  }
  return values;
}

}  // namespace murmur
