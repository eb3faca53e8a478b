"""Train round after round, and hand what was learned to the conductor.

The trainer never waits for the network before it trains on. When a round is replaced while it runs, what was learned is
kept, and training goes on from the new base.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Never, Protocol

import numpy as np
import trio

from peer.agents.action_std import action_std
from peer.agents.agent import Agent
from peer.moments import merge_all
from peer.rounds.effects import OpenRound
from peer.rounds.machine import LocalWork
from peer.rounds.own_deltas import Piece
from peer.rounds.roster import Roster
from peer.services.pace import Pace
from peer.services.progress import Progress
from peer.services.service import TaskStatus
from peer.services.training_state import TrainingStateKeeper
from peer.telemetry.round_events import Evaluated, RoundStarted, RoundTrained, TasksTrained, TrainingDiverged
from peer.telemetry.sink import EventSink
from peer.types import Digest, EnvTask, ModelDelta, ModelState, Moments, Params, Seconds

_AHEAD_SLICE_S = 0.1
"""While the seal is awaited: it may land at any moment, and the slice that runs then is trained on the old base."""

_LATE_ROUNDS = 3
"""Rounds opened since the last announcement from which on a peer announces what it has at once: its slices are
longer than the others' rounds, and it would never finish one in time."""

_RECOVERY_S = 1.0
"""Pause after training diverged: an agent that diverges at once must neither spin nor flood the log."""


