#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "exclusive.hpp"
#include "module.hpp"
#include "murmur/base/thread_pool.hpp"
#include "murmur/envs/registry.hpp"
#include "murmur/envs/vector_env.hpp"

namespace murmur::python {
namespace {

using Env = Exclusive<VectorEnv>;

std::unique_ptr<Env> make_env(const std::string& name, std::size_t num_envs, std::uint64_t seed,
                              int threads) {
  auto pool = std::make_shared<ThreadPool>(threads);
  return std::make_unique<Env>(make_vector_env(name, num_envs, seed, std::move(pool)), "this VectorEnv");
}

Shape rows(const VectorEnv& env) {
  return {static_cast<py::ssize_t>(env.num_envs())};
}
Shape rows(const VectorEnv& env, std::size_t width) {
  return {static_cast<py::ssize_t>(env.num_envs()), static_cast<py::ssize_t>(width)};
}

py::array_t<float> observe(Env& self) {
  auto out = self.peek([](VectorEnv& env) { return zeros<float>(rows(env, env.spec().obs_dim)); });
  self.run([to = writable(out)](VectorEnv& env) { env.observe(to); });
  return out;
}

py::tuple step(Env& self, const py::array& actions) {
  auto [n, d, given] = self.peek([&](VectorEnv& env) {
    return std::tuple(rows(env), rows(env, env.spec().obs_dim),
                      view<float>("actions", actions, rows(env, env.spec().action_dim)));
  });
  auto observations = zeros<float>(d);
  auto rewards = zeros<float>(n);
  auto terminated = zeros<std::uint8_t>(n);
  auto truncated = zeros<std::uint8_t>(n);
  auto final_observations = zeros<float>(d);
  auto episode_returns = zeros<float>(n);
  auto episode_lengths = zeros<std::int32_t>(n);
  const StepOutput out{
      writable(observations),       writable(rewards),         writable(terminated),     writable(truncated),
      writable(final_observations), writable(episode_returns), writable(episode_lengths)};
  self.run([&out, chosen = given](VectorEnv& env) {
    env.check_actions(chosen);
    env.step(chosen, out);
  });
  return py::make_tuple(observations, rewards, terminated, truncated, final_observations, episode_returns,
                        episode_lengths);
}

/// Keeps `buffers` alive for the arrays that view them.
py::capsule owner_of(std::shared_ptr<StepBuffers> buffers) {
  auto owner = std::make_unique<std::shared_ptr<StepBuffers>>(std::move(buffers));
  py::capsule capsule(owner.get(), [](void* p) { delete static_cast<std::shared_ptr<StepBuffers>*>(p); });
  static_cast<void>(owner.release());
  return capsule;
}

/// The arrays of one StepOutput, made once and written again and again.
///
/// They view memory that no array owns: whoever has an array may let NumPy free what it owns (resize,
/// __setstate__), and steps go on writing where they did.
struct StepArrays {
  explicit StepArrays(Env& self)
      : StepArrays(
            self.peek([](VectorEnv& env) { return std::pair(rows(env), rows(env, env.spec().obs_dim)); })) {}
  explicit StepArrays(const std::pair<Shape, Shape>& shapes)
      : buffers(std::make_shared<StepBuffers>(static_cast<std::size_t>(shapes.second[0]),
                                              static_cast<std::size_t>(shapes.second[1]))),
        owner(owner_of(buffers)),
        observations(shapes.second, buffers->observations.data(), owner),
        rewards(shapes.first, buffers->rewards.data(), owner),
        terminated(shapes.first, buffers->terminated.data(), owner),
        truncated(shapes.first, buffers->truncated.data(), owner),
        final_observations(shapes.second, buffers->final_observations.data(), owner),
        episode_returns(shapes.first, buffers->episode_returns.data(), owner),
        episode_lengths(shapes.first, buffers->episode_lengths.data(), owner),
        output(buffers->output()) {}

