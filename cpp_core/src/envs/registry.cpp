#include "murmur/envs/registry.hpp"

#include <algorithm>
#include <array>
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

const Entry& find_entry(std::string_view name) {
  const auto* found = std::ranges::find_if(kEnvs, [&](const Entry& e) { return e.spec->name == name; });
  if (found == kEnvs.end()) {
    throw_invalid("unknown env '" + std::string(name) + "', known are " + suggest_name(name, env_names()));
  }
  return *found;
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
  return *find_entry(name).spec;
}

std::unique_ptr<VectorEnv> make_vector_env(std::string_view name, std::size_t num_envs, std::uint64_t seed,
                                           std::shared_ptr<ThreadPool> pool, InstructionSet set) {
  if (set > best_instruction_set()) {
    throw_invalid("this processor has no " + std::string(to_text(set)) + ", its best is " +
                  std::string(to_text(best_instruction_set())));
  }
  return find_entry(name).make(num_envs, seed, std::move(pool), set);
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
