"""The C++ learner in a simulated swarm: real PPO, so that learning itself can be studied without a network.

A second of virtual training time stands for a fixed number of env steps, so that a run depends on its seed alone.
"""

import hashlib
import math
from dataclasses import replace

from peer.native import NonFiniteError, PpoAgent, PpoSettings, make_ppo_agent, to_moments
from peer.simulation.learner import Trained
from peer.types import Digest, ModelDelta, ModelSchema, ModelState
from peer.wire.hashing import digest_of

ENV_STEPS_PER_S = 1024
"""With the default `round.train_s` of 2 s a round is 2,048 env steps of each peer."""
_NO_TIME_LIMIT_S = 1e9


class NativeSubject:
    """Implements `Subject`. settings: of every learner, but for `local_seed`, which each draws from its name.

    env_steps_per_s: of one peer of speed 1. episodes, eval_seed: of the greedy evaluation.
    Raises: ValueError for an unknown env or a setting out of range, naming it.
    """

    def __init__(
        self,
        env_name: str,
        settings: PpoSettings,
        *,
        env_steps_per_s: float = ENV_STEPS_PER_S,
        episodes: int = 20,
        eval_seed: int = 1_000_000_000,
    ) -> None:
        self._env_name = env_name
        self._settings = settings
        self._env_steps_per_s = env_steps_per_s
        self._episodes = episodes
        self._eval_seed = eval_seed
        self._judge = make_ppo_agent(env_name, settings)
        self._initial = _model(self._judge)
        self._schema = ModelSchema(
            num_params=self._judge.num_params,
            num_moments=self._judge.num_moments,
            tensors=tuple(self._judge.tensors),
            digest=Digest(digest_of(self._judge.schema_text.encode())),
        )

    @property
    def schema(self) -> ModelSchema:
        return self._schema

    def initial(self) -> ModelState:
        return self._initial

    def learner(self, number: int, life: int) -> "NativeLearner":
        name = f"{self._settings.seed} {number} {life}"
        local_seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
        agent = make_ppo_agent(self._env_name, replace(self._settings, local_seed=local_seed))
        return NativeLearner(agent, self._env_steps_per_s)

    def evaluate(self, state: ModelState) -> float:
        _load(self._judge, state)
        try:
            return self._judge.evaluate(self._episodes, self._eval_seed)
        except NonFiniteError:  # finite parameters, and a policy output that is not
            return math.nan


class NativeLearner:
    """Implements `Learner`: optimizer state and running episodes stay from round to round."""

    def __init__(self, agent: PpoAgent, env_steps_per_s: float) -> None:
        self._agent = agent
        self._env_steps_per_s = env_steps_per_s

    def train(self, start: ModelState, *, train_s: float) -> Trained:
        _load(self._agent, start)
        stats = self._agent.train(max(1, round(train_s * self._env_steps_per_s)), _NO_TIME_LIMIT_S)
        delta = ModelDelta(
            params=self._agent.get_params() - start.params, moments=to_moments(self._agent.new_moments())
        )
        return Trained(
            env_steps=stats.env_steps,
            delta=delta,
            approx_kl=stats.approx_kl if math.isfinite(stats.approx_kl) else 0.0,
            mean_return=stats.mean_return if stats.episodes else None,
        )


def _load(agent: PpoAgent, state: ModelState) -> None:
    agent.set_model(state.params, state.moments.count, state.moments.mean, state.moments.m2)


def _model(agent: PpoAgent) -> ModelState:
    return ModelState(params=agent.get_params(), moments=to_moments(agent.moments()))
