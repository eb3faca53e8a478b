"""What was learned since the last announcement and is not announced yet."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from peer.agents.updates import UpdateMeans
from peer.finite import finite
from peer.moments import merge
from peer.rounds.machine import LocalWork
from peer.types import Digest, EnvTask, ModelDelta, ModelSchema, Moments, Params, TaskReturn, TrainStats

_MAX_TASKS = 8
"""Tasks that a header names."""


@dataclass(slots=True)
class Progress:
    """Sums over the training that is not announced yet.

    kl: nats, summed over env steps. returns, lengths: summed over episodes; lengths in env steps.
    """

    params: Params
    moments: Moments
    env_steps: int = 0
    wall_s: float = 0.0
    returns: float = 0.0
    lengths: float = 0.0
    episodes: int = 0
    kl: float = 0.0
    tasks: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Of each task: episodes and the sum of their returns."""
    updates: UpdateMeans = field(default_factory=UpdateMeans)

    @classmethod
    def none(cls, schema: ModelSchema) -> Self:
        return cls(params=np.zeros(schema.num_params, np.float32), moments=Moments.empty(schema.num_moments))

    @property
    def delta(self) -> ModelDelta:
        return ModelDelta(params=self.params, moments=self.moments)

    def add(self, stats: TrainStats) -> None:
        """Count what a slice of training did; `move` says where it led."""
        self.env_steps += stats.env_steps
        self.wall_s += stats.wall_s
        self.kl += stats.approx_kl * stats.env_steps
        self.updates.add(stats.updates, env_steps=stats.env_steps)
        if stats.episodes:
            self.returns += stats.mean_return * stats.episodes
            self.lengths += stats.mean_length * stats.episodes
            self.episodes += stats.episodes
        for task in stats.tasks:
            episodes, returns = self.tasks.get(task.task_id, (0, 0.0))
            self.tasks[task.task_id] = (episodes + task.episodes, returns + task.mean_return * task.episodes)

    def move(self, params: Params, moments: Moments) -> None:
        """Add how far the parameters moved, and what was seen on the way."""
        self.params = self.params + params
        self.moments = merge(self.moments, moments)

    def work(self, base: Digest, *, eval_return: float | None, tasks: tuple[EnvTask, ...]) -> LocalWork:
        """Return it as a delta on `base`. A mean that is no number is left out, as no header must carry it."""
        return LocalWork(
            base=base,
            env_steps=self.env_steps,
            delta=self.delta,
            steps_per_s=round(self.env_steps / self.wall_s) if self.wall_s > 0 else 0,
            approx_kl=finite(self.kl / self.env_steps) or 0.0,
            mean_return=finite(self.returns / self.episodes) if self.episodes else None,
            eval_return=finite(eval_return),
            tasks=tuple(task.task_id for task in tasks)[:_MAX_TASKS],
        )

    def task_returns(self) -> tuple[TaskReturn, ...]:
        return tuple(
            TaskReturn(task_id=task_id, episodes=episodes, mean_return=returns / episodes)
            for task_id, (episodes, returns) in sorted(self.tasks.items())
        )
