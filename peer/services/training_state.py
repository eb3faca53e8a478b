"""The file of the optimizer state: written as often as the model is, and at the end of a life."""

from pathlib import Path

from peer.agents.agent import Agent
from peer.errors import StorageError
from peer.rounds.effects import Applied, Effect
from peer.services.service import RunBlocking
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.sink import EventSink


class TrainingStateKeeper:
    """Keeps the local state of `agent` in `path`. A full disk costs the state since the last save, not the training.

    every: rounds between two saves.
    """

    def __init__(self, agent: Agent, path: Path, *, every: int, sink: EventSink, blocking: RunBlocking) -> None:
        self._agent = agent
        self._path = path
        self._every = every
        self._sink = sink
        self._blocking = blocking
        self._is_due = False

    def observe(self, effect: Effect) -> None:
        if isinstance(effect, Applied) and effect.entry.round % self._every == 0:
            self._is_due = True

    async def save_if_due(self) -> None:
        """Called between two rounds: a running agent must not be read."""
        if self._is_due:
            self._is_due = False
            await self.save()

    async def save(self) -> None:
        try:
            await self._blocking(lambda: self._agent.save(self._path))
        except StorageError as error:
            self._sink.emit(StorageFailed(operation="save training state", cause=str(error)))
