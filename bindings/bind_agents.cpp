#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "exclusive.hpp"
#include "module.hpp"
#include "murmur/agents/ppo_agent.hpp"
#include "released_gil.hpp"

namespace murmur::python {
namespace {

using Agent = Exclusive<PpoAgent>;

/// The GIL is released here and not by a call_guard: after a constructor pybind11 registers the instance in a
/// table that the GIL alone protects. `config` is a copy, because its owner may change it meanwhile.
std::unique_ptr<Agent> make_agent(const std::string& env_name, const PpoConfig config) {
  std::unique_ptr<PpoAgent> agent;
  {
    const ReleasedGil released;
    agent = make_ppo_agent(env_name, config);
  }
  return std::make_unique<Agent>(std::move(agent), "this PpoAgent");
}

py::ssize_t num_params(Agent& self) {
  return self.peek([](PpoAgent& agent) { return static_cast<py::ssize_t>(agent.layout().num_params()); });
}

std::vector<std::pair<std::string, std::size_t>> tensors(Agent& self) {
  return self.peek([](PpoAgent& agent) {
    std::vector<std::pair<std::string, std::size_t>> named;
    for (const NamedTensor& tensor : agent.layout().tensors()) named.emplace_back(tensor.name, tensor.size);
    return named;
  });
}

py::ssize_t num_moments(Agent& self) {
  return self.peek([](PpoAgent& agent) { return static_cast<py::ssize_t>(agent.moments().size()); });
}

py::tuple to_tuple(const RunningMoments& moments) {
  return py::make_tuple(copy(moments.count()), copy(moments.mean()), copy(moments.m2()));
}

void set_model(Agent& self, const py::array& params, const py::array& count, const py::array& mean,
               const py::array& m2) {
  const auto values = view<float>("params", params, {num_params(self)});
  const Shape shape{num_moments(self)};
  const RunningMoments base(view<double>("count", count, shape), view<double>("mean", mean, shape),
                            view<double>("m2", m2, shape));
  self.peek([&](PpoAgent& agent) { agent.set_model(values, base); });
}

py::array_t<float> get_params(Agent& self) {
  auto params = zeros<float>({num_params(self)});
  self.peek([&](PpoAgent& agent) { agent.get_params(writable(params)); });
  return params;
}

void set_params(Agent& self, const py::array& params) {
  const auto values = view<float>("params", params, {num_params(self)});
  self.peek([&](PpoAgent& agent) { agent.set_params(values); });
}

py::bytes save(Agent& self) {
  const std::vector<std::byte> bytes = self.run([](PpoAgent& agent) { return agent.save(); });
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void load(Agent& self, const py::bytes& data) {
  const std::string_view text(data);  // the caller's reference keeps it alive
  self.run([&](PpoAgent& agent) { agent.load(std::as_bytes(std::span(text.data(), text.size()))); });
}

using Config = py::class_<PpoConfig>;

/// A field of PpoConfig that Python spells as a name.
template <class E>
auto spelled(E PpoConfig::* field) {
  return [field](const PpoConfig& c) { return std::string(to_string(c.*field)); };
}

void bind_network(Config& config) {
  config.def_readwrite("hidden", &PpoConfig::hidden, "Units of each hidden layer, of actor and critic alike.")
      .def_property(
          "activation", spelled(&PpoConfig::activation),
          [](PpoConfig& c, std::string_view name) { c.activation = parse_activation(name); },
          "Of hidden layers: tanh, relu or silu.")
      .def_readwrite("shared_trunk", &PpoConfig::shared_trunk,
                     "Whether actor and critic share the hidden layers.")
      .def_readwrite("init_hidden_gain", &PpoConfig::init_hidden_gain,
                     "Gain of the orthogonal first weights of hidden layers.")
      .def_readwrite("init_policy_gain", &PpoConfig::init_policy_gain, "Likewise, of the actor's head.")
      .def_readwrite("init_value_gain", &PpoConfig::init_value_gain, "Likewise, of the critic's head.")
      .def_readwrite("init_log_std", &PpoConfig::init_log_std,
                     "First log standard deviation of continuous actions, nats.");
}

void bind_rollout(Config& config) {
  config.def_readwrite("num_envs", &PpoConfig::num_envs, "Environments that step together.")
      .def_readwrite("rollout_steps", &PpoConfig::rollout_steps, "Steps of each env in an iteration.")
      .def_readwrite("gamma", &PpoConfig::gamma, "Discount of a step.")
      .def_readwrite("gae_lambda", &PpoConfig::gae_lambda,
                     "Lambda of generalised advantage estimation (Schulman et al. 2016).")
      .def_readwrite("normalize_observations", &PpoConfig::normalize_observations,
                     "Whether observations are shifted and scaled by their running moments.")
      .def_readwrite("observation_clip", &PpoConfig::observation_clip,
                     "Bound on normalised observations; 0: none.")
      .def_readwrite("normalize_rewards", &PpoConfig::normalize_rewards,
                     "Whether rewards are divided by the running deviation of the discounted return.")
      .def_readwrite("reward_clip", &PpoConfig::reward_clip, "Bound on normalised rewards; 0: none.");
}

void bind_loss(Config& config) {
  config.def_readwrite("epochs", &PpoConfig::epochs, "Passes over each rollout.")
      .def_readwrite("minibatch_size", &PpoConfig::minibatch_size,
                     "Samples of an optimizer step; divides num_envs * rollout_steps.")
      .def_readwrite("normalize_advantages", &PpoConfig::normalize_advantages,
                     "Whether advantages are standardised in each minibatch.")
      .def_readwrite("clip_range", &PpoConfig::clip_range, "Bound on the policy ratio's distance from 1.")
      .def_property(
          "clip_schedule", spelled(&PpoConfig::clip_schedule),
          [](PpoConfig& c, std::string_view name) {
            c.clip_schedule = parse_schedule("clip_schedule", name);
          },
          "Of clip_range: constant, or linear to zero.")
      .def_readwrite("value_clip_range", &PpoConfig::value_clip_range,
                     "Bound on a value's distance from that of the rollout; 0: none.")
      .def_readwrite("entropy_coef", &PpoConfig::entropy_coef, "Weight of the entropy in the loss.")
      .def_readwrite("value_coef", &PpoConfig::value_coef, "Weight of half the squared error of values.")
      .def_readwrite("target_kl", &PpoConfig::target_kl,
                     "KL divergence, nats: an update stops at 1.5 times this; 0: never.")
      .def_readwrite("kl_penalty", &PpoConfig::kl_penalty,
                     "Weight of the KL divergence from the policy of the last set_model; 0: off.");
}

void bind_optimizer(Config& config) {
  config.def_readwrite("learning_rate", &PpoConfig::learning_rate, "Of Adam, at the start.")
      .def_property(
          "lr_schedule", spelled(&PpoConfig::lr_schedule),
          [](PpoConfig& c, std::string_view name) { c.lr_schedule = parse_schedule("lr_schedule", name); },
          "Of learning_rate: constant, or linear to zero.")
      .def_readwrite("schedule_env_steps", &PpoConfig::schedule_env_steps,
                     "Env steps after which linear schedules have come to zero.")
      .def_readwrite("max_grad_norm", &PpoConfig::max_grad_norm,
                     "Euclidean norm that a longer gradient is scaled down to.")
      .def_readwrite("adam_beta1", &PpoConfig::adam_beta1, "Decay of Adam's first moments.")
      .def_readwrite("adam_beta2", &PpoConfig::adam_beta2, "Decay of Adam's second moments.")
      .def_readwrite("adam_epsilon", &PpoConfig::adam_epsilon, "Added to the root of the second moments.");
}

void bind_machine(Config& config) {
  config.def_readwrite("seed", &PpoConfig::seed, "Of the first parameters: equal on all peers of a run.")
      .def_readwrite("local_seed", &PpoConfig::local_seed,
                     "Of episodes, actions and minibatches: each peer's own.")
      .def_readwrite("threads", &PpoConfig::threads,
                     "Threads that play and learn; results do not depend on it.")
      .def_readwrite("cpus", &PpoConfig::cpus,
                     "Cores to pin the threads to, one each; empty: where the system likes.")
      .def_property(
          "device", spelled(&PpoConfig::device),
          [](PpoConfig& c, std::string_view name) { c.device = parse_device(name); }, "auto, cpu or cuda.")
      .def_property(
          "backend", spelled(&PpoConfig::backend),
          [](PpoConfig& c, std::string_view name) { c.backend = parse_backend(name); },
          "auto, fused or libtorch.");
}

void bind_config(py::module_& m) {
  Config config(m, "PpoConfig", "Every hyperparameter of PPO; PpoAgent checks the ranges.");
  config.def(py::init<>());
  bind_network(config);
  bind_rollout(config);
  bind_loss(config);
  bind_optimizer(config);
  bind_machine(config);
}

void bind_stats(py::module_& m) {
  py::class_<VariantStats>(m, "VariantStats", "Episodes of one env variant that ended in a call of train.")
      .def_readonly("episodes", &VariantStats::episodes, "How many ended.")
      .def_readonly("mean_return", &VariantStats::mean_return, "Of those; NaN if there are none.");
  py::class_<TrainStats>(m, "TrainStats", "What one call of PpoAgent.train did.")
      .def_readonly("env_steps", &TrainStats::env_steps, "Env steps done.")
      .def_readonly("episodes", &TrainStats::episodes, "Episodes that ended in the call.")
      .def_readonly("mean_return", &TrainStats::mean_return, "Of those episodes; NaN if there are none.")
      .def_readonly("mean_length", &TrainStats::mean_length, "Of those, in env steps; NaN if there are none.")
      .def_readonly("approx_kl", &TrainStats::approx_kl,
                    "Mean KL divergence of the last epoch from the behaviour policy, nats.")
      .def_readonly("clip_fraction", &TrainStats::clip_fraction, "Share of ratios outside the clip range.")
      .def_readonly("base_kl", &TrainStats::base_kl,
                    "Mean KL divergence from the policy of the last set_model, nats; 0 where kl_penalty is.")
      .def_readonly("entropy", &TrainStats::entropy, "Nats.")
      .def_readonly("policy_loss", &TrainStats::policy_loss, "Mean of the clipped surrogate.")
      .def_readonly("value_loss", &TrainStats::value_loss, "Mean of half the squared error.")
      .def_readonly("explained_variance", &TrainStats::explained_variance,
                    "Of the last update; NaN when its returns did not vary.")
      .def_readonly("learning_rate", &TrainStats::learning_rate, "Of the last update.")
      .def_readonly("wall_s", &TrainStats::wall_s, "Seconds the call took.")
      .def_readonly("variants", &TrainStats::variants,
                    "Of each env variant, by its index in the last assign_variants.");
}

using AgentClass = py::class_<Agent>;

void bind_description(AgentClass& bound) {
  bound.def_property_readonly("num_params", &num_params, "Parameters of actor and critic, P.")
      .def_property_readonly("tensors", &tensors,
                             "Name and size of each run of the parameters, in their order.")
      .def_property_readonly("num_moments", &num_moments, "Observation dims, then one for the return.")
      .def_property_readonly(
          "schema_text", [](Agent& self) { return self.peek([](PpoAgent& a) { return a.schema_text(); }); },
          "A canonical line that two agents share exactly when their models can be averaged.")
      .def_property_readonly(
          "backend_name",
          [](Agent& self) { return self.peek([](PpoAgent& a) { return std::string(a.backend_name()); }); },
          "What computes, and where.")
      .def_property_readonly(
          "env_steps", [](Agent& self) { return self.peek([](PpoAgent& a) { return a.env_steps(); }); },
          "Env steps trained on so far, checkpoints included.");
}

void bind_training(AgentClass& bound) {
  bound
      .def(
          "train",
          [](Agent& self, std::int64_t max_env_steps, double max_seconds) {
            return self.run([&](PpoAgent& agent) { return agent.train(max_env_steps, max_seconds); });
          },
          py::arg("max_env_steps"), py::arg("max_seconds"),
          "Train by whole iterations, at least one, until either limit is reached. Raises NonFiniteError.")
      .def(
          "evaluate",
          [](Agent& self, std::int64_t episodes, std::uint64_t seed) {
            return self.run([&](PpoAgent& agent) { return agent.evaluate(episodes, seed); });
          },
          py::arg("episodes"), py::arg("seed"),
          "Return the mean return of greedy episodes in the default variant.")
      .def(
          "evaluate_returns",
          [](Agent& self, std::int64_t episodes, std::uint64_t seed) {
            return self.run([&](PpoAgent& agent) { return agent.evaluate_returns(episodes, seed); });
          },
          py::arg("episodes"), py::arg("seed"), "Return the return of each of the episodes of `evaluate`.")
      .def(
          "assign_variants",
          [](Agent& self, const std::vector<EnvVariant>& variants) {
            self.run([&](PpoAgent& agent) { agent.assign_variants(variants); });
          },
          py::arg("variants"), "Share the training envs out over variants, whose counts sum to num_envs.");
}

void bind_model(AgentClass& bound) {
  bound.def("get_params", &get_params, "Return a copy of the parameters, float32[P].")
      .def("set_params", &set_params, py::arg("params"),
           "Replace the parameters, float32[P]. Raises ValueError when one is not finite.")
      .def(
          "moments",
          [](Agent& self) { return self.peek([](PpoAgent& a) { return to_tuple(a.moments().in_use()); }); },
          "Return count, mean and m2, float64[M] each, of base and new statistics merged.")
      .def(
          "new_moments",
          [](Agent& self) { return self.peek([](PpoAgent& a) { return to_tuple(a.moments().fresh()); }); },
          "Return count, mean and m2, float64[M] each, of what was seen since set_model.")
      .def("set_model", &set_model, py::arg("params"), py::arg("count"), py::arg("mean"), py::arg("m2"),
           "Replace the parameters, float32[P], and the agreed statistics, float64[M] each; forget the new "
           "ones.")
      .def("save", &save,
           "Return everything local as bytes: model, optimizer, running episodes, random streams.")
      .def("load", &load, py::arg("data"), "Restore what save returned. Raises BlobError, changing nothing.");
}

}  // namespace

void bind_agents(py::module_& m) {
  bind_config(m);
  bind_stats(m);
  AgentClass bound(m, "PpoAgent",
                   "A policy, the environments it trains in, and its PPO; all calls release the GIL.");
  bound.def(py::init(&make_agent), py::arg("env_name"), py::arg("config"));
  bind_description(bound);
  bind_training(bound);
  bind_model(bound);
}

}  // namespace murmur::python
