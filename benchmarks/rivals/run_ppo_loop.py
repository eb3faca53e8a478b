"""CleanRL's PPO loop (ppo.py and ppo_continuous_action.py, github.com/vwxyzjn/cleanrl), on three env libraries.

Left out, in its favour: logging, episode statistics, and the wrappers that normalise observations and rewards.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.distributions import Categorical, Normal

from benchmarks.rivals.ppo_networks import critic_and_actor
from benchmarks.rivals.stretch import Options, read_options, run_iterations

GAMMA, GAE_LAMBDA, CLIP, VALUE_COEF, MAX_GRAD_NORM = 0.99, 0.95, 0.2, 0.5, 0.5

Batch = npt.NDArray[Any]  # Any: float observations, int or float actions
Step = Callable[[Batch], tuple[Batch, Batch, Batch]]
"""Takes actions, returns observations, rewards and whether each episode is done."""


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    np.random.seed(1)
    envs = make_envs(options)
    discrete = hasattr(envs.single_action_space, "n")
    actions = int(envs.single_action_space.n) if discrete else int(envs.single_action_space.shape[0])
    agent = Agent(int(envs.single_observation_space.shape[0]), actions, discrete=discrete)
    loop = Loop(options, agent, _stepper(envs, options.variant), envs.reset()[0])
    run_iterations(loop.iterate)


def make_envs(options: Options) -> Any:  # Any: Gymnasium's or EnvPool's
    num_envs = options.setting.num_envs
    if options.variant == "envpool":
        import envpool

        return envpool.make(options.env, env_type="gymnasium", num_envs=num_envs, num_threads=options.threads, seed=1)
    import gymnasium

    if options.variant == "gymnasium-vector":
        return gymnasium.make_vec(options.env, num_envs=num_envs, vectorization_mode="vector_entry_point")
    return gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(options.env) for _ in range(num_envs)])


def _stepper(envs: Any, variant: str) -> Step:  # Any: as above
    low, high = getattr(envs.single_action_space, "low", None), getattr(envs.single_action_space, "high", None)

    def step(actions: Batch) -> tuple[Batch, Batch, Batch]:
        if low is not None:
            actions = np.clip(actions, low, high)
        elif variant == "envpool":
            actions = actions.astype(np.int32)
        observations, rewards, terminations, truncations, _ = envs.step(actions)
        return observations, rewards, np.logical_or(terminations, truncations)

    return step


class Agent(nn.Module):
    def __init__(self, obs_dim: int, actions: int, *, discrete: bool) -> None:
        super().__init__()
        self.discrete = discrete
        self.action_shape = () if discrete else (actions,)
        self.critic, self.actor = critic_and_actor(obs_dim, actions)
        if not discrete:
            self.log_std = nn.Parameter(torch.zeros(1, actions))

    def act(
        self, observations: torch.Tensor, action: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return action, its log-probability, entropy and value."""
        outputs = self.actor(observations)
        if self.discrete:
            choices = Categorical(logits=outputs)
            action = choices.sample() if action is None else action
            return action, choices.log_prob(action), choices.entropy(), self.critic(observations)
        normal = Normal(outputs, torch.exp(self.log_std.expand_as(outputs)))
        action = normal.sample() if action is None else action
        return action, normal.log_prob(action).sum(1), normal.entropy().sum(1), self.critic(observations)


class Loop:
    def __init__(self, options: Options, agent: Agent, step: Step, first: Batch) -> None:
        self._setting = options.setting
        self._agent = agent
        self._step = step
        self._optimizer = torch.optim.Adam(agent.parameters(), lr=2.5e-4, eps=1e-5)
        self._next_obs = torch.Tensor(first)
        self._next_done = torch.zeros(options.setting.num_envs)
        rows = (options.setting.rollout_steps, options.setting.num_envs)
        self._obs = torch.zeros((*rows, first.shape[1]))
        self._actions = torch.zeros(rows + agent.action_shape)
        self._log_probs, self._rewards, self._dones, self._values = (torch.zeros(rows) for _ in range(4))

    def iterate(self) -> int:
        self._collect()
        advantages = self._advantages()
        self._update(advantages)
        return self._setting.batch_size

    def _collect(self) -> None:
        for t in range(self._setting.rollout_steps):
            self._obs[t], self._dones[t] = self._next_obs, self._next_done
            with torch.no_grad():
                action, log_prob, _, value = self._agent.act(self._next_obs)
                self._values[t] = value.flatten()
            self._actions[t], self._log_probs[t] = action, log_prob
            observations, rewards, dones = self._step(action.numpy())
            self._rewards[t] = torch.tensor(rewards).view(-1)
            self._next_obs, self._next_done = torch.Tensor(observations), torch.Tensor(dones)

    @torch.no_grad()
    def _advantages(self) -> torch.Tensor:
        next_value = self._agent.critic(self._next_obs).reshape(1, -1)
        advantages = torch.zeros_like(self._rewards)
        last = torch.zeros(self._setting.num_envs)
        for t in reversed(range(self._setting.rollout_steps)):
            is_last = t == self._setting.rollout_steps - 1
            alive = 1.0 - (self._next_done if is_last else self._dones[t + 1])
            following = next_value if is_last else self._values[t + 1]
            delta = self._rewards[t] + GAMMA * following * alive - self._values[t]
            advantages[t] = last = (delta + GAMMA * GAE_LAMBDA * alive * last).reshape(-1)
        return advantages

    def _update(self, advantages: torch.Tensor) -> None:
        flat = {
            "obs": self._obs.reshape(-1, self._obs.shape[2]),
            "actions": self._actions.reshape((-1, *self._agent.action_shape)),
            "log_probs": self._log_probs.reshape(-1),
            "values": self._values.reshape(-1),
            "advantages": advantages.reshape(-1),
            "returns": (advantages + self._values).reshape(-1),
        }
        order = np.arange(self._setting.batch_size)
        for _ in range(self._setting.epochs):
            np.random.shuffle(order)
            for start in range(0, self._setting.batch_size, self._setting.minibatch_size):
                chosen = order[start : start + self._setting.minibatch_size]
                self._learn({name: values[chosen] for name, values in flat.items()})

    def _learn(self, batch: dict[str, torch.Tensor]) -> None:
        actions = batch["actions"].long() if self._agent.discrete else batch["actions"]
        _, log_prob, entropy, value = self._agent.act(batch["obs"], actions)
        log_ratio = log_prob - batch["log_probs"]
        ratio = log_ratio.exp()
        with torch.no_grad():  # as CleanRL does, which watches them
            ((ratio - 1) - log_ratio).mean()
            ((ratio - 1.0).abs() > CLIP).float().mean().item()
        advantages = (batch["advantages"] - batch["advantages"].mean()) / (batch["advantages"].std() + 1e-8)
        policy_loss = torch.max(-advantages * ratio, -advantages * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
        loss = policy_loss - 0.0 * entropy.mean() + VALUE_COEF * _value_loss(value.view(-1), batch)
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._agent.parameters(), MAX_GRAD_NORM)
        self._optimizer.step()


def _value_loss(value: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    clipped = batch["values"] + torch.clamp(value - batch["values"], -CLIP, CLIP)
    return 0.5 * torch.max((value - batch["returns"]) ** 2, (clipped - batch["returns"]) ** 2).mean()


if __name__ == "__main__":
    main(read_options(variants=("gymnasium", "gymnasium-vector", "envpool")))
