"""One row of a journal, opened and with its signatures checked; or what is wrong with it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from peer.errors import ProtocolError
from peer.rounds.entry import Entry
from peer.rounds.sealed_rounds import decode_sealed, envelopes_of
from peer.storage.journal_reader import JournalRow
from peer.types import PeerId
from peer.wire.messages import Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of a journal, checked.

    round: as the row says. entry: None when the row cannot be trusted; `damage` then says why.
    """

    round: int
    entry: Entry | None
    damage: str

    @property
    def rejected(self) -> tuple[Rejection, ...]:
        if self.entry is None or self.entry.manifest is None:
            return ()
        in_groups = [item for seal in self.entry.groups for item in seal.message.rejected]
        return (*self.entry.manifest.message.rejected, *in_groups)

    @property
    def peers(self) -> frozenset[PeerId]:
        """Return who sealed the round or had a delta admitted or rejected in it."""
        if self.entry is None:
            return frozenset()
        sealer = [] if self.entry.sealer is None else [self.entry.sealer]
        rejected = [PeerId(item.peer) for item in self.rejected]
        return frozenset([*sealer, *rejected]) | self.entry.admitted


def read_records(rows: Iterable[JournalRow], *, run: bytes | None) -> Iterator[Record]:
    """Open one row after the other. run: the 16 bytes of the run; None: whichever the first good envelope names."""
    for row in rows:
        run = run or _run_of(row.data)
        yield _read(row, run or bytes(16))


def _read(row: JournalRow, run: bytes) -> Record:
    if not row.intact:
        return _damaged(row, "the row's checksum does not match: the file was changed or the disk is failing")
    try:
        entry = decode_sealed(row.data, run=run)
    except ProtocolError as error:
        return _damaged(row, f"{error.reason}: {error.detail}")
    if entry.digest != row.digest:
        return _damaged(
            row, f"the manifest's digest is {entry.digest.hex()[:10]}, the row says {row.digest.hex()[:10]}"
        )
    if entry.round != row.round:
        return _damaged(row, f"the manifest is of round {entry.round}")
    return Record(round=row.round, entry=entry, damage="")


def _damaged(row: JournalRow, damage: str) -> Record:
    return Record(round=row.round, entry=None, damage=damage)


def _run_of(data: bytes) -> bytes | None:
    """Return the run that an envelope claims to be of; whether it is signed so is found out later."""
    try:
        envelope = msgspec.msgpack.decode(envelopes_of(data)[0])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    run = envelope[1] if isinstance(envelope, list) and len(envelope) > 1 else None
    return run if isinstance(run, bytes) and len(run) == 16 else None
