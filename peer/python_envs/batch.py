"""Environments with Gymnasium's interface, one by one: what the core steps where its own are columns of numbers.

Seeds, lengths and returns of episodes are the core's business (bindings/python_vector_env.hpp).
"""

from collections.abc import Mapping, Sequence
from typing import Any  # Any: whatever an environment returns

import numpy as np
import numpy.typing as npt

from peer.python_envs.arrays import StepArrays
from peer.python_envs.failures import FAILURES, failed
from peer.python_envs.printing import printing_to_stderr
from peer.python_envs.python_env import Params, PythonEnv
from peer.python_envs.spaces import Env
from peer.python_envs.stopping import require_not_stopped


class EnvBatch:
    """N environments that work on the core's arrays."""

    restarts_itself = False
    """The core says when an episode begins, and by which seed."""

    def __init__(self, kind: PythonEnv, arrays: StepArrays) -> None:
        self._kind = kind
        self._arrays = arrays
        self._envs: list[Env] = []
        self._params: list[Params] = []
        self._row = (kind.observation_dim,)

    def build(self, index: int, params: Mapping[str, float]) -> None:
        """Have environment `index`, which exists or is the next one, be of these parameters.

        Raises: EnvFailedError; EnvStoppedError, as the others do.
        """
        require_not_stopped()
        wanted = tuple(params.items())
        with printing_to_stderr:
            if index == len(self._envs):
                self._envs.append(self._kind.take(wanted))
                self._params.append(wanted)
            elif self._params[index] != wanted:
                env = self._kind.take(wanted)
                self._kind.idle.give_back(self._params[index], self._envs[index])
                self._envs[index], self._params[index] = env, wanted

    def reset(self, index: int, seed: int) -> None:
        """Begin an episode. Raises: EnvFailedError."""
        require_not_stopped()
        try:
            with printing_to_stderr:
                observation, _ = self._envs[index].reset(seed=seed)
            self._observe(index, observation)
        except FAILURES as error:
            raise failed(self._kind.name, f"reset(seed={seed})", error) from error

    def settle(self) -> Sequence[int]:
        """Return the environments that began anew with others: none."""
        return ()

    def step(self) -> None:
        """Move every environment on by its action. Raises: EnvFailedError."""
        with printing_to_stderr:
            self._step()

    def close(self) -> None:
        """Leave the environments to who needs some next."""
        with printing_to_stderr:
            for params, env in zip(self._params, self._envs, strict=True):
                self._kind.idle.give_back(params, env)
        self._envs.clear()
        self._params.clear()

    def _step(self) -> None:
        arrays = self._arrays
        resting = arrays.resting.tolist()
        for index, action in enumerate(self._kind.actions.of(arrays.actions)):
            if resting[index]:
                continue
            require_not_stopped()
            try:
                observation, reward, terminated, truncated, _ = self._envs[index].step(action)
                self._observe(index, observation)
                self._reward(index, reward)
                arrays.terminated[index] = bool(terminated)
                arrays.truncated[index] = bool(truncated)
            except FAILURES as error:
                raise failed(self._kind.name, f"step({action})", error) from error

    def _reward(self, index: int, reward: Any) -> None:
        try:
            self._arrays.rewards[index] = reward
        except (TypeError, ValueError) as error:
            raise ValueError(f"a reward must be one number, got {reward!r}") from error

    def _observe(self, index: int, observation: npt.ArrayLike) -> None:
        row = np.asarray(observation)
        if row.shape != self._row:
            raise ValueError(f"observations have shape {self._row}, got {row.shape}")
        self._arrays.observations[index] = row
