"""Blocking calls of services, to the disk above all: where they are made, and what one costs that the disk refuses."""

from collections.abc import Callable
from typing import Protocol

import trio

from peer.errors import StorageError
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.sink import EventSink


class RunBlocking(Protocol):
    """Makes a blocking call for a service: in a thread, or in place in virtual time, whose clock jumps meanwhile."""

    async def __call__(self, work: Callable[[], None], /) -> None:
        """Return when `work` is done, or raise what it raised. A cancellation never leaves it half waited for."""


async def in_thread(work: Callable[[], None]) -> None:
    """Make the call in a worker thread, so that a slow disk holds nobody else up."""
    await trio.to_thread.run_sync(work)


async def attempt(work: Callable[[], None], *, operation: str, sink: EventSink, blocking: RunBlocking) -> bool:
    """Return whether the disk let `work` be done. If not, that is told, and costs nothing else.

    operation: what could not be done then, such as "save the peer book".
    """
    try:
        await blocking(work)
    except StorageError as error:
        sink.emit(StorageFailed(operation=operation, cause=str(error)))
        return False
    return True
