"""Train round after round, and hand what was learned to the conductor. The trainer never waits for the network to train
again: a round that is replaced while it runs keeps what was learned and goes on from the new base.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Never, Protocol

import numpy as np
import trio

from peer.agents.agent import Agent
from peer.errors import StorageError
from peer.moments import merge, merge_all
from peer.rounds.effects import OpenRound
from peer.rounds.machine import LocalWork
from peer.rounds.roster import Roster
from peer.services.service import TaskStatus
from peer.telemetry.events import Evaluated, RoundStarted, StorageFailed, TrainingDiverged
from peer.telemetry.sink import EventSink
from peer.types import EnvTask, ModelDelta, ModelState, Moments, Params, Seconds, TrainStats

_SLICE_S = 0.5
"""How long a round that was replaced may go unnoticed by the trainer."""


class TaskPlan(Protocol):
    """Says what this peer trains on, given the sealed roster."""

    def tasks_for(self, round_number: int, roster: Roster) -> tuple[EnvTask, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """train_s: length of a round. eval_every: rounds between two greedy evaluations of the base model."""

    train_s: Seconds
    eval_every: int
    eval_episodes: int
    eval_seed: int


@dataclass(slots=True)
class _Progress:
    """Learned since the last announcement and not announced yet."""

    params: Params
    moments: Moments
    env_steps: int = 0
    wall_s: float = 0.0
    returns: float = 0.0
    episodes: int = 0
    kl: float = 0.0

    def add(self, stats: TrainStats) -> None:
        self.env_steps += stats.env_steps
        self.wall_s += stats.wall_s
        self.kl += stats.approx_kl * stats.env_steps
        if stats.episodes:
            self.returns += stats.mean_return * stats.episodes
            self.episodes += stats.episodes


class Trainer:
    """Owns the agent. `open_round` may be called at any time; the newest round counts."""

    def __init__(
        self,
        agent: Agent,
        plan: TrainingPlan,
        tasks: TaskPlan,
        *,
        announce: Callable[[LocalWork], None],
        tip: Callable[[], bytes],
        started: Callable[[], None],
        sink: EventSink,
        state_file: Path | None,
    ) -> None:
        """announce, tip: of the conductor. started: called once, before the first training step.

        state_file: where optimizer state is kept between lives; None keeps nothing.
        """
        self._agent = agent
        self._plan = plan
        self._tasks = tasks
        self._announce = announce
        self._tip = tip
        self._started: Callable[[], None] | None = started
        self._sink = sink
        self._state_file = state_file
        self._newest: OpenRound | None = None
        self._wake = trio.Event()
        self._progress = self._nothing()
        self._assigned: tuple[EnvTask, ...] = ()
        self._save_wanted = False

    def open_round(self, opened: OpenRound) -> None:
        self._newest = opened
        self._wake.set()

    def want_save(self) -> None:
        """Ask for the optimizer state to be saved at the end of this round: a running agent must not be read."""
        self._save_wanted = True

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Train until cancelled."""
        task_status.started()
        while True:
            if self._newest is None:
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            opened, self._newest = self._newest, None
            await self._work_on(opened)
            if self._save_wanted:
                self._save_wanted = False
                await self.save()

    async def save(self) -> None:
        """Write optimizer state; a full disk costs the state since the last save, not the training."""
        if self._state_file is None:
            return
        try:
            await trio.to_thread.run_sync(self._agent.save, self._state_file)
        except StorageError as error:
            self._sink.emit(StorageFailed(operation="save training state", cause=str(error)))

    async def _work_on(self, opened: OpenRound) -> None:
        deadline = trio.current_time() + self._plan.train_s
        self._sink.emit(RoundStarted(round=opened.round, base=opened.base.digest))
        eval_return = await self._evaluate(opened)
        start = self._start_from(opened)
        self._assign(opened)
        if self._started is not None:
            self._started()
            self._started = None
        try:
            await self._train_until(deadline)
            self._keep(start)
        except ArithmeticError as error:
            self._discard(opened, error)
            return
        if self._newest is None and self._progress.env_steps > 0 and self._tip() == opened.base.digest:
            self._hand_over(opened, eval_return)

    async def _evaluate(self, opened: OpenRound) -> float | None:
        if (opened.round - 1) % self._plan.eval_every:
            return None
        self._agent.set_model(opened.state)
        value = await self._agent.evaluate(episodes=self._plan.eval_episodes, seed=self._plan.eval_seed)
        self._sink.emit(Evaluated(round=opened.round - 1, mean_return=value, episodes=self._plan.eval_episodes))
        return value if math.isfinite(value) else None

    def _start_from(self, opened: OpenRound) -> Params:
        """Put the agent on base + own unadmitted pieces + progress; return the parameters it starts from."""
        own = [piece.delta for piece in opened.pieces]
        own.append(ModelDelta(params=self._progress.params, moments=self._progress.moments))
        params = opened.state.params + np.sum([delta.params for delta in own], axis=0, dtype=np.float32)
        moments = merge_all(opened.state.moments, (delta.moments for delta in own))
        self._agent.set_model(ModelState(params=params.astype(np.float32), moments=moments))
        return self._agent.model().params

    def _assign(self, opened: OpenRound) -> None:
        tasks = self._tasks.tasks_for(opened.round, opened.base.roster)
        if tasks != self._assigned:
            self._agent.set_tasks(tasks)
            self._assigned = tasks

    async def _train_until(self, deadline: Seconds) -> None:
        """Train at least one slice, so that an evaluation longer than the round does not starve training."""
        while True:
            left = deadline - trio.current_time()
            self._progress.add(await self._agent.train(seconds=min(_SLICE_S, max(left, _SLICE_S / 10))))
            if self._newest is not None or trio.current_time() >= deadline:
                return

    def _keep(self, start: Params) -> None:
        """Add what the agent moved since `start` to the progress."""
        self._progress.params = self._progress.params + (self._agent.model().params - start)
        self._progress.moments = merge(self._progress.moments, self._agent.new_moments())
        if not np.isfinite(self._progress.params).all():
            raise ArithmeticError("the parameters hold NaN or infinity")

    def _discard(self, opened: OpenRound, error: Exception) -> None:
        """Go back to the common model: it is the last state known to be sound."""
        self._sink.emit(TrainingDiverged(round=opened.round, cause=str(error), env_steps=self._progress.env_steps))
        self._progress = self._nothing()
        if self._newest is None:
            self._newest = OpenRound(round=opened.round, base=opened.base, state=opened.state, pieces=())

    def _hand_over(self, opened: OpenRound, eval_return: float | None) -> None:
        progress = self._progress
        work = LocalWork(
            base=opened.base.digest,
            env_steps=progress.env_steps,
            delta=ModelDelta(params=progress.params, moments=progress.moments),
            steps_per_s=round(progress.env_steps / progress.wall_s) if progress.wall_s > 0 else 0,
            approx_kl=progress.kl / progress.env_steps if math.isfinite(progress.kl) else 0.0,
            mean_return=progress.returns / progress.episodes if progress.episodes else None,
            eval_return=eval_return,
            tasks=tuple(task.task_id for task in self._assigned)[:8],
        )
        self._progress = self._nothing()
        try:
            self._announce(work)
        except ValueError as error:  # every peer would refuse it: a coordinate beyond the codec's bound
            self._discard(opened, error)

    def _nothing(self) -> _Progress:
        schema = self._agent.schema
        return _Progress(params=np.zeros(schema.num_params, np.float32), moments=Moments.empty(schema.num_moments))
