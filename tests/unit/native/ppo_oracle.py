"""PPO in float64 NumPy with gradients by hand: what a learner of the core must become from the same seeds.

Written from the papers and from Stable-Baselines3, in other words than the core: statistics are those of all rows ever
seen, and a time limit adds the discounted value of the last observation to the reward before everything ends there.
Environments and their episodes are the core's own.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from peer.native import PpoSettings, VectorEnv
from tests.unit.native.random_streams import below, pcg32, uniform

Array = npt.NDArray[np.float64]

_ACTION_STREAM = 0x616374
_SHUFFLE_STREAM = 0x73687566
_PAIRS_AT_ONCE = 16
_HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)
_EPSILON = 1e-8


class Network:
    """An MLP with tanh. Parameters: of each layer weights [outputs, inputs], then biases."""

    def __init__(self, *sizes: int) -> None:
        self._shapes = [(outputs, inputs) for inputs, outputs in itertools.pairwise(sizes)]
        self.num_params = sum(outputs * inputs + outputs for outputs, inputs in self._shapes)

    def run(self, params: Array, x: Array) -> list[Array]:
        """Return the input and what follows each layer; the last is the output."""
        layers = self._layers(params)
        passed = [x]
        for weights, biases in layers[:-1]:
            passed.append(np.tanh(passed[-1] @ weights.T + biases))
        weights, biases = layers[-1]
        return [*passed, passed[-1] @ weights.T + biases]

    def gradient(self, params: Array, passed: list[Array], slope: Array) -> Array:
        """Return d loss / d params, where slope is d loss / d output."""
        parts: list[Array] = []
        for (weights, _), x in zip(reversed(self._layers(params)), reversed(passed[:-1]), strict=True):
            parts = [(slope.T @ x).ravel(), slope.sum(axis=0), *parts]
            slope = (slope @ weights) * (1.0 - x * x)
        return np.concatenate(parts)

    def _layers(self, params: Array) -> list[tuple[Array, Array]]:
        layers, at = [], 0
        for outputs, inputs in self._shapes:
            end = at + outputs * inputs
            layers.append((params[at:end].reshape(outputs, inputs), params[end : end + outputs]))
            at = end + outputs
        return layers


class Seen:
    """All rows of some quantities so far."""

    def __init__(self, width: int) -> None:
        self._rows: Array = np.zeros((0, width))

    def add(self, rows: Array) -> None:
        self._rows = np.concatenate([self._rows, rows])

    @property
    def mean(self) -> Array:
        return np.asarray(self._rows.mean(axis=0))

    @property
    def variance(self) -> Array:
        return np.asarray(self._rows.var(axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """[T, N] or [T, N, ...]; values and advantages as the critic stood before the update."""

    observations: Array
    actions: Array
    log_probs: Array
    advantages: Array
    values: Array

    def samples(self) -> "Rollout":
        """Return the same with T and N as one axis."""
        steps, envs = self.log_probs.shape
        flat = {
            name: getattr(self, name).reshape(steps * envs, *getattr(self, name).shape[2:]) for name in self.__slots__
        }
        return Rollout(**flat)


class OracleLearner:
    """params: those that the core's learner begins with."""

    def __init__(self, env_name: str, settings: PpoSettings, params: npt.NDArray[np.float32]) -> None:
        self._settings = settings
        self._env = VectorEnv(env_name, settings.num_envs, seed=settings.local_seed)
        spec = self._env.spec
        self._discrete = spec.discrete
        self._outputs = spec.num_actions if spec.discrete else spec.action_dim
        self._actor = Network(spec.obs_dim, *settings.hidden, self._outputs)
        self._critic = Network(spec.obs_dim, *settings.hidden, 1)
        self._actions = pcg32(settings.local_seed, _ACTION_STREAM)
        self._shuffle = pcg32(settings.local_seed, _SHUFFLE_STREAM)
        self._seen = Seen(spec.obs_dim)
        self._seen_returns = Seen(1)
        self._discounted: Array = np.zeros(settings.num_envs)
        self._observations: Array = self._env.observe().astype(np.float64)
        self.params: Array = params.astype(np.float64)
        self._first: Array = np.zeros_like(self.params)
        self._second: Array = np.zeros_like(self.params)
        self._optimizer_steps = 0
        self._env_steps = 0
        self.num_terminated = self.num_truncated = 0
        self.stopped_early = False

    def train_once(self) -> None:
        """Play one rollout and learn from it."""
        rollout = self._play().samples()
        self._learn(rollout)
        self._env_steps += len(rollout.log_probs)

    # --- rollout ---------------------------------------------------------------------------------------------------

    def _play(self) -> Rollout:
        settings, critic_params = self._settings, self._parts()[2]
        observations, actions, log_probs, rewards, ended = [], [], [], [], []
        for _ in range(settings.rollout_steps):
            self._seen.add(self._observations)
            observations.append(self._normalized(self._observations))
            chosen, log_prob = self._act(observations[-1])
            after, reward, terminated, truncated, final, _, _ = self._env.step(chosen.astype(np.float32))
            cut = (truncated > 0) & (terminated == 0)
            gained = self._scaled(reward.astype(np.float64), (terminated | truncated) > 0)
            if cut.any():  # as Stable-Baselines3 does it
                last = self._normalized(final[cut].astype(np.float64))
                gained[cut] += settings.gamma * self._critic.run(critic_params, last)[-1][:, 0]
            actions.append(chosen)
            log_probs.append(log_prob)
            rewards.append(gained)
            ended.append((terminated | truncated) > 0)
            self._observations = after.astype(np.float64)
            self.num_terminated += int(terminated.sum())
            self.num_truncated += int(cut.sum())
        inputs = np.stack([*observations, self._normalized(self._observations)])
        values = np.stack([self._critic.run(critic_params, x)[-1][:, 0] for x in inputs])
        return Rollout(
            observations=inputs[:-1],
            actions=np.stack(actions),
            log_probs=np.stack(log_probs),
            advantages=self._advantages(np.stack(rewards), values, np.stack(ended)),
            values=values[:-1],
        )

    def _act(self, observations: Array) -> tuple[Array, Array]:
        actor_params, log_std, _ = self._parts()
        outputs = self._actor.run(actor_params, observations)[-1]
        count = len(outputs)
        if self._discrete:
            log_p = log_softmax(outputs)
            draws = np.array([uniform(self._actions) for _ in range(count)])
            choice = (draws[:, np.newaxis] >= np.cumsum(np.exp(log_p), axis=1)[:, :-1]).sum(axis=1)
            return choice[:, np.newaxis].astype(np.float64), log_p[np.arange(count), choice]
        normals = self._normals(outputs.size).reshape(outputs.shape)
        actions = outputs + np.exp(log_std) * normals
        return actions, gaussian_log_prob(normals, log_std)

    def _normals(self, count: int) -> Array:
        """Box & Muller 1958, of one array of draws for the radius and one for the angle."""
        half = -(-((count + 1) // 2) // _PAIRS_AT_ONCE) * _PAIRS_AT_ONCE
        draws = np.array([uniform(self._actions) for _ in range(2 * half)])
        radius, angle = np.sqrt(-2.0 * np.log(1.0 - draws[:half])), 2.0 * np.pi * draws[half:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]

    def _normalized(self, observations: Array) -> Array:
        if not self._settings.normalize_observations:
            return observations
        scaled = (observations - self._seen.mean) / np.sqrt(self._seen.variance + _EPSILON)
        return clipped(scaled, self._settings.observation_clip)

    def _scaled(self, rewards: Array, ended: npt.NDArray[np.bool_]) -> Array:
        self._discounted = self._discounted * self._settings.gamma + rewards
        self._seen_returns.add(self._discounted[:, np.newaxis])
        self._discounted[ended] = 0.0
        if not self._settings.normalize_rewards:
            return rewards
        return clipped(rewards / np.sqrt(self._seen_returns.variance[0] + _EPSILON), self._settings.reward_clip)

    def _advantages(self, rewards: Array, values: Array, ended: npt.NDArray[np.bool_]) -> Array:
        gamma, decay = self._settings.gamma, self._settings.gamma * self._settings.gae_lambda
        advantages = np.zeros_like(rewards)
        follows: Array = np.zeros(rewards.shape[1])
        for t in reversed(range(len(rewards))):
            error = rewards[t] + gamma * np.where(ended[t], 0.0, values[t + 1]) - values[t]
            follows = error + decay * np.where(ended[t], 0.0, follows)
            advantages[t] = follows
        return advantages

    # --- update ----------------------------------------------------------------------------------------------------

    def _learn(self, rollout: Rollout) -> None:
        settings, order = self._settings, np.arange(len(rollout.log_probs))
        left = max(0.0, 1.0 - self._env_steps / settings.schedule_env_steps)
        learning_rate = settings.learning_rate * (left if settings.lr_schedule == "linear" else 1.0)
        clip_range = settings.clip_range * (left if settings.clip_schedule == "linear" else 1.0)
        for _ in range(settings.epochs):
            for i in range(len(order), 1, -1):
                j = below(self._shuffle, i)
                order[[i - 1, j]] = order[[j, i - 1]]
            for begin in range(0, len(order), settings.minibatch_size):
                chosen = order[begin : begin + settings.minibatch_size]
                gradient = self._gradient(rollout, chosen, clip_range)
                if gradient is None:
                    self.stopped_early = True
                    return
                self._step(gradient, learning_rate)

    def _gradient(self, rollout: Rollout, chosen: npt.NDArray[np.int64], clip_range: float) -> Array | None:
        """Return the gradient of the loss, or None where the policy has gone too far for another step."""
        settings, (actor_params, log_std, critic_params) = self._settings, self._parts()
        size = len(chosen)
        x, actions = rollout.observations[chosen], rollout.actions[chosen]
        advantages = rollout.advantages[chosen]
        if settings.normalize_advantages and size > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + _EPSILON)
        passed = self._actor.run(actor_params, x)
        outputs = passed[-1]
        z = np.zeros(0) if self._discrete else (actions - outputs) / np.exp(log_std)
        log_p = log_softmax(outputs)
        choice = actions[:, 0].astype(int)
        log_prob = log_p[np.arange(size), choice] if self._discrete else gaussian_log_prob(z, log_std)
        log_ratio = log_prob - rollout.log_probs[chosen]
        ratio = np.exp(log_ratio)
        if settings.target_kl and (ratio - 1.0 - log_ratio).mean() > 1.5 * settings.target_kl:
            return None
        is_clipped = advantages * ratio > advantages * np.clip(ratio, 1.0 - clip_range, 1.0 + clip_range)
        slope = (np.where(is_clipped, 0.0, -advantages * ratio) / size)[:, np.newaxis]  # d loss / d log prob
        if self._discrete:
            p = np.exp(log_p)
            entropy = -(p * log_p).sum(axis=1, keepdims=True)
            to_outputs = slope * (np.eye(self._outputs)[choice] - p)
            to_outputs = to_outputs + settings.entropy_coef / size * p * (log_p + entropy)
            to_log_std: Array = np.zeros(0)
        else:
            to_outputs = slope * z / np.exp(log_std)
            to_log_std = (slope * (z * z - 1.0)).sum(axis=0) - settings.entropy_coef
        return np.concatenate(
            [
                self._actor.gradient(actor_params, passed, to_outputs),
                to_log_std,
                self._value_gradient(critic_params, x, rollout, chosen),
            ]
        )

    def _value_gradient(self, params: Array, x: Array, rollout: Rollout, chosen: npt.NDArray[np.int64]) -> Array:
        old = rollout.values[chosen]
        targets = rollout.advantages[chosen] + old
        passed = self._critic.run(params, x)
        error = passed[-1][:, 0] - targets
        bound = self._settings.value_clip_range
        if bound > 0.0:
            shift = passed[-1][:, 0] - old
            other = old + np.clip(shift, -bound, bound) - targets
            is_free = np.abs(shift) <= bound  # then both are the same
            error = np.where(is_free | (error * error >= other * other), error, 0.0)
        slope = self._settings.value_coef / len(chosen) * error
        return self._critic.gradient(params, passed, slope[:, np.newaxis])

    def _step(self, gradient: Array, learning_rate: float) -> None:
        """Kingma & Ba 2015, algorithm 1, after the norm of all was clipped."""
        settings = self._settings
        gradient = gradient * min(1.0, settings.max_grad_norm / (np.sqrt((gradient * gradient).sum()) + 1e-6))
        self._optimizer_steps += 1
        self._first = settings.adam_beta1 * self._first + (1.0 - settings.adam_beta1) * gradient
        self._second = settings.adam_beta2 * self._second + (1.0 - settings.adam_beta2) * gradient * gradient
        first = self._first / (1.0 - settings.adam_beta1**self._optimizer_steps)
        second = self._second / (1.0 - settings.adam_beta2**self._optimizer_steps)
        self.params = self.params - learning_rate * first / (np.sqrt(second) + settings.adam_epsilon)

    def _parts(self) -> tuple[Array, Array, Array]:
        """Return the parameters of the actor, log_std and those of the critic."""
        actor, critic = self._actor.num_params, self._critic.num_params
        return self.params[:actor], self.params[actor:-critic], self.params[-critic:]


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def gaussian_log_prob(z: Array, log_std: Array) -> Array:
    """z: distances from the mean in standard deviations, [B, A]."""
    return np.asarray((-0.5 * z * z - log_std - _HALF_LOG_TWO_PI).sum(axis=1))


def clipped(values: Array, bound: float) -> Array:
    """bound: 0 is none."""
    return np.clip(values, -bound, bound) if bound > 0.0 else values
