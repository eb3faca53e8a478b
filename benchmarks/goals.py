"""What learning is held against: for each environment a preset, a budget of env steps, and what others reach in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from peer.config.load import load_config
from peer.config.schema import Config
from peer.known_envs import KnownEnvs
from peer.native import PpoSettings
from peer.settings import ppo_settings
from peer.types import PeerId

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """preset: the file in configs/ over config.yaml; None: config.yaml alone.

    at_budget: settings laid over the preset when the number of steps is known beforehand (a swarm's run ends by its
    return, so presets keep the learning rate). zoo: return of RL Baselines3 Zoo's published run, after zoo_env_steps.
    """

    env: str
    preset: str | None
    max_env_steps: int
    at_budget: tuple[str, ...] = ()
    zoo: float
    zoo_env_steps: int
    eval_env_steps: int = 2048

    @cached_property
    def config(self) -> Config:
        return self.configured([])

    @property
    def target(self) -> float:
        """The return that counts as solved."""
        target = self.config.stop.mean_return
        assert target is not None, f"the preset of {self.env} has no stop.mean_return"
        return target

    @property
    def settings(self) -> PpoSettings:
        """Those of the preset, for one thread on the CPU."""
        return settings_of(self.config)

    def configured(self, overrides: Sequence[str]) -> Config:
        files = [CONFIGS / "config.yaml", *([CONFIGS / self.preset] if self.preset else [])]
        return load_config(files, {}, ["compute.threads=1", "compute.device=cpu", *overrides], known_envs=KnownEnvs())


def settings_of(config: Config) -> PpoSettings:
    """Return the learner's settings; the seeds are the caller's to set."""
    return ppo_settings(config, PeerId("benchmark"))


_LINEAR = ("ppo.lr_schedule=linear", "ppo.learning_rate=0.001", "ppo.schedule_env_steps=100000")

GOALS = {
    goal.env: goal
    for goal in (
        Goal(
            env="CartPole-v1", preset=None, max_env_steps=100_000, at_budget=_LINEAR, zoo=500.0, zoo_env_steps=100_000
        ),
        Goal(env="Acrobot-v1", preset="acrobot.yaml", max_env_steps=1_000_000, zoo=-73.5, zoo_env_steps=1_000_000),
        Goal(
            env="MountainCar-v0",
            preset="mountaincar.yaml",
            max_env_steps=1_000_000,
            zoo=-110.4,
            zoo_env_steps=1_000_000,
        ),
        Goal(
            env="MountainCarContinuous-v0",
            preset="mountaincar-continuous.yaml",
            max_env_steps=200_000,
            zoo=88.3,
            zoo_env_steps=20_000,
        ),
        Goal(
            env="Pendulum-v1",
            preset="pendulum.yaml",
            max_env_steps=100_000,
            at_budget=_LINEAR,
            zoo=-172.2,
            zoo_env_steps=100_000,
        ),
    )
}
