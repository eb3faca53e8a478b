"""Keep the chain on disk: every manifest in the journal, the whole state every few rounds and at the end."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Never

import trio

from peer.errors import StorageError
from peer.rounds.effects import Applied, Effect, SnapshotApplied
from peer.rounds.entry import Entry
from peer.rounds.manifest import STOP_RETURN
from peer.rounds.sealed_rounds import encode_sealed
from peer.rounds.snapshot import encode_snapshot
from peer.services.blocking import RunBlocking, attempt, in_thread
from peer.services.service import TaskStatus
from peer.storage.journal import Journal, JournalEntry
from peer.storage.payloads import PayloadFolder
from peer.storage.snapshots import Snapshot, SnapshotStore
from peer.telemetry.disk_events import SnapshotSaved, StateSaved, StorageFailed, StorageRecovered
from peer.telemetry.sink import EventSink
from peer.types import Digest

_JOURNAL, _SNAPSHOT = "write the journal", "save a snapshot"

_MAX_PENDING = 1024
"""Manifests kept while the disk is slow; beyond it the oldest are not journalled, the snapshots still are."""

_MAX_EVIDENCE = 8
"""Rounds whose payloads are kept while the disk is slow; those of older ones are then not written at all."""


class Archive:
    """An observer of the conductor that writes in order.

    A disk that fails never stops the peer: what it refused is written when it takes writes again.
    """

    def __init__(
        self,
        journal: Journal,
        snapshots: SnapshotStore,
        *,
        snapshot_every: int,
        sink: EventSink,
        payloads: PayloadFolder | None = None,
        save_model: Callable[[Entry], None] = lambda _: None,
        blocking: RunBlocking = in_thread,
    ) -> None:
        """save_model: leaves the model of a saved state where others read it; raises StorageError."""
        self._journal = journal
        self._snapshots = snapshots
        self._payloads = payloads
        self._save_model = save_model
        self._snapshot_every = snapshot_every
        self._sink = sink
        self._blocking = blocking
        self._pending: list[Entry] = []
        self._due: Entry | None = None
        self._saved_digest: bytes = b""
        self._refused: set[str] = set()
        self._wake = trio.Event()
        self._payload_of: Callable[[Digest], bytes | None] = lambda _: None
        self._evidence: dict[int, list[bytes]] = {}

    def take_payloads_from(self, payload_of: Callable[[Digest], bytes | None]) -> None:
        """Say who holds the payloads of the rounds that are applied from now on."""
        self._payload_of = payload_of

    def observe(self, effect: Effect) -> None:
        if not isinstance(effect, Applied | SnapshotApplied):
            return
        entry = effect.entry
        self._pending.append(entry)
        del self._pending[:-_MAX_PENDING]
        if entry.round % self._snapshot_every == 0 or entry.stop or isinstance(effect, SnapshotApplied):
            self._due = entry
        self._collect(entry)
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
        if tip.manifest is not None and self._saved_digest == tip.digest:
            self._sink.emit(StateSaved(round=tip.round, model=tip.model))

    async def _write_pending(self) -> None:
        """What is not on disk when this ends, cancelled or refused, is still pending."""
        await self._write_journal()
        due = self._due
        if due is not None and due.manifest is not None and due.state is not None and due.digest != self._saved_digest:
            await self._save(due)
        await self._write_evidence()

    async def _write_journal(self) -> None:
        entries = tuple(self._pending)
        if not entries:
            return
        try:
            await self._blocking(lambda: _journal(self._journal, entries))
        except StorageError as error:
            self._tell_refused(_JOURNAL, error)
        else:
            self._tell_written(_JOURNAL)
            written = {id(entry) for entry in entries}
            self._pending = [entry for entry in self._pending if id(entry) not in written]

    async def _save(self, entry: Entry) -> None:
        # First: a journal that a power cut leaves behind a snapshot looks as if somebody had removed its newest rounds.
        await self._attempt(self._journal.make_durable, operation=_JOURNAL)
        saved: list[SnapshotSaved] = []
        entry = copy.copy(entry)  # the chain may drop the state of an old entry meanwhile
        try:
            await self._blocking(lambda: saved.append(_save(self._snapshots, entry)))
        except StorageError as error:
            self._tell_refused(_SNAPSHOT, error)
        else:
            self._tell_written(_SNAPSHOT)
            self._saved_digest = entry.digest
            self._sink.emit(saved[0])
            await self._leave_model(entry)

    async def _leave_model(self, entry: Entry) -> None:
        """A peer that is killed has no other moment for it."""
        await self._attempt(partial(self._save_model, entry), operation="save the model")

    def _tell_refused(self, operation: str, error: StorageError) -> None:
        self._refused.add(operation)
        self._sink.emit(StorageFailed(operation=operation, cause=str(error)))

    def _tell_written(self, operation: str) -> None:
        if operation in self._refused:
            self._refused.remove(operation)
            self._sink.emit(StorageRecovered(operation=operation))

    def _collect(self, entry: Entry) -> None:
        """Take the payloads while the round machine still holds them; it has none of a state taken over whole."""
        held = [self._payload_of(Digest(header.message.payload)) for header in entry.deltas]
        complete = entry.stop != STOP_RETURN and None not in held
        self._evidence = {number: payloads for number, payloads in self._evidence.items() if number < entry.round}
        self._evidence[entry.round] = [payload for payload in held if payload is not None] if complete else []
        while len(self._evidence) > _MAX_EVIDENCE:
            del self._evidence[min(self._evidence)]

    async def _write_evidence(self) -> None:
        if self._payloads is None:
            return
        folder = self._payloads
        while self._evidence:
            number = min(self._evidence)
            payloads = self._evidence[number]
            await self._attempt(partial(_keep, folder, number, payloads), operation="keep the payloads")
            if self._evidence.get(number) is payloads:  # else a change of branch has brought others meanwhile
                del self._evidence[number]

    async def _attempt(self, work: Callable[[], None], *, operation: str) -> None:
        await attempt(work, operation=operation, sink=self._sink, blocking=self._blocking)


def _keep(folder: PayloadFolder, number: int, payloads: list[bytes]) -> None:
    if payloads:
        folder.save(number, payloads)
    else:
        folder.forget_from(number)


def _journal(journal: Journal, entries: tuple[Entry, ...]) -> None:
    """Write `entries`; a branch that was left is overwritten from its first replaced round on."""
    for entry in entries:
        line = JournalEntry(round=entry.round, digest=entry.digest, data=encode_sealed(entry))
        journal.replace_from(entry.round, [line], previous=entry.parent)


def _save(snapshots: SnapshotStore, entry: Entry) -> SnapshotSaved:
    content = encode_snapshot(entry)
    path = snapshots.save(Snapshot(round=entry.round, digest=entry.digest, content=content))
    return SnapshotSaved(round=entry.round, size_bytes=len(content), path=str(path))
