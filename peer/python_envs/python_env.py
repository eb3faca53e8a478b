"""Environments of one kind that are written in Python: what the core must know of it, and how more of it are made."""

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar  # Any: what constructors take

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, VectorizeMode
from gymnasium.spaces import flatdim

from peer.errors import EnvFailedError
from peer.python_envs.autoreset import autoreset_mode_of
from peer.python_envs.failures import FAILURES, told
from peer.python_envs.idle_envs import IdleEnvs
from peer.python_envs.names import module_of
from peer.python_envs.open_envs import close, opened
from peer.python_envs.parameters import Parameter, parameters_of
from peer.python_envs.spaces import (
    Actions,
    BatchEnv,
    Env,
    actions_of,
    checked_shape,
    with_flat_observations,
)
from peer.python_envs.stopping import keeping_signal_handlers, require_no_interrupt_of_ours

_MAX_IDLE = 256
"""Environments kept for the next evaluation; to make them anew each time may take longer than their episodes."""

_MAX_IDLE_BATCHES = 4
"""Likewise, where one object steps many."""

Params = tuple[tuple[str, float], ...]
Made = TypeVar("Made", Env, BatchEnv)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonEnv:
    """What never changes of a kind of environment, and the ones that nobody uses now."""

    name: str
    observation_shape: tuple[int, ...]
    actions: Actions
    max_episode_steps: int
    parameters: Mapping[str, Parameter]
    steps_together: bool
    """Whether one object steps many."""
    idle: IdleEnvs
    """By their parameters; where they step together, by these and how many they are."""

    @property
    def observation_dim(self) -> int:
        return math.prod(self.observation_shape)

    def take(self, params: Params) -> Env:
        """Return an environment that must be reset first.

        Raises: ValueError for a value that its parameter cannot take, EnvFailedError.
        """
        kept: Env | None = self.idle.take(params)
        return self._made(params, lambda values: _make(self.name, values)) if kept is None else kept

    def take_batch(self, params: Params, count: int) -> BatchEnv:
        """Return `count` of them that step together, and must be reset first. Raises: as `take`."""
        kept: BatchEnv | None = self.idle.take((params, count))
        return self._made(params, lambda values: _make_batch(self.name, count, values)) if kept is None else kept

    def _made(self, params: Params, make: Callable[[Mapping[str, Any]], Made]) -> Made:
        values = {name: self.parameters[name].value(number) for name, number in params}
        try:
            return make(values)
        except FAILURES as error:
            require_no_interrupt_of_ours(error)
            raise EnvFailedError(f"{self.name} cannot be made with {dict(params)}: {told(error)}") from error


def find_python_env(name: str, *, vectorized: bool = False) -> PythonEnv:
    """Import the module that `name` begins with, and make one of its environments.

    vectorized: have one object step many, where there is a choice.
    Raises: ValueError saying why none can be made, or not be learned in.
    """
    try:
        with keeping_signal_handlers():
            importlib.import_module(module_of(name))
        made = _make_batch(name, 1, {}) if vectorized or _only_steps_together(name) else _make(name, {})
    except FAILURES as error:
        require_no_interrupt_of_ours(error)
        raise ValueError(told(error)) from error
    try:
        found = _described_batch(name, made) if isinstance(made, gym.vector.VectorEnv) else _described(name, made)
    except ValueError:
        close(made)
        raise
    found.idle.give_back(((), 1) if found.steps_together else (), made)
    return found


def _only_steps_together(name: str) -> bool:
    spec = gym.registry.get(name.partition(":")[2])
    return spec is not None and spec.entry_point is None and spec.vector_entry_point is not None


def _described(name: str, env: Env) -> PythonEnv:
    spec = env.spec
    assert spec is not None  # gymnasium.make sets it
    return PythonEnv(
        name=name,
        observation_shape=(flatdim(env.observation_space),),
        actions=actions_of(env.action_space),
        max_episode_steps=_time_limit(spec),
        parameters={each.name: each for each in parameters_of(spec, together=False)},
        steps_together=False,
        idle=IdleEnvs(_MAX_IDLE),
    )


def _described_batch(name: str, env: BatchEnv) -> PythonEnv:
    spec = env.unwrapped.spec
    assert spec is not None  # gymnasium.make_vec sets it
    autoreset_mode_of(env)
    return PythonEnv(
        name=name,
        observation_shape=checked_shape(env.single_observation_space),
        actions=actions_of(env.single_action_space),
        max_episode_steps=_time_limit(spec),
        parameters={each.name: each for each in parameters_of(spec, together=True)},
        steps_together=True,
        idle=IdleEnvs(_MAX_IDLE_BATCHES),
    )


def _time_limit(spec: EnvSpec) -> int:
    if spec.max_episode_steps is None:
        raise ValueError("it has no time limit, and may never end: register it with max_episode_steps")
    return spec.max_episode_steps


def _make(name: str, params: Mapping[str, Any]) -> Env:
    with keeping_signal_handlers():
        env: Env = gym.make(name, disable_env_checker=True, **params)
    try:
        flat = with_flat_observations(env)
    except ValueError:
        close(env)
        raise
    opened(flat)
    return flat


def _make_batch(name: str, count: int, params: Mapping[str, Any]) -> BatchEnv:
    with keeping_signal_handlers():
        env: BatchEnv = gym.make_vec(name, count, VectorizeMode.VECTOR_ENTRY_POINT, **params)
    opened(env)
    return env
