"""The peer book's file: read at the start, written when the book has changed, whole or not at all."""

from functools import partial
from pathlib import Path
from typing import Never

import trio

from peer.errors import ProtocolError, StorageError
from peer.network.discovery.book import AddressBook
from peer.services.blocking import RunBlocking, attempt
from peer.services.service import TaskStatus
from peer.storage.atomic_file import read_framed, write_framed
from peer.telemetry.disk_events import StateDamaged
from peer.telemetry.sink import EventSink
from peer.types import Seconds

BOOK_FILE = "peers.book"

_KIND = b"BOOK"
_EVERY_S: Seconds = 10.0
"""Pause between two writes; a crash forgets at most what was learnt in it."""


class BookKeeper:
    """Keeps `book` in `path`. A disk that does not take it costs the book, not the peer."""

    def __init__(self, book: AddressBook, path: Path, *, sink: EventSink, blocking: RunBlocking) -> None:
        self._book = book
        self._path = path
        self._sink = sink
        self._blocking = blocking
        self._saved_version = -1

    def load(self) -> None:
        """Read the file of an earlier life, if there is one that can be trusted."""
        try:
            self._book.load(read_framed(self._path, kind=_KIND))
        except FileNotFoundError:
            return
        except (StorageError, ProtocolError) as error:
            remedy = "starting with an empty peer book; the other sources fill it again"
            self._sink.emit(StateDamaged(path=str(self._path), cause=str(error), remedy=remedy))
        self._saved_version = self._book.version

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        task_status.started()
        while True:
            await trio.sleep(_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Write now, if there is anything new."""
        version = self._book.version
        if version == self._saved_version:
            return
        write = partial(write_framed, self._path, self._book.encode(), kind=_KIND)
        if await attempt(write, operation="save the peer book", sink=self._sink, blocking=self._blocking):
            self._saved_version = version
