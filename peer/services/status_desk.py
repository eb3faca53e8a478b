"""Where one process answers `murmur status`, while it takes part and when it does not any more."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import trio

from peer.errors import StorageError
from peer.services.status import ProcessFacts, Running, status_of
from peer.services.status_answer import Status
from peer.services.status_socket import serve_status, status_listener
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.process_log import ProcessLog


class StatusDesk:
    """Answers `murmur status` for one process.

    open: closes the socket at its end. One socket serves for all of a life, so that nobody finds none while the
    process goes from one way of answering to the other. running: whose state is told; None until there is any. A disk
    that takes no socket costs only the answers.
    """

    def __init__(self, folder: Path, me: ProcessFacts, log: ProcessLog) -> None:
        self._folder = folder
        self._me = me
        self._log = log
        self.open = ExitStack()
        self._listener: trio.socket.SocketType | None = None
        self.running: Running | None = None

    def start(self, nursery: trio.Nursery, running: Running) -> None:
        """Answer in `nursery` for a peer that takes part from now on."""
        self.running = running
        nursery.start_soon(self._answer, self._status)

    async def serve_at_rest(self) -> None:
        """Answer until cancelled for a peer that took part, and is connected to nobody any more."""
        await self._answer(self._status_at_rest)

    async def _answer(self, status: Callable[[], Status]) -> None:
        try:
            if self._listener is None:
                self._listener = self.open.enter_context(status_listener(self._folder))
        except StorageError as error:
            self._log.sink.emit(StorageFailed(operation="answer murmur status", cause=str(error)))
            return
        await serve_status(self._listener, status)

    def _status(self) -> Status:
        assert self.running is not None, "it takes part, or did before"
        return status_of(self._me, self.running, self._log)

    def _status_at_rest(self) -> Status:
        status = self._status()
        peers = [msgspec.structs.replace(each, connected=False) for each in status.peers]
        return msgspec.structs.replace(status, peers=peers)
