"""One environment that is written in Python: what the core must know of it, and how more of it are made."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any  # Any: what constructors take

import gymnasium as gym
from gymnasium.spaces import flatdim

from peer.errors import EnvFailedError
from peer.python_envs.failures import told
from peer.python_envs.names import module_of
from peer.python_envs.parameters import Parameter, parameters_of
from peer.python_envs.spaces import Actions, Env, actions_of, with_flat_observations

_MAX_IDLE = 256
"""Environments kept for the next evaluation; to make them anew each time may take longer than their episodes."""

Params = tuple[tuple[str, float], ...]


@dataclass(slots=True, kw_only=True)
class PythonEnv:
    """What never changes of an environment, and the ones that nobody uses now."""

    name: str
    observation_dim: int
    actions: Actions
    max_episode_steps: int
    parameters: Mapping[str, Parameter]
    _idle: list[tuple[Params, Env]] = field(default_factory=list)

    def take(self, params: Params) -> Env:
        """Return an environment that must be reset first.

        Raises: ValueError for a value that its parameter cannot take, EnvFailedError.
        """
        for index, (idle, env) in enumerate(self._idle):
            if idle == params:
                del self._idle[index]
                return env
        values = {name: self.parameters[name].value(number) for name, number in params}
        try:
            return _make(self.name, values)
        except Exception as error:
            raise EnvFailedError(f"{self.name} cannot be made with {dict(params)}: {told(error)}") from error

    def give_back(self, params: Params, env: Env) -> None:
        """Keep `env` for who asks next; close the one that was longest of no use."""
        self._idle.append((params, env))
        if len(self._idle) > _MAX_IDLE:
            self._idle.pop(0)[1].close()


def find_python_env(name: str) -> PythonEnv:
    """Import the module that `name` begins with, and make one of its environments.

    Raises: ValueError saying why none can be made, or not be learned in.
    """
    try:
        importlib.import_module(module_of(name))
        env = _make(name, {})
    except Exception as error:
        raise ValueError(told(error)) from error
    spec = env.spec
    assert spec is not None  # gymnasium.make sets it
    if spec.max_episode_steps is None:
        raise ValueError("it has no time limit, and may never end: register it with max_episode_steps")
    found = PythonEnv(
        name=name,
        observation_dim=flatdim(env.observation_space),
        actions=actions_of(env),
        max_episode_steps=spec.max_episode_steps,
        parameters={parameter.name: parameter for parameter in parameters_of(spec)},
    )
    found.give_back((), env)
    return found


def _make(name: str, params: Mapping[str, Any]) -> Env:
    return with_flat_observations(gym.make(name, disable_env_checker=True, **params))
