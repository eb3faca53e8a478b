"""A trained policy for programs of your own, in NumPy: what `murmur train` or a peer saved chooses actions here.

    policy = load_policy("runs/train/cartpole-4fa023f6/model.safetensors")
    action = policy.act(observation)  # or a batch of observations: a batch of actions

Nothing else in the peer imports this module.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from peer.errors import StorageError
from peer.native import PpoSettings
from peer.policy_description import PolicyEnv, described_env, described_settings
from peer.storage.model_file import ModelFile, check_named, load_model
from peer.telemetry.plain_text import printable

Floats = npt.NDArray[np.float32]
Actions = npt.NDArray[np.int64] | Floats

_EPSILON = 1e-8
"""Added to variances, as the core does (murmur/rollout/running_moments.hpp)."""
_MAX_SHIFT = 1e30
"""Bound on the means that observations are shifted by, as in the core."""


def _silu(x: Floats) -> Floats:
    half: Floats = x * np.float32(0.5)
    return half + half * np.tanh(half)  # x times the logistic function, without overflow


def _relu(x: Floats) -> Floats:
    return np.maximum(x, np.float32(0.0))


_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {"tanh": np.tanh, "relu": _relu, "silu": _silu}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The actor of a model. Its actions are those of the core up to rounding.

    layers: (weight float32[out, in], bias float32[out]), the head last. log_std: float32[A], of continuous actions, in
    training; empty for discrete ones. shift, scale, clip: observations are seen as clip((o - shift) * scale).
    """

    env: PolicyEnv
    activation: str
    layers: tuple[tuple[Floats, Floats], ...]
    log_std: Floats
    shift: Floats
    scale: Floats
    clip: float

    def act(self, observations: npt.ArrayLike) -> Actions:
        """Return greedy actions: int64[N], or float32[N, A] within the bounds; without N for one observation.

        Raises: ValueError for observations of another shape, or that are not finite.
        """
        outputs = self.outputs(observations)
        if self.env.discrete:
            return np.asarray(outputs.argmax(axis=-1), dtype=np.int64)
        return np.clip(outputs, self.env.action_low, self.env.action_high)

    def outputs(self, observations: npt.ArrayLike) -> Floats:
        """Return what the network says: logits of discrete actions, else means. Raises: as `act`."""
        seen = np.asarray(observations, dtype=np.float32)
        if seen.ndim not in (1, 2) or seen.shape[-1] != self.env.obs_dim:
            raise ValueError(
                f"observations of {self.env.name} have shape ({self.env.obs_dim},) or (N, {self.env.obs_dim}),"
                f" got {seen.shape}"
            )
        if not np.isfinite(seen).all():
            raise ValueError(f"observations of {self.env.name} must be finite, got {seen[~np.isfinite(seen)][0]}")
        x: Floats = np.clip((seen - self.shift) * self.scale, -self.clip, self.clip)
        for weight, bias in self.layers[:-1]:
            x = _ACTIVATIONS[self.activation](x @ weight.T + bias)
        weight, bias = self.layers[-1]
        return x @ weight.T + bias


def load_policy(path: str | Path) -> Policy:
    """Read the policy from a `model.safetensors`.

    Raises: StorageError when the file cannot be used as a policy, or holds another model than it names.
    """
    path = Path(path)
    file = load_model(path)
    try:
        policy = _policy(file, described_env(file.settings), described_settings(file.settings))
    except (KeyError, ValueError, TypeError) as error:
        raise StorageError(f"{path} does not fit its own description: {printable(str(error))}") from error
    check_named(path, file)
    return policy


def _policy(file: ModelFile, env: PolicyEnv, settings: PpoSettings) -> Policy:
    if settings.activation not in _ACTIVATIONS:
        raise ValueError(f"unknown activation {settings.activation!r}")
    if file.state.moments.mean.size != env.obs_dim + 1:
        size = file.state.moments.mean.size
        raise ValueError(f"expected moments of {env.obs_dim} observations and the return, got {size}")
    sizes = [env.obs_dim, *settings.hidden, env.num_actions if env.discrete else env.action_dim]
    rest: Floats = file.state.params
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        count = (inputs + 1) * outputs
        if rest.size < count:
            raise ValueError(f"an actor of {sizes} units has more parameters than the file, {file.state.params.size}")
        layers.append((rest[: inputs * outputs].reshape(outputs, inputs), rest[inputs * outputs : count]))
        rest = rest[count:]
    log_std, rest = rest[: 0 if env.discrete else env.action_dim], rest[0 if env.discrete else env.action_dim :]
    critic = [settings.hidden[-1], 1] if settings.shared_trunk else [env.obs_dim, *settings.hidden, 1]
    if rest.size != (expected := sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(critic))):
        raise ValueError(f"a critic of {critic} units has {expected} parameters, the file leaves {rest.size} for it")
    if not np.isfinite(file.state.params).all():
        raise ValueError("parameters are not finite")
    shift, scale = _normalisation(file, env) if settings.normalize_observations else _unchanged(env)
    clip = settings.observation_clip if settings.normalize_observations and settings.observation_clip > 0 else math.inf
    return Policy(
        env=env,
        activation=settings.activation,
        layers=tuple(layers),
        log_std=log_std,
        shift=shift,
        scale=scale,
        clip=clip,
    )


def _normalisation(file: ModelFile, env: PolicyEnv) -> tuple[Floats, Floats]:
    moments = file.state.moments
    count, mean, m2 = (part[: env.obs_dim] for part in (moments.count, moments.mean, moments.m2))
    variance = np.divide(m2, count, out=np.ones_like(m2), where=count > 0)
    shift = np.clip(mean, -_MAX_SHIFT, _MAX_SHIFT).astype(np.float32)
    return shift, (1.0 / np.sqrt(variance + _EPSILON)).astype(np.float32)


def _unchanged(env: PolicyEnv) -> tuple[Floats, Floats]:
    return np.zeros(env.obs_dim, np.float32), np.ones(env.obs_dim, np.float32)
