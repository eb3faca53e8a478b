"""Environments with Gymnasium's interface as a batch: what the core steps where its own are columns of numbers.

Seeds, lengths and returns of episodes are the core's business (bindings/python_vector_env.hpp).
"""

from collections.abc import Mapping
from typing import Any  # Any: whatever an environment returns

import numpy as np
import numpy.typing as npt

from peer.errors import EnvFailedError
from peer.python_envs.failures import FAILURES, told
from peer.python_envs.printing import printing_to_stderr
from peer.python_envs.python_env import Params, PythonEnv
from peer.python_envs.spaces import Env, Floats
from peer.python_envs.stopping import (
    require_no_interrupt_of_ours,
    require_not_stopped,
    require_not_stopped_by_now,
)

Flags = npt.NDArray[np.uint8]


class EnvBatch:
    """N environments that work on the core's arrays. Nobody else may keep these: they are written again and again."""

    def __init__(
        self,
        kind: PythonEnv,
        actions: Floats,
        observations: Floats,
        rewards: Floats,
        terminated: Flags,
        truncated: Flags,
        resting: Flags,
    ) -> None:
        """actions: [N, A], what `step` does. observations: [N, D], what it leads to; `reset` writes one row.

        rewards, terminated, truncated: [N], likewise. resting: [N], 1 where `step` shall pass over an environment.
        """
        self._kind = kind
        self._actions = actions
        self._observations = observations
        self._rewards = rewards
        self._terminated = terminated
        self._truncated = truncated
        self._resting = resting
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
                self._kind.give_back(self._params[index], self._envs[index])
                self._envs[index], self._params[index] = env, wanted

    def reset(self, index: int, seed: int) -> None:
        """Begin an episode. Raises: EnvFailedError."""
        require_not_stopped()
        try:
            with printing_to_stderr:
                observation, _ = self._envs[index].reset(seed=seed)
            self._observe(index, observation)
        except FAILURES as error:
            raise self._failed(f"reset(seed={seed})", error) from error

    def step(self) -> None:
        """Move every environment on by its action. Raises: EnvFailedError."""
        with printing_to_stderr:
            self._step()

    def close(self) -> None:
        """Leave the environments to who needs some next."""
        with printing_to_stderr:
            for params, env in zip(self._params, self._envs, strict=True):
                self._kind.give_back(params, env)
        self._envs.clear()
        self._params.clear()

    def _step(self) -> None:
        resting = self._resting.tolist()
        for index, action in enumerate(self._kind.actions.of(self._actions)):
            if resting[index]:
                continue
            require_not_stopped()
            try:
                observation, reward, terminated, truncated, _ = self._envs[index].step(action)
                self._observe(index, observation)
                self._reward(index, reward)
                self._terminated[index] = bool(terminated)
                self._truncated[index] = bool(truncated)
            except FAILURES as error:
                raise self._failed(f"step({action})", error) from error

    def _failed(self, call: str, error: BaseException) -> EnvFailedError:
        """Return what to raise for it. Raises: EnvStoppedError, KeyboardInterrupt when it was no failure."""
        require_no_interrupt_of_ours(error)
        require_not_stopped_by_now()
        return EnvFailedError(f"{self._kind.name} failed in {call}: {told(error)}")

    def _reward(self, index: int, reward: Any) -> None:
        try:
            self._rewards[index] = reward
        except (TypeError, ValueError) as error:
            raise ValueError(f"a reward must be one number, got {reward!r}") from error

    def _observe(self, index: int, observation: npt.ArrayLike) -> None:
        row = np.asarray(observation)
        if row.shape != self._row:
            raise ValueError(f"observations have shape {self._row}, got {row.shape}")
        self._observations[index] = row