  std::shared_ptr<StepBuffers> buffers;
  py::capsule owner;
  py::array_t<float> observations, rewards;
  py::array_t<std::uint8_t> terminated, truncated;
  py::array_t<float> final_observations, episode_returns;
  py::array_t<std::int32_t> episode_lengths;
  StepOutput output;
};

void step_into(Env& self, const py::array& actions, StepArrays& out) {
  const std::span<const float> chosen = self.peek([&](VectorEnv& env) {
    if (out.output.observations.size() != env.num_envs() * env.spec().obs_dim ||
        out.output.rewards.size() != env.num_envs()) {
      throw py::value_error("out was made for a batch of " + std::to_string(out.output.rewards.size()) +
                            " envs of another shape; make StepArrays from this VectorEnv");
    }
    return view<float>("actions", actions, rows(env, env.spec().action_dim));
  });
  self.run([&out, chosen](VectorEnv& env) {
    env.check_actions(chosen);
    env.step(chosen, out.output);
  });
}

py::array_t<float> get_state(Env& self, std::size_t index) {
  return self.peek([&](VectorEnv& env) {
    auto state = zeros<float>({static_cast<py::ssize_t>(env.spec().state_dim)});
    env.get_state(index, writable(state));
    return state;
  });
}

void set_state(Env& self, std::size_t index, const py::array& state, std::size_t elapsed_steps) {
  self.peek([&](VectorEnv& env) {
    const Shape shape{static_cast<py::ssize_t>(env.spec().state_dim)};
    env.set_state(index, view<float>("state", state, shape), elapsed_steps);
  });
}

void bind_param_spec(py::module_& m) {
  py::class_<ParamSpec>(m, "ParamSpec",
                        "One parameter of an environment's physics that a variant may change.")
      .def_property_readonly(
          "name", [](const ParamSpec& p) { return std::string(p.name); }, "As a variant spells it.")
      .def_readonly("default_value", &ParamSpec::default_value, "Value in the default variant.")
      .def_readonly("low", &ParamSpec::low, "Lowest allowed value.")
      .def_readonly("high", &ParamSpec::high, "Highest allowed value.")
      .def_property_readonly(
          "meaning", [](const ParamSpec& p) { return std::string(p.meaning); }, "What it is, and its unit.");
}

void bind_env_spec(py::module_& m) {
  py::class_<EnvSpec>(m, "EnvSpec", "What of an environment never changes.")
      .def_property_readonly(
          "name", [](const EnvSpec& s) { return std::string(s.name); }, "Gymnasium's id where there is one.")
      .def_readonly("obs_dim", &EnvSpec::obs_dim, "Numbers per observation, D.")
      .def_readonly("state_dim", &EnvSpec::state_dim, "Numbers per state, S.")
      .def_property_readonly(
          "discrete", [](const EnvSpec& s) { return s.action_kind == ActionKind::kDiscrete; },
          "Whether an action is a choice.")
      .def_readonly("action_dim", &EnvSpec::action_dim, "Numbers per action; 1 if discrete.")
      .def_readonly("num_actions", &EnvSpec::num_actions, "Choices if discrete, else 0.")
      .def_property_readonly(
          "action_low", [](const EnvSpec& s) { return copy(s.action_low); },
          "Lower bounds, float32[A]; empty if discrete.")
      .def_property_readonly(
          "action_high", [](const EnvSpec& s) { return copy(s.action_high); },
          "Upper bounds, float32[A]; empty if discrete.")
      .def_property_readonly(
          "obs_low", [](const EnvSpec& s) { return copy(s.obs_low); },
          "Lower bounds of observations, float32[D]; empty if none are stated.")
      .def_property_readonly(
          "obs_high", [](const EnvSpec& s) { return copy(s.obs_high); },
          "Upper bounds of observations, float32[D]; empty if none are stated.")
      .def_readonly("max_episode_steps", &EnvSpec::max_episode_steps,
                    "Steps after which an episode is truncated.")
      .def_property_readonly(
          "params", [](const EnvSpec& s) { return std::vector<ParamSpec>(s.params.begin(), s.params.end()); },
          "What a variant may change.");
}

void bind_env_variant(py::module_& m) {
  py::class_<EnvVariant>(m, "EnvVariant",
                         "How many envs of a batch shall have these parameters and episode seeds.")
      .def(py::init([](std::vector<std::pair<std::string, double>> params, std::uint64_t seed_start,
                       std::uint64_t seed_end, std::size_t count) {
             return EnvVariant{std::move(params), seed_start, seed_end, count};
           }),
           py::kw_only(), py::arg("params"), py::arg("seed_start"), py::arg("seed_end"), py::arg("count"))
      .def_readonly("params", &EnvVariant::params, "Name and value of each parameter that differs.")
      .def_readonly("seed_start", &EnvVariant::seed_start, "First episode seed.")
      .def_readonly("seed_end", &EnvVariant::seed_end, "One past the last episode seed.")
      .def_readonly("count", &EnvVariant::count, "Envs of the batch that shall be this variant.");
}

void bind_vector_env(py::module_& m) {
  py::class_<Env>(m, "VectorEnv", "N environments that step together and restart by themselves.")
      .def(py::init(&make_env), py::arg("name"), py::arg("num_envs"), py::arg("seed"), py::arg("threads") = 1)
      .def_property_readonly(
          "spec", [](Env& self) { return self.peek([](VectorEnv& env) { return env.spec(); }); },
          "What of this environment never changes.")
      .def_property_readonly(
          "num_envs", [](Env& self) { return self.peek([](VectorEnv& env) { return env.num_envs(); }); },
          "Environments in the batch, N.")
      .def(
          "reset",
          [](Env& self, std::uint64_t seed) {
            self.run([&](VectorEnv& env) { env.reset(seed); });
            return observe(self);
          },
          py::arg("seed"), "Restart every env and random stream; return observations float32[N, D].")
      .def("observe", &observe, "Return the current observations, float32[N, D].")
      .def("step", &step, py::arg("actions"),
           "Step by actions float32[N, A] (a discrete action is its index). Return observations[N, D], "
           "rewards[N], terminated uint8[N], truncated uint8[N], final_observations[N, D], "
           "episode_returns[N] and "
           "episode_lengths int32[N]; the last three are 0 where no episode ended.")
      .def("step_into", &step_into, py::arg("actions"), py::arg("out"),
           "Step as `step` does, but write into the arrays of `out`, which must be this batch's. Rows of the "
           "last three arrays change only where an episode ended.")
      .def("get_state", &get_state, py::arg("index"), "Return the state of one env, float32[S].")
      .def("set_state", &set_state, py::arg("index"), py::arg("state"), py::arg("elapsed_steps") = 0,
           "Put one env into a state float32[S], as if elapsed_steps of an episode had led to it.")
      .def(
          "assign_variants",
          [](Env& self, const std::vector<EnvVariant>& variants) {
            return self.run([&](VectorEnv& env) { return env.assign_variants(variants); });
          },
          py::arg("variants"), "Share the envs out; return the indices of those that restarted.")
      .def(
          "variant_of",
          [](Env& self) { return self.peek([](VectorEnv& env) { return copy(env.variant_of()); }); },
          "Return for each env its index in the list last given to assign_variants, int32[N].")
      .def(
          "waiting", [](Env& self) { return self.peek([](VectorEnv& env) { return copy(env.waiting()); }); },
          "Return for each env 1 where the next step will only begin an episode, whatever its action, "
          "uint8[N]; empty where no env ever waits.");
}

void bind_step_arrays(py::module_& m) {
  py::class_<StepArrays>(m, "StepArrays",
                         "Arrays that step_into writes, always the same ones; made once for a VectorEnv.")
      .def(py::init<Env&>(), py::arg("env"))
      .def_readonly("observations", &StepArrays::observations,
                    "Observations after auto-reset, float32[N, D].")
      .def_readonly("rewards", &StepArrays::rewards, "Rewards, float32[N].")
      .def_readonly("terminated", &StepArrays::terminated, "1 where the task ended, uint8[N].")
      .def_readonly("truncated", &StepArrays::truncated, "1 where the time limit was reached, uint8[N].")
      .def_readonly("final_observations", &StepArrays::final_observations,
                    "Last observation of each env's last episode that ended, float32[N, D].")
      .def_readonly("episode_returns", &StepArrays::episode_returns, "Its return, float32[N].")
      .def_readonly("episode_lengths", &StepArrays::episode_lengths, "Its steps, int32[N].");
}

}  // namespace

void bind_envs(py::module_& m) {
  bind_param_spec(m);
  bind_env_spec(m);
  bind_env_variant(m);
  m.def(
      "env_names",
      [] {
        const auto names = env_names();
        return std::vector<std::string>(names.begin(), names.end());
      },
      "Return the names of all environments.");
  m.def("env_spec", &env_spec, py::arg("name"), py::return_value_policy::reference,
        "Return the spec of an environment. Raises ValueError naming the nearest known name.");
  bind_vector_env(m);
  bind_step_arrays(m);
}

}  // namespace murmur::python
