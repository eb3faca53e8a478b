"""One environment that is written in Python: what the core must know of it, and how more of it are made."""

import importlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any  # Any: what constructors take

import gymnasium as gym
from gymnasium.spaces import flatdim

from peer.errors import EnvFailedError
from peer.python_envs.failures import FAILURES, told
from peer.python_envs.names import module_of
from peer.python_envs.open_envs import close, opened
from peer.python_envs.parameters import Parameter, parameters_of
from peer.python_envs.spaces import Actions, Env, actions_of, with_flat_observations
from peer.python_envs.stopping import keeping_signal_handlers, require_no_interrupt_of_ours

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
    _choosing: threading.Lock = field(default_factory=threading.Lock)

    def take(self, params: Params) -> Env:
        """Return an environment that must be reset first.

        Raises: ValueError for a value that its parameter cannot take, EnvFailedError.
        """
        if (kept := self._take_idle(params)) is not None:
            return kept
        values = {name: self.parameters[name].value(number) for name, number in params}
        try:
            return _make(self.name, values)
        except FAILURES as error:
            require_no_interrupt_of_ours(error)
            raise EnvFailedError(f"{self.name} cannot be made with {dict(params)}: {told(error)}") from error

    def give_back(self, params: Params, env: Env) -> None:
        """Keep `env` for who asks next; close the one that was longest of no use."""
        with self._choosing:
            self._idle.append((params, env))
            longest = self._idle.pop(0)[1] if len(self._idle) > _MAX_IDLE else None
        if longest is not None:
            close(longest)

    def _take_idle(self, params: Params) -> Env | None:
        with self._choosing:  # batches of several threads may want one
            for index, (idle, env) in enumerate(self._idle):
                if idle == params:
                    del self._idle[index]
                    return env
        return None


def find_python_env(name: str) -> PythonEnv:
    """Import the module that `name` begins with, and make one of its environments.

    Raises: ValueError saying why none can be made, or not be learned in.
    """
    try:
        with keeping_signal_handlers():
            importlib.import_module(module_of(name))
        env = _make(name, {})
    except FAILURES as error:
        require_no_interrupt_of_ours(error)
        raise ValueError(told(error)) from error
    try:
        found = _described(name, env)
    except ValueError:
        close(env)
        raise
    found.give_back((), env)
    return found


def _described(name: str, env: Env) -> PythonEnv:
    spec = env.spec
    assert spec is not None  # gymnasium.make sets it
    if spec.max_episode_steps is None:
        raise ValueError("it has no time limit, and may never end: register it with max_episode_steps")
    return PythonEnv(
        name=name,
        observation_dim=flatdim(env.observation_space),
        actions=actions_of(env),
        max_episode_steps=spec.max_episode_steps,
        parameters={parameter.name: parameter for parameter in parameters_of(spec)},
    )


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
