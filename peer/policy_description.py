"""What a model file says of its policy, beside the parameters: enough for `murmur eval` to build it again."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from peer.config.schema import Config
from peer.native import EnvSpec, PpoSettings, env_spec
from peer.python_envs.names import is_python_env

Bounds = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEnv:
    """What of its environment a policy must know.

    num_actions: choices; 0 where actions are numbers within action_low and action_high, float32[A] each.
    """

    name: str
    obs_dim: int
    num_actions: int
    action_low: Bounds
    action_high: Bounds

    @property
    def discrete(self) -> bool:
        return self.num_actions > 0

    @property
    def action_dim(self) -> int:
        """Numbers per action; 1 if discrete."""
        return 1 if self.discrete else self.action_low.size


def describe_policy(config: Config) -> dict[str, str]:
    """Return the environment, and all settings that decide which action the parameters lead to.

    The environment must be known to the core. Who reads of one that is written in Python need not have it.
    """
    return {
        "env": config.env.name,
        **(_described(env_spec(config.env.name)) if is_python_env(config.env.name) else {}),
        "hidden": ",".join(str(size) for size in config.model.hidden),
        "activation": config.model.activation,
        "shared_trunk": str(config.model.shared_trunk).lower(),
        "normalize_observations": str(config.ppo.normalize_observations).lower(),
        "observation_clip": repr(config.ppo.observation_clip),
    }


def described_env(description: Mapping[str, str]) -> PolicyEnv:
    """Raises: KeyError when the file says too little, ValueError when it makes no sense."""
    name = description["env"]
    if not is_python_env(name):
        spec = env_spec(name)
        return PolicyEnv(
            name=name,
            obs_dim=spec.obs_dim,
            num_actions=spec.num_actions,
            action_low=spec.action_low,
            action_high=spec.action_high,
        )
    env = PolicyEnv(
        name=name,
        obs_dim=int(description["observation_dim"]),
        num_actions=int(description["num_actions"]),
        action_low=_bounds(description["action_low"]),
        action_high=_bounds(description["action_high"]),
    )
    if env.obs_dim < 1 or env.num_actions < 0 or not _are_bounds(env) or env.action_dim < 1:
        raise ValueError("observation_dim, num_actions, action_low and action_high are of no environment")
    return env


def _are_bounds(env: PolicyEnv) -> bool:
    low, high = env.action_low, env.action_high
    return low.shape == high.shape and bool((low <= high).all())  # NaN is no bound, either


def _described(spec: EnvSpec) -> dict[str, str]:
    return {
        "observation_dim": str(spec.obs_dim),
        "num_actions": str(spec.num_actions),
        "action_low": ",".join(str(bound) for bound in spec.action_low),
        "action_high": ",".join(str(bound) for bound in spec.action_high),
    }


def _bounds(text: str) -> Bounds:
    return np.array([float(bound) for bound in text.split(",") if bound], np.float32)


def described_settings(description: Mapping[str, str]) -> PpoSettings:
    """Return the learner's settings that a file describes, the others by default.

    Raises: KeyError when it says too little, ValueError when it makes no sense.
    """
    return PpoSettings(
        hidden=tuple(int(size) for size in description["hidden"].split(",")),
        activation=description["activation"],
        # Files of earlier versions do not say these; they ran with the defaults.
        shared_trunk=description.get("shared_trunk", "false") == "true",
        observation_clip=float(description.get("observation_clip", "10.0")),
        normalize_observations=description["normalize_observations"] == "true",
    )


def check_size(hidden: tuple[int, ...], num_params: int) -> None:
    """Refuse a network that cannot be what the file holds: to draw its first weights would take hours.

    Raises: ValueError.
    """
    least = sum(inputs * outputs for inputs, outputs in itertools.pairwise(hidden))
    if least > num_params:
        raise ValueError(
            f"hidden layers of {hidden} units have {least} weights, the file holds {num_params} parameters"
        )
