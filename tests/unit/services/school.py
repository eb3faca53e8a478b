"""A trainer whose machine does what the test says, and agents whose learning can be read off its parameters."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import trio

from peer.agents.numpy_agent import NumpyAgent
from peer.rounds.effects import Applied, OpenRound
from peer.rounds.entry import Entry, genesis
from peer.rounds.machine import LocalWork
from peer.rounds.own_deltas import Piece
from peer.rounds.roster import Roster
from peer.services.blocking import RunBlocking
from peer.services.pace import Pace
from peer.services.training import Trainer, TrainingPlan
from peer.services.training_state import TrainingStateKeeper
from peer.telemetry.sink import RecordingSink
from peer.types import (
    Digest,
    EnvTask,
    ModelDelta,
    ModelState,
    Moments,
    Params,
    PeerId,
    Seconds,
    TaskReturn,
    TrainStats,
    UpdateStats,
)
from tests.in_place import in_place

TASK = EnvTask(task_id="standard", params=(), seed_start=0, seed_end=10)
ME = PeerId("me")


class OneTask:
    def tasks_for(self, round_number: int, roster: Roster) -> tuple[EnvTask, ...]:
        return (TASK,)


class StepAgent(NumpyAgent):
    """Moves every parameter by exactly 1 for each second of training, so that sums can be read off.

    slowness: seconds that a second of training takes. fails: what its next calls do instead.
    """

    def __init__(self) -> None:
        super().__init__(num_params=4, steps_per_s=1000)
        self.slowness = 1.0
        self.evaluation_s = 0.0
        self.fails: list[Callable[[], None]] = []
        self.slices: list[Seconds] = []
        self.starts: list[Params] = []
        self.reads = 0

    async def train(self, *, seconds: Seconds) -> TrainStats:
        self.slices.append(seconds)
        before = self.model().params
        self.starts.append(before)
        stats = await super().train(seconds=seconds)
        self._params = (before + np.float32(seconds)).astype(np.float32)
        await trio.sleep(seconds * (self.slowness - 1))
        if self.fails:
            self.fails.pop(0)()
        return stats

    async def evaluate(self, *, episodes: int, seed: int) -> float:
        await trio.sleep(self.evaluation_s)
        return 100.0 + float(self.model().params[0])

    def training_state(self) -> bytes:
        self.reads += 1
        return f"state {self.reads}".encode()

    def spoil(self, value: float) -> None:
        self._params[0] = value


class TwoTaskAgent(StepAgent):
    """Ends one episode of task a and two of task b in each slice."""

    async def train(self, *, seconds: Seconds) -> TrainStats:
        stats = await super().train(seconds=seconds)
        a = TaskReturn(task_id="a", episodes=1, mean_return=10.0)
        b = TaskReturn(task_id="b", episodes=2, mean_return=-4.0)
        return replace(stats, tasks=(b, a))


class OneTaskAgent(StepAgent):
    """Ends one episode of task a in each slice."""

    async def train(self, *, seconds: Seconds) -> TrainStats:
        stats = await super().train(seconds=seconds)
        return replace(stats, tasks=(TaskReturn(task_id="a", episodes=1, mean_return=10.0),))


class LosingAgent(StepAgent):
    """Has figures of its updates, the same in each slice."""

    async def train(self, *, seconds: Seconds) -> TrainStats:
        stats = await super().train(seconds=seconds)
        return replace(stats, updates=UpdateStats(policy_loss=-0.25, learning_rate=3e-4))


class School:
    """A trainer, and whom it announces to: `opens` a round on a base of the test's choice."""

    def __init__(
        self,
        *,
        train_s: float = 2.0,
        eval_every: int = 1,
        state_file: Path | None = None,
        blocking: RunBlocking = in_place,
        agent: StepAgent | None = None,
        ahead_s: float = 0.0,
        has_variants: bool = True,
    ) -> None:
        self.agent = agent or StepAgent()
        self.sink = RecordingSink()
        self.announced: list[tuple[float, LocalWork]] = []
        self.starts = 0
        self.tip_digest = Digest(b"")
        self.reject: list[str] = []
        self.on_announce: Callable[[], object] = lambda: None
        self.keeper: TrainingStateKeeper | None = None
        if state_file is not None:
            self.keeper = TrainingStateKeeper(self.agent, state_file, every=10, sink=self.sink, blocking=blocking)
        self.trainer = Trainer(
            self.agent,
            TrainingPlan(
                ahead_s=ahead_s, eval_every=eval_every, eval_episodes=20, eval_seed=7, has_variants=has_variants
            ),
            OneTask(),
            pace=Pace(ME, train_s=train_s, env_steps=None),
            announcer=self,
            keeper=self.keeper,
            started=self._start,
            sink=self.sink,
        )

    def opens(
        self,
        number: int,
        *,
        at: float = 0.0,
        pieces: tuple[Piece, ...] = (),
        roster: Roster = (),
        late_s: Seconds = 0.0,
    ) -> OpenRound:
        """Open round `number` on a base whose parameters are all `at`."""
        state = ModelState(params=np.full(4, at, np.float32), moments=Moments.empty(3))
        base: Entry = genesis(b"r" * 16, self.agent.schema, Digest(bytes([number]) * 32), state)
        base.round, base.roster = number - 1, roster
        opened = OpenRound(round=number, base=base, state=state, pieces=pieces, late_s=late_s)
        self.tip_digest = base.digest
        self.trainer.open_round(opened)
        return opened

    def seals(self, number: int) -> None:
        """Tell the keeper of the optimizer state that round `number` is sealed."""
        assert self.keeper is not None
        state = ModelState(params=np.zeros(4, np.float32), moments=Moments.empty(3))
        parent = genesis(b"r" * 16, self.agent.schema, Digest(b"c" * 32), state)
        entry = genesis(b"r" * 16, self.agent.schema, Digest(b"c" * 32), state)
        entry.round = number
        self.keeper.observe(Applied(entry=entry, parent=parent, sealing_s=0.0))

    def told(self, kind: type) -> list[object]:
        return [event for event in self.sink.events if isinstance(event, kind)]

    def announce(self, work: LocalWork) -> None:
        assert work.base == self.tip_digest
        if self.reject:
            raise ValueError(self.reject.pop())
        self.announced.append((trio.current_time(), work))
        self.on_announce()

    def _start(self) -> None:
        self.starts += 1


@asynccontextmanager
async def school(
    *,
    train_s: float = 2.0,
    eval_every: int = 1,
    state_file: Path | None = None,
    blocking: RunBlocking = in_place,
    agent: StepAgent | None = None,
    ahead_s: float = 0.0,
    has_variants: bool = True,
) -> AsyncIterator[School]:
    made = School(
        train_s=train_s,
        eval_every=eval_every,
        state_file=state_file,
        blocking=blocking,
        agent=agent,
        ahead_s=ahead_s,
        has_variants=has_variants,
    )
    async with trio.open_nursery() as nursery:
        if made.keeper is not None:
            await nursery.start(made.keeper.serve)
        await nursery.start(made.trainer.serve)
        yield made
        nursery.cancel_scope.cancel()


def piece(params: float, *, env_steps: int = 500) -> Piece:
    delta = ModelDelta(params=np.full(4, params, np.float32), moments=Moments.empty(3))
    return Piece(round=1, env_steps=env_steps, delta=delta)
