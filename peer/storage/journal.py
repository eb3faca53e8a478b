"""The chain of sealed rounds on disk, as a SQLite table: a round or a branch is added, and the old are dropped."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peer.storage.journal_database import (
    failure,
    is_damage,
    legible_errors,
    move_aside,
    open_database,
    row_checksum,
)
from peer.storage_failures import storage_errors
from peer.types import Digest

JOURNAL_FILE = "journal.sqlite"
"""Its name in the folder of a run."""

_MIDDLE_ROUND = """
SELECT round FROM manifests ORDER BY round LIMIT 1 OFFSET (SELECT (count(*) + 1) / 2 FROM manifests)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One sealed round of the journal. data: the signed manifest as it travelled; opaque here."""

    round: int
    digest: Digest
    data: bytes


class Journal:
    """One entry a round. May be used from several threads; calls take turns.

    A process that is killed loses nothing; after a power cut the rounds since `make_durable` may be missing but the
    file is whole (WAL with synchronous=NORMAL), and the swarm has those rounds.
    """

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        """Open or create. A damaged journal is moved aside and a new one begun: see `set_aside`.

        max_bytes: bound on the file; the oldest rounds are dropped to stay below it.
        Raises: StorageError when it can be neither opened nor created.
        """
        self.set_aside: Path | None = None
        """Where a damaged journal was moved at opening, None when there was none."""
        self._path = path
        self._max_bytes = max_bytes
        self._turn = threading.Lock()
        with storage_errors("use", path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = open_database(path)
        except sqlite3.Error as error:
            if not is_damage(error, path):
                raise failure("open", path, error) from error
            self.set_aside = move_aside(path)
            with self._errors("create"):
                self._database = open_database(path)

    def replace_from(
        self, first_round: int, entries: Sequence[JournalEntry], *, previous: Digest | None = None
    ) -> None:
        """Swap everything from `first_round` on for another branch, all or nothing. Raises: StorageError.

        previous: digest that the first entry builds on. Where the journal does not hold that one (a state was taken
        over whole, or the disk had refused some rounds) a break is noted, so that a reader can tell such a gap from
        a round that somebody removed. None: not looked at.
        """
        with self._turn, self._errors("write"), self._transaction():
            self._database.execute("DELETE FROM manifests WHERE round >= ?", (first_round,))
            self._database.execute("DELETE FROM breaks WHERE round >= ?", (first_round,))
            if previous is not None and first_round > 1 and not self._holds(first_round - 1, previous):
                self._database.execute("INSERT INTO breaks VALUES (?)", (first_round,))
            self._insert(entries)
        self._shrink()

    def make_durable(self) -> None:
        """Have what was written so far survive a power cut, too. Raises: StorageError."""
        with self._turn, self._errors("write"):
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Write everything into the main file and close. Raises: StorageError."""
        with self._turn, self._errors("close"):
            self._database.close()

    def _insert(self, entries: Sequence[JournalEntry]) -> None:
        rows = [
            (entry.round, entry.digest, entry.data, row_checksum(entry.round, entry.digest, entry.data))
            for entry in entries
        ]
        self._database.executemany("INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?)", rows)

    def _holds(self, number: int, digest: Digest) -> bool:
        query = "SELECT count(*) FROM manifests WHERE round = ? AND digest = ?"
        return bool(self._database.execute(query, (number, digest)).fetchone()[0])

    def _shrink(self) -> None:
        """Drop the older half of the rounds while the file is too large; the newest round always stays."""
        with self._turn, self._errors("compact"):
            while self._used_bytes() > self._max_bytes:
                first, last = self._database.execute("SELECT min(round), max(round) FROM manifests").fetchone()
                if first is None or first == last:
                    return
                self._drop_below(self._database.execute(_MIDDLE_ROUND).fetchone()[0])

    def _drop_below(self, number: int) -> None:
        self._database.execute("DELETE FROM manifests WHERE round < ?", (number,))
        self._database.execute("DELETE FROM breaks WHERE round < ?", (number,))
        # Each step of this pragma frees one page, and `execute` takes only one step of it.
        self._database.executescript("PRAGMA incremental_vacuum")
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _used_bytes(self) -> int:
        pages, free, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self, operation: str) -> Iterator[None]:
        try:
            with legible_errors():
                yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a caller's bug, not the disk's doing
        except sqlite3.Error as error:
            raise failure(operation, self._path, error) from error
