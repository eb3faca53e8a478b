"""Environments with Gymnasium's interface, one for each thing that they may do. Importing this registers them."""

import math
import sys
import threading
import time
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Sequence

MODULE = __name__
LIMIT = 20


class Corridor(gym.Env[Any, Any]):
    """A walk to the right end. It counts its steps, all of its kind together, and can be told to misbehave."""

    walked: ClassVar[int] = 0
    closed: ClassVar[int] = 0

    def __init__(
        self,
        length: int = 5,
        slip: float = 0.0,
        *,
        backwards: bool = False,
        fails_at_step: int = 0,
        fails_in_reset: bool = False,
        exits_in_reset: bool = False,
        wide: bool = False,
        patience: float = math.inf,
        most: int = sys.maxsize,
        unset: float = math.nan,
        vast: int = 10**400,
        max_episode_steps: int = 3,
        render_mode: str | None = None,
    ) -> None:
        if length < 1:
            raise ValueError("a corridor has a length")
        self.length, self.slip, self.backwards = length, slip, backwards
        self.fails_at_step, self.fails_in_reset = fails_at_step, fails_in_reset
        self.steps = 0
        self.render_mode = render_mode
        self.exits_in_reset, self.patience, self.most, self.unset = exits_in_reset, patience, most, unset
        self.vast, self.limit = vast, max_episode_steps
        self.observation_space = Box(-np.inf, np.inf, (70_000 if wide else 2,), np.float32)
        self.action_space = Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if self.fails_in_reset:
            raise RuntimeError("the door is locked")
        if self.exits_in_reset:
            sys.exit("nobody is here")
        self.at = 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        Corridor.walked += 1
        if self.steps == self.fails_at_step:
            raise ZeroDivisionError("the floor gave way")
        if self.np_random.random() < self.slip:
            action = 1 - action
        self.at = max(0, self.at + (1 if action != self.backwards else -1))
        return self._seen(), 1.0 if self.at >= self.length else -0.01, self.at >= self.length, False, {}

    def close(self) -> None:
        Corridor.closed += 1

    def _seen(self) -> Any:
        return np.array([self.at, self.length], np.float32)


class Slow(gym.Env[Any, Any]):
    """Each step takes a moment. It tells of those that it has begun, and can be interrupted by itself."""

    begun: ClassVar[threading.Semaphore] = threading.Semaphore(0)
    observation_space = Box(-1.0, 1.0, (1,), np.float32)
    action_space = Discrete(2)

    def __init__(self, step_s: float = 0.1, *, is_interrupted: bool = False) -> None:
        self.step_s, self.is_interrupted = step_s, is_interrupted

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        Slow.begun.release()
        if self.is_interrupted:
            raise KeyboardInterrupt
        time.sleep(self.step_s)
        return np.zeros(1, np.float32), 0.0, False, False, {}


class Fixed(gym.Env[Any, Any]):
    """Spaces as given, observations too; it remembers what it was told to do."""

    actions: ClassVar[list[Any]] = []

    def __init__(self, observations: Any, actions: Any, observation: Any = None, reward: Any = 0.5) -> None:
        self.observation_space, self.action_space = observations, actions
        self.observation, self.reward = observation, reward

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation, {"seed": seed}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        Fixed.actions.append(action)
        return self.observation, self.reward, False, False, {}


ROW = Box(-1.0, 1.0, (2,), np.float32)
PAIR = Box(np.array([[-1.0, -2.0]]), np.array([[1.0, 2.0]]), dtype=np.float64)


class Missions(gym.Space[str]):
    """Of a package's own kind, as MiniGrid's are."""


_FIXED: dict[str, dict[str, Any]] = {
    "Choosing-v0": {"observations": Discrete(3), "actions": Discrete(4), "observation": 2},
    "Shaped-v0": {
        "observations": Box(0, 9, (2, 2), np.int64),
        "actions": PAIR,
        "observation": np.array([[1, 2], [3, 4]]),
    },
    "Named-v0": {
        "observations": Dict({"b": Box(0.0, 9.0, (1,)), "a": Discrete(2)}),
        "actions": Discrete(2),
        "observation": {"a": 1, "b": np.array([7.0], np.float32)},
    },
    "Late-v0": {"observations": ROW, "actions": Discrete(3, start=1)},
    "Many-v0": {"observations": ROW, "actions": MultiDiscrete([2, 2])},
    "Huge-v0": {"observations": Box(0, 1, (300, 300)), "actions": Discrete(2)},
    "Missionary-v0": {"observations": Dict({"mission": Missions(), "row": ROW}), "actions": Discrete(2)},
    "Growing-v0": {"observations": Sequence(Discrete(2)), "actions": Discrete(2)},
    "Lying-v0": {"observations": ROW, "actions": Discrete(2), "observation": np.zeros(3, np.float32)},
    "Worthless-v0": {"observations": ROW, "actions": Discrete(2), "observation": np.zeros(2), "reward": None},
    "Twofold-v0": {"observations": ROW, "actions": Discrete(2), "observation": np.zeros(2), "reward": [1.0, 2.0]},
    "Hazy-v0": {"observations": ROW, "actions": Discrete(2), "observation": np.array([0.0, np.nan])},
}

_CORRIDOR, _FIXED_ENV = f"{MODULE}:Corridor", f"{MODULE}:Fixed"

gym.register("Corridor-v0", _CORRIDOR, max_episode_steps=LIMIT)
gym.register("LongCorridor-v0", _CORRIDOR, max_episode_steps=LIMIT, kwargs={"length": 9})
gym.register("Slippery-v0", _CORRIDOR, max_episode_steps=LIMIT, kwargs={"slip": 0.5})
gym.register("Collapsing-v0", _CORRIDOR, max_episode_steps=LIMIT, kwargs={"fails_at_step": 50})
gym.register("Locked-v0", _CORRIDOR, max_episode_steps=LIMIT, kwargs={"fails_in_reset": True})
gym.register("Deserted-v0", _CORRIDOR, max_episode_steps=LIMIT, kwargs={"exits_in_reset": True})
gym.register("Wide-v0", _CORRIDOR, max_episode_steps=LIMIT, kwargs={"wide": True})
gym.register("Endless-v0", _CORRIDOR)
gym.register("Élan-v0", _CORRIDOR, max_episode_steps=LIMIT)
gym.register("Slow-v0", f"{MODULE}:Slow", max_episode_steps=LIMIT)
gym.register("Interrupted-v0", f"{MODULE}:Slow", max_episode_steps=LIMIT, kwargs={"is_interrupted": True})
for _id, _kwargs in _FIXED.items():
    gym.register(_id, _FIXED_ENV, max_episode_steps=LIMIT, kwargs=_kwargs)


def name(env_id: str) -> str:
    """Return the environment as the configuration names it."""
    return f"{MODULE}:{env_id}"