class TaskPlan(Protocol):
    """Says what this peer trains on, given the sealed roster."""

    def tasks_for(self, round_number: int, roster: Roster) -> tuple[EnvTask, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What is done beside training, and after it.

    ahead_s: how long to train on at most while the seal of an announced round is awaited. eval_every: rounds between
    two greedy evaluations of the base model. has_variants: there are several tasks, so that it is told how each fares.
    """

    ahead_s: Seconds = 0.0
    eval_every: int
    eval_episodes: int
    eval_seed: int
    has_variants: bool = False


class Announcer(Protocol):
    """Whoever takes finished work. tip_digest: of the manifest that work must be based on to be announced at all."""

    @property
    def tip_digest(self) -> Digest: ...

    def announce(self, work: LocalWork) -> None:
        """Raises: ValueError when every peer would refuse it."""


class Trainer:
    """Owns the agent. `open_round` may be called at any time; the newest round counts."""

    def __init__(
        self,
        agent: Agent,
        plan: TrainingPlan,
        tasks: TaskPlan,
        *,
        pace: Pace,
        announcer: Announcer,
        keeper: TrainingStateKeeper | None,
        started: Callable[[], None],
        sink: EventSink,
    ) -> None:
        """keeper: of the optimizer state, if it is kept. started: called once, before the first training step."""
        self._agent = agent
        self._plan = plan
        self._tasks = tasks
        self._pace = pace
        self._announcer = announcer
        self._keeper = keeper
        self._started: Callable[[], None] | None = started
        self._sink = sink
        self._newest: OpenRound | None = None
        self._opened_at: Seconds = 0.0
        self._rounds_open = 0
        self._wake = trio.Event()
        self._progress = Progress.none(agent.schema)
        self._assigned: tuple[EnvTask, ...] = ()
        self._steps_per_s = 0.0
        self.waited_s: Seconds = 0.0
        """Time in which the trainer had nothing to do because the network had not moved on."""
        self._told_waited_s: Seconds = 0.0

    def open_round(self, opened: OpenRound) -> None:
        """Have the round trained for; its time runs already, also when the running slice ends later."""
        self._newest = opened
        self._opened_at = trio.current_time() - opened.late_s
        self._rounds_open += 1
        self._wake.set()

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Train until cancelled."""
        task_status.started()
        while True:
            if self._newest is None:
                await self._wait()
                continue
            opened, self._newest = self._newest, None
            await self._work_on(opened)
            if self._keeper is not None:
                await self._keeper.take_if_due()

    async def _wait(self) -> None:
        self._wake = trio.Event()
        since = trio.current_time()
        await self._wake.wait()
        if self._started is None:  # before the first round there is nothing that could be trained for
            self.waited_s += trio.current_time() - since

    async def _work_on(self, opened: OpenRound) -> None:
        self._pace.note(opened.base)
        deadline = self._opened_at + self._pace.seconds
        self._sink.emit(RoundStarted(round=opened.round, base=opened.base.digest))
        try:
            if self._rounds_open >= _LATE_ROUNDS:
                opened = self._hand_over_late(opened)
            eval_return = await self._evaluate(opened)
            start = self._start_from(opened)
            self._assign(opened)
            self._tell_started()
            await self._train_until(deadline)
            self._keep(start)
            if self._hand_over(opened, eval_return):
                await self._train_ahead()
        except ArithmeticError as error:
            self._discard(opened, error)
            await trio.sleep(_RECOVERY_S)

    def _tell_started(self) -> None:
        if self._started is not None:
            self._started()
            self._started = None

    async def _evaluate(self, opened: OpenRound) -> float | None:
        if (opened.round - 1) % self._plan.eval_every:
            return None
        self._agent.set_model(opened.state)
        value = await self._agent.evaluate(episodes=self._plan.eval_episodes, seed=self._plan.eval_seed)
        self._sink.emit(Evaluated(round=opened.round - 1, mean_return=value, episodes=self._plan.eval_episodes))
        return value

    def _start_from(self, opened: OpenRound) -> Params:
        """Put the agent on base + own unadmitted pieces + remainder + progress; return the parameters it starts from.

        Why the remainder too: docs/adr/0020.
        """
        own = [piece.delta for piece in opened.pieces]
        if opened.remainder is not None:
            own.append(ModelDelta(params=opened.remainder, moments=Moments.empty(opened.state.moments.size)))
        own.append(self._progress.delta)
        with np.errstate(over="ignore", invalid="ignore"):  # looked at below
            params = opened.state.params + np.sum([delta.params for delta in own], axis=0, dtype=np.float32)
        moments = merge_all(opened.state.moments, (delta.moments for delta in own))
        _require_finite(params, "the model with own work on it")
        self._agent.set_model(ModelState(params=params, moments=moments))
        return params

    def _assign(self, opened: OpenRound) -> None:
        tasks = self._tasks.tasks_for(opened.round, opened.base.roster)
        if tasks != self._assigned:
            self._agent.set_tasks(tasks)
            self._assigned = tasks

    async def _train_until(self, deadline: Seconds) -> None:
        """Train at least one slice, so that an evaluation longer than the round does not starve training."""
        while True:
            await self._train_slice(
                self._pace.slice_s(
                    left_s=deadline - trio.current_time(),
                    env_steps=self._progress.env_steps,
                    steps_per_s=self._steps_per_s,
                )
            )
            over = self._pace.is_over(left_s=deadline - trio.current_time(), env_steps=self._progress.env_steps)
            if over or self._newest is not None:
                return

    async def _train_ahead(self) -> None:
        """Go on from the own model while the round is sealed: what is learned belongs to the next round.

        When the seal lands, `_start_from` moves it over to the new base; optimizer state and envs go on untouched.
        """
        if self._newest is not None or self._plan.ahead_s <= 0:
            return
        own, end = self._agent.model(), trio.current_time() + self._plan.ahead_s
        self._agent.set_model(own)  # statistics up to here are announced
        while self._newest is None and trio.current_time() < end:
            await self._train_slice(_AHEAD_SLICE_S)
        self._keep(own.params)

    async def _train_slice(self, seconds: Seconds) -> None:
        stats = await self._agent.train(seconds=seconds)
        self._progress.add(stats)
        if stats.wall_s > 0:
            self._steps_per_s = stats.env_steps / stats.wall_s

    def _keep(self, start: Params) -> None:
        """Add what the agent moved since `start` to the progress."""
        self._progress.move(self._agent.model().params - start, self._agent.new_moments())
        _require_finite(self._progress.params, "the parameters")

    def _discard(self, opened: OpenRound, error: ArithmeticError) -> None:
        """Go back to the common model: it is the last state known to be sound."""
        self._sink.emit(TrainingDiverged(round=opened.round, cause=str(error), env_steps=self._progress.env_steps))
        self._progress = Progress.none(self._agent.schema)
        if self._newest is None:
            self._newest = OpenRound(round=opened.round, base=opened.base, state=opened.state, pieces=())

    def _hand_over_late(self, opened: OpenRound) -> OpenRound:
        """Announce what earlier rounds did not wait for; return the round with it among the own pieces."""
        progress = self._progress
        if not self._hand_over(opened, None):
            return opened
        late = Piece(round=opened.round, env_steps=progress.env_steps, delta=progress.delta)
        return replace(opened, pieces=(*opened.pieces, late))

    def _hand_over(self, opened: OpenRound, eval_return: float | None) -> bool:
        """Announce the progress, unless there is none or its base was replaced: then it is kept for the next round."""
        progress = self._progress
        is_replaced = self._newest is not None or self._announcer.tip_digest != opened.base.digest
        if is_replaced or not progress.env_steps:
            return False
        work = progress.work(opened.base.digest, eval_return=eval_return, tasks=self._assigned)
        self._tell_trained(opened.round, progress)
        self._tell_tasks(opened.round, progress)
        # Before the announcement: it may seal the round, and the next one opens inside this call.
        self._progress, self._rounds_open = Progress.none(self._agent.schema), 0
        try:
            self._announcer.announce(work)
        except ValueError as error:  # every peer would refuse it: a coordinate beyond the codec's bound
            raise ArithmeticError(str(error)) from error
        return True

    def _tell_trained(self, round_number: int, progress: Progress) -> None:
        waited_s, self._told_waited_s = self.waited_s - self._told_waited_s, self.waited_s
        std = action_std(self._agent.schema.tensors, lambda: self._agent.model().params)
        self._sink.emit(
            RoundTrained(
                round=round_number,
                env_steps=progress.env_steps,
                train_s=progress.wall_s,
                waited_s=waited_s,
                episodes=progress.episodes,
                mean_return=progress.returns / progress.episodes if progress.episodes else math.nan,
                mean_length=progress.lengths / progress.episodes if progress.episodes else math.nan,
                std=math.nan if std is None else std,
                **asdict(progress.updates.take()),
            )
        )

    def _tell_tasks(self, round_number: int, progress: Progress) -> None:
        """Say how each variant fares: the mean over several would hide one that is being forgotten."""
        returns = progress.task_returns()
        if returns and self._plan.has_variants:
            self._sink.emit(
                TasksTrained(
                    round=round_number,
                    tasks=tuple(task.task_id for task in returns),
                    episodes=tuple(task.episodes for task in returns),
                    mean_returns=tuple(task.mean_return for task in returns),
                )
            )


def _require_finite(params: Params, what: str) -> None:
    if not np.isfinite(params).all():
        raise ArithmeticError(f"{what} hold NaN or infinity")
