"""The file of the optimizer state: written as often as the model is, and at the end of a life."""

from functools import partial
from pathlib import Path
from typing import Never

import trio

from peer.agents.agent import Agent
from peer.rounds.effects import Applied, Effect
from peer.services.blocking import RunBlocking, attempt
from peer.services.service import TaskStatus
from peer.storage.atomic_file import write_atomic
from peer.telemetry.sink import EventSink

_PRIVATE = 0o600


class TrainingStateKeeper:
    """Keeps the local state of `agent` in `path`. A full disk costs the state since the last save, not the training.

    The agent is read between two rounds; the disk has all of the next ones to write what was read, and training does
    not wait for it. Where the disk is slower than that, only the newest state is written.

    every: rounds between two saves.
    """

    def __init__(self, agent: Agent, path: Path, *, every: int, sink: EventSink, blocking: RunBlocking) -> None:
        self._agent = agent
        self._path = path
        self._every = every
        self._sink = sink
        self._blocking = blocking
        self._is_due = False
        self._unwritten: bytes | None = None
        self._wake = trio.Event()

    def observe(self, effect: Effect) -> None:
        if isinstance(effect, Applied) and effect.entry.round % self._every == 0:
            self._is_due = True

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Write what was taken until cancelled; a write that has begun is finished."""
        task_status.started()
        while True:
            self._wake = trio.Event()
            if self._unwritten is None:
                await self._wake.wait()
            await self._write()

    async def take_if_due(self) -> None:
        """Called between two rounds: a running agent must not be read."""
        if self._is_due:
            self._is_due = False
            await self._take()
            self._wake.set()

    async def save(self) -> None:
        """Take and write the state. Called when neither training nor `serve` runs any more."""
        await self._take()
        await self._write()

    async def _take(self) -> None:
        def take() -> None:
            self._unwritten = self._agent.training_state()

        await self._blocking(take)

    async def _write(self) -> None:
        data, self._unwritten = self._unwritten, None
        if data is not None:
            write = partial(write_atomic, self._path, data, mode=_PRIVATE)
            await attempt(write, operation="save training state", sink=self._sink, blocking=self._blocking)
