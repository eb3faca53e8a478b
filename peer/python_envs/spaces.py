"""What the core makes of Gymnasium's spaces: observations are rows of numbers, actions a choice or a row of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol  # Any: an observation or an action of whatever kind the environment has

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete, flatdim
from gymnasium.wrappers import FlattenObservation

Floats = npt.NDArray[np.float32]
Env = gym.Env[Any, Any]
BatchEnv = gym.vector.VectorEnv[Any, Any, Any]

MAX_OBSERVATION_DIM = 65_536
"""Numbers of one observation. Policies are dense networks: each has a weight for each unit of the first layer."""


class Actions(Protocol):
    """How the core's actions, float32[N, A], are handed to N environments."""

    @property
    def num_choices(self) -> int:
        """Choices, or 0 where actions are rows of numbers."""

    @property
    def low(self) -> Floats: ...

    @property
    def high(self) -> Floats: ...

    def of(self, actions: Floats) -> Iterator[Any]:
        """Return each environment's action, of its own kind."""

    def together(self, actions: Floats) -> npt.NDArray[Any]:
        """Return all of them as one array, [N, ...]."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a number of choices, counted from 0."""

    space: Discrete

    @property
    def num_choices(self) -> int:
        return int(self.space.n)

    @property
    def low(self) -> Floats:
        return np.zeros(0, np.float32)

    @property
    def high(self) -> Floats:
        return np.zeros(0, np.float32)

    def of(self, actions: Floats) -> Iterator[Any]:
        return iter(self.together(actions))

    def together(self, actions: Floats) -> npt.NDArray[Any]:
        return actions[:, 0].astype(self.space.dtype)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers within bounds, clipped to them as by Gymnasium's ClipAction."""

    space: Box

    @property
    def num_choices(self) -> int:
        return 0

    @property
    def low(self) -> Floats:
        return self.space.low.reshape(-1).astype(np.float32)

    @property
    def high(self) -> Floats:
        return self.space.high.reshape(-1).astype(np.float32)

    def of(self, actions: Floats) -> Iterator[Any]:
        return iter(self.together(actions))

    def together(self, actions: Floats) -> npt.NDArray[Any]:
        shaped = actions.reshape(-1, *self.space.shape)
        return np.clip(shaped, self.space.low, self.space.high).astype(self.space.dtype, copy=False)


def actions_of(space: gym.Space[Any]) -> Actions:
    """Raises: ValueError for a space that the core has no policy for."""
    if isinstance(space, Discrete) and space.start == 0:
        return Choice(space)
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating) and space.shape != (0,):
        return Numbers(space)
    raise ValueError(f"actions must be a Discrete that counts from 0, or a Box of floating-point numbers, got {space}")


def with_flat_observations(env: Env) -> Env:
    """Return `env`, wrapped where its observations are no row of numbers: Gymnasium flattens them, choices one-hot.

    Raises: ValueError where that cannot be, or makes too many.
    """
    space = env.observation_space
    if not _can_be_flattened(space):
        raise ValueError(f"observations must be of a fixed number of numbers, got {space}")
    _check_size(space)
    return env if isinstance(space, Box) and len(space.shape) == 1 else FlattenObservation(env)


def checked_shape(space: gym.Space[Any]) -> tuple[int, ...]:
    """Return the shape of the observations of each of many environments that step together.

    Raises: ValueError for what is no array of numbers, or is too large.
    """
    if not isinstance(space, Box):
        raise ValueError(f"observations of environments that step together must be a Box, got {space}")
    _check_size(space)
    return space.shape


def _check_size(space: gym.Space[Any]) -> None:
    size = flatdim(space)
    if not 1 <= size <= MAX_OBSERVATION_DIM:
        raise ValueError(f"observations must be 1 to {MAX_OBSERVATION_DIM} numbers, got {size}: {space}")


def _can_be_flattened(space: gym.Space[Any]) -> bool:
    try:
        return space.is_np_flattenable
    except NotImplementedError:  # a kind of space that Gymnasium does not know, alone or within another
        return False
