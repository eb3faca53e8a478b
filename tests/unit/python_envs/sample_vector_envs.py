"""Environments that step together, one for each way in which they may begin the next episodes. Importing this registers
them."""

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control import cartpole
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space

from tests.unit.python_envs import sample_envs
from tests.unit.python_envs.sample_envs import LIMIT

MODULE = __name__
MODES = tuple(AutoresetMode)
SAME_STEP = AutoresetMode.SAME_STEP


def gymnasiums(num_envs: int, max_episode_steps: int, *, of: str, mode: str, **params: Any) -> SyncVectorEnv:
    """Return what steps Gymnasium's single environments in turn."""

    def one() -> Any:
        return gym.make(sample_envs.name(of), max_episode_steps=max_episode_steps, disable_env_checker=True, **params)

    return SyncVectorEnv([one] * num_envs, autoreset_mode=AutoresetMode(mode))


def corridors(num_envs: int, max_episode_steps: int, length: int = 5, slip: float = 0.0) -> SyncVectorEnv:
    return gymnasiums(num_envs, max_episode_steps, of="Corridor-v0", mode="SameStep", length=length, slip=slip)


class Misbehaving(VectorEnv[Any, Any, Any]):
    """Rows of zeros whose episodes end at every third step, and what is asked for goes wrong."""

    closings: ClassVar[int] = 0

    def __init__(
        self, num_envs: int, max_episode_steps: int = LIMIT, *, mode: Any = SAME_STEP, fault: str = ""
    ) -> None:
        self.num_envs, self.fault = num_envs, fault
        self.metadata = {"autoreset_mode": mode}
        self.single_observation_space = Dict({"a": Discrete(2)}) if fault == "dict" else Box(-1.0, 1.0, (2, 2))
        self.single_action_space = Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if self.fault == "reset":
            raise RuntimeError("the doors are locked")
        return self._seen() + (0.5 if self.fault == "mask" and options else 0.0), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        self.steps += 1
        if self.fault == "step" and self.steps == 2:
            raise ZeroDivisionError("the floors gave way")
        ended = np.zeros(self.num_envs, bool)
        ended[0] = self.fault != "endless" and (self.steps % 3 == 0 or self.fault == "at once")
        rewards = np.zeros((self.num_envs, 2) if self.fault == "rewards" else self.num_envs)
        final = self._seen()[:, :1] if self.fault == "final shape" else self._seen()
        info = {} if self.fault == "final" else {"final_obs": final}
        seen = self._seen()[:, 0] if self.fault == "observations" else self._seen()
        if self.fault == "hazy":
            seen[-1] = np.nan
        return seen, rewards, ended, np.zeros(self.num_envs, bool), info

    def close_extras(self, **kwargs: Any) -> None:
        Misbehaving.closings += 1

    def _seen(self) -> Any:
        return np.zeros((self.num_envs, 2, 2), np.float32)


for _mode in MODES:
    for _prefix, _of in (("", {"of": "Slippery-v0"}), ("Backward", {"of": "Corridor-v0", "backwards": True})):
        gym.register(
            f"{_prefix}{_mode.value}-v0",
            vector_entry_point=f"{MODULE}:gymnasiums",
            max_episode_steps=LIMIT,
            kwargs={**_of, "mode": _mode.value},
        )
gym.register("Corridors-v0", vector_entry_point=f"{MODULE}:corridors", max_episode_steps=LIMIT)
gym.register(
    "EitherWay-v0", f"{sample_envs.MODULE}:Corridor", vector_entry_point=f"{MODULE}:corridors", max_episode_steps=LIMIT
)  # one by one as well
gym.register("JointCartPole-v1", vector_entry_point=f"{cartpole.__name__}:CartPoleVectorEnv", max_episode_steps=500)
_MISBEHAVING = f"{MODULE}:Misbehaving"
_FAULTS: dict[str, dict[str, Any]] = {
    "Locked": {"fault": "reset"},
    "Collapsing": {"fault": "step"},
    "Paired": {"fault": "rewards"},
    "Flat": {"fault": "observations"},
    "Unfinished": {"fault": "final"},
    "Narrow": {"fault": "final shape"},
    "Hazy": {"fault": "hazy"},
    "Unmasked": {"fault": "mask", "mode": AutoresetMode.DISABLED},
    "Overlong": {"fault": "endless"},
    "Patient": {"fault": "endless", "mode": AutoresetMode.DISABLED},
    "Hasty": {"fault": "at once", "mode": AutoresetMode.NEXT_STEP},
    "Dictionary": {"fault": "dict"},
    "Silent": {"mode": None},
    "Odd": {"mode": "Sometimes"},
}
for _name, _kwargs in _FAULTS.items():
    gym.register(f"Joint{_name}-v0", vector_entry_point=_MISBEHAVING, max_episode_steps=LIMIT, kwargs=_kwargs)
gym.register("JointTimeless-v0", vector_entry_point=_MISBEHAVING)


def name(env_id: str) -> str:
    """Return the environment as the configuration names it."""
    return f"{MODULE}:{env_id}"
