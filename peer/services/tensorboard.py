"""TensorBoard's files of a peer: every event passes through here on its way to the log, and what is a figure stays."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Never

import trio

from peer.errors import StorageError
from peer.services.blocking import RunBlocking, in_thread
from peer.services.service import TaskStatus
from peer.telemetry.disk_events import StorageFailed, StorageRecovered
from peer.telemetry.event import Event
from peer.telemetry.event_files import EventFileWriter, Point
from peer.telemetry.round_events import RoundSealed
from peer.telemetry.round_scalars import RoundScalars
from peer.telemetry.sink import EventSink

_OPERATION = "write TensorBoard files"

_MAX_PENDING = 1000
"""Points kept while the disk is slow or refuses them; beyond it the oldest are lost."""


class TensorBoardKeeper:
    """An `EventSink` that passes everything on, and a service that writes what it gathers.

    A disk that fails costs the points that do not fit into memory meanwhile, and not the training.
    """

    def __init__(
        self,
        writer: EventFileWriter,
        scalars: RoundScalars,
        *,
        sink: EventSink,
        traffic: Callable[[], Mapping[str, int]],
        blocking: RunBlocking = in_thread,
    ) -> None:
        """traffic: the transport's counters."""
        self._writer = writer
        self._scalars = scalars
        self._sink = sink
        self._traffic = traffic
        self._blocking = blocking
        self._sent, self._received = 0, 0
        self._pending: deque[Point] = deque(maxlen=_MAX_PENDING)
        self._wake = trio.Event()
        self._refused = False
        self._lag: Callable[[], int] | None = None

    def take_lag_from(self, lag: Callable[[], int]) -> None:
        """Say who knows how many of the sealed rounds are not final yet."""
        self._lag = lag

    def emit(self, event: Event) -> None:
        self._sink.emit(event)
        self._scalars.observe(event)
        if isinstance(event, RoundSealed):
            self._take(self._scalars.seal(event, self._of_the_network()))

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Write what is pending until cancelled; each new point is another try."""
        task_status.started()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await self._write()

    async def save(self) -> None:
        """Write the rest. Called when `serve` does not run any more."""
        self._take(self._scalars.rest())
        await self._write()
        self._writer.close()

    def _take(self, point: Point | None) -> None:
        if point is not None:
            self._pending.append(point)
            self._wake.set()

    async def _write(self) -> None:
        points = tuple(self._pending)
        try:
            await self._blocking(lambda: self._writer.write(points))
        except StorageError as error:
            self._refused = True
            self._sink.emit(StorageFailed(operation=_OPERATION, cause=str(error)))
            return
        written = {id(point) for point in points}
        while self._pending and id(self._pending[0]) in written:
            self._pending.popleft()
        if self._refused:
            self._refused = False
            self._sink.emit(StorageRecovered(operation=_OPERATION))

    def _of_the_network(self) -> dict[str, float]:
        totals = self._traffic()
        sent, received = totals.get("bytes_sent", 0), totals.get("bytes_received", 0)
        figures: dict[str, float] = {
            "network/sent_bytes": sent - self._sent,
            "network/received_bytes": received - self._received,
        }
        self._sent, self._received = sent, received
        return figures if self._lag is None else {**figures, "swarm/rounds_not_final": self._lag()}
