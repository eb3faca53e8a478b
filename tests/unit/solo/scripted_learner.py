"""A learner whose every number is known beforehand."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from peer.errors import EnvStoppedError
from peer.native import EnvVariant, NonFiniteError, PpoTrainStats


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Stands for the core's TrainStats, which Python cannot make."""

    env_steps: int
    episodes: int
    mean_return: float
    wall_s: float
    mean_length: float = math.nan
    policy_loss: float = 0.0
    value_loss: float = 0.0
    entropy: float = 0.0
    approx_kl: float = 0.0
    clip_fraction: float = 0.0
    base_kl: float = 0.0
    explained_variance: float = 0.0
    learning_rate: float = 0.0


@dataclass(kw_only=True)
class ScriptedLearner:
    """Trains iterations of `iteration` env steps in 0.5 s each; the greedy return is `score(env_steps)`.

    episodes: (count, mean return) of each iteration in turn; then none end. diverges_at, stopped_at: env steps.
    """

    iteration: int = 100
    score: Callable[[int], float] = float
    episodes: list[tuple[int, float]] = field(default_factory=list)
    diverges_at: int | None = None
    stopped_at: int | None = None
    env_steps: int = 0
    evaluated: list[tuple[int, int, int]] = field(default_factory=list)
    assigned: list[tuple[EnvVariant, ...]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def train(self, max_env_steps: int, max_seconds: float) -> PpoTrainStats:
        assert max_env_steps > 0
        assert 0 < max_seconds < 1
        self.asked.append(max_env_steps)
        if self.diverges_at is not None and self.env_steps >= self.diverges_at:
            raise NonFiniteError("the loss is NaN")
        if self.stopped_at is not None and self.env_steps >= self.stopped_at:
            raise EnvStoppedError
        self.env_steps += self.iteration
        count, mean = self.episodes.pop(0) if self.episodes else (0, math.nan)
        return cast(PpoTrainStats, Stats(env_steps=self.iteration, episodes=count, mean_return=mean, wall_s=0.5))

    def evaluate(self, episodes: int, seed: int) -> float:
        self.evaluated.append((self.env_steps, episodes, seed))
        return self.score(self.env_steps)

    def assign_variants(self, variants: Sequence[EnvVariant]) -> None:
        self.assigned.append(tuple(variants))
