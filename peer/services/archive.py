"""Keep the chain on disk: every manifest in the journal, the whole state every few rounds and at the end."""

from collections.abc import Callable
from typing import Never

import trio

from peer.errors import StorageError
from peer.rounds.effects import Applied, Effect, SnapshotApplied
from peer.rounds.entry import Entry
from peer.rounds.snapshot import encode_snapshot
from peer.services.service import TaskStatus
from peer.storage.journal import Journal, JournalEntry
from peer.storage.snapshots import Snapshot, SnapshotStore
from peer.telemetry.events import SnapshotSaved, StorageFailed
from peer.telemetry.sink import EventSink

_MAX_PENDING = 1024
"""Manifests kept while the disk is slow; beyond it the oldest are not journalled, the snapshots still are."""


class Archive:
    """An observer of the conductor that writes in a thread, in order. A disk that fails never stops the peer."""

    def __init__(self, journal: Journal, snapshots: SnapshotStore, *, snapshot_every: int, sink: EventSink) -> None:
        self._journal = journal
        self._snapshots = snapshots
        self._snapshot_every = snapshot_every
        self._sink = sink
        self._pending: list[Entry] = []
        self._due: Entry | None = None
        self._saved_digest: bytes = b""
        self._wake = trio.Event()

    def observe(self, effect: Effect) -> None:
        if not isinstance(effect, Applied | SnapshotApplied):
            return
        entry = effect.entry
        self._pending.append(entry)
        del self._pending[:-_MAX_PENDING]
        if entry.round % self._snapshot_every == 0 or entry.stop or isinstance(effect, SnapshotApplied):
            self._due = entry
        self._wake.set()

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Write what is pending until cancelled."""
        task_status.started()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await self._write_pending()

    async def flush(self, tip: Entry) -> None:
        """Write everything including the state at `tip`; shield this from cancellation at shutdown."""
        self._due = tip
        await self._write_pending()

    async def _write_pending(self) -> None:
        entries, self._pending = self._pending, []
        due, self._due = self._due, None
        if entries:
            await self._attempt("write the journal", lambda: self._write_journal(entries))
        if due is not None and due.manifest is not None and due.state is not None and due.digest != self._saved_digest:
            await self._attempt("save a snapshot", lambda: self._save(due))

    async def _attempt(self, operation: str, write: Callable[[], None]) -> None:
        try:
            await trio.to_thread.run_sync(write)
        except StorageError as error:
            self._sink.emit(StorageFailed(operation=operation, cause=str(error)))

    def _write_journal(self, entries: list[Entry]) -> None:
        """A branch that was left is overwritten from its first replaced round on."""
        for entry in entries:
            assert entry.manifest is not None
            line = JournalEntry(round=entry.round, digest=entry.digest, data=entry.manifest.data)
            self._journal.replace_from(entry.round, [line])

    def _save(self, entry: Entry) -> None:
        content = encode_snapshot(entry)
        path = self._snapshots.save(Snapshot(round=entry.round, digest=entry.digest, content=content))
        self._saved_digest = entry.digest
        self._sink.emit(SnapshotSaved(round=entry.round, size_bytes=len(content), path=str(path)))
