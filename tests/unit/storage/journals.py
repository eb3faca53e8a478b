"""What tests write to a journal, and what they find in its file; it may be open."""

from collections.abc import Sequence
from pathlib import Path

from peer.storage.journal import Journal, JournalEntry
from peer.storage.journal_reader import open_journal_reader
from peer.types import Digest


def append(journal: Journal, entries: Sequence[JournalEntry]) -> None:
    """Write rounds, the first of which follows on what is there."""
    journal.replace_from(entries[0].round, entries)


def held(path: Path) -> list[JournalEntry]:
    """Return all rounds in the file; each must be as it was written."""
    with open_journal_reader(path) as reader:
        rows = list(reader.rows(newest_first=False))
    assert all(row.intact for row in rows)
    return [JournalEntry(round=row.round, digest=Digest(row.digest), data=row.data) for row in rows]
