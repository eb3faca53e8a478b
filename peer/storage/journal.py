"""The chain of sealed rounds on disk, as a SQLite table: append, replace a branch, read back, drop the old."""

import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peer.errors import StorageError
from peer.storage_failures import storage_errors
from peer.types import Digest

JOURNAL_FILE = "journal.sqlite"
"""Its name in the folder of a run."""

MAX_SET_ASIDE = 2
"""Damaged journals that are kept beside it."""

_SCHEMA_VERSION = 1
_MIDDLE_ROUND = """
SELECT round FROM manifests ORDER BY round LIMIT 1 OFFSET (SELECT (count(*) + 1) / 2 FROM manifests)
"""
_DAMAGE_CODES = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # a table of the right name with other columns
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_IOERR_SHORT_READ,
}
_SIDE_FILES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One sealed round of the journal. data: the signed manifest as it travelled; opaque here."""

    round: int
    digest: Digest
    data: bytes


class Journal:
    """One entry a round. May be used from several threads; calls take turns.

    A process that is killed loses nothing; after a power cut the last rounds may be missing but the file is
    whole (WAL with synchronous=NORMAL), and the swarm has those rounds.
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
            self._database = _open(path)
        except sqlite3.Error as error:
            if not _is_damage(error, path):
                raise _failure("open", path, error) from error
            self.set_aside = _move_aside(path)
            with self._errors("create"):
                self._database = _open(path)

    def append(self, entries: Sequence[JournalEntry]) -> None:
        """Add rounds, all or none; an entry of a round that is there replaces it. Raises: StorageError."""
        with self._turn, self._errors("write"), self._transaction():
            self._insert(entries)
        self._shrink()

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

    def read(self, first_round: int, last_round: int) -> list[JournalEntry]:
        """Return the entries of first_round..last_round (both included) that are there, by round.

        Raises: StorageError, also when an entry's checksum does not hold.
        """
        query = "SELECT round, digest, data, crc FROM manifests WHERE round BETWEEN ? AND ? ORDER BY round"
        with self._turn, self._errors("read"):
            rows = self._database.execute(query, (first_round, last_round)).fetchall()
        for number, digest, data, crc in rows:
            if row_checksum(number, digest, data) != crc:
                raise StorageError(f"{self._path} is damaged: round {number}: its checksum does not match")
        return [JournalEntry(round=row[0], digest=Digest(row[1]), data=row[2]) for row in rows]

    def rounds(self) -> tuple[int, int] | None:
        """Return the first and last round held, None when empty. Raises: StorageError."""
        with self._turn, self._errors("read"):
            first, last = self._database.execute("SELECT min(round), max(round) FROM manifests").fetchone()
        return None if first is None else (first, last)

    def compact(self, *, below_round: int) -> None:
        """Drop rounds below `below_round` and give their space back to the disk. Raises: StorageError."""
        with self._turn, self._errors("compact"):
            self._drop_below(below_round)

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
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a caller's bug, not the disk's doing
        except sqlite3.Error as error:
            raise _failure(operation, self._path, error) from error


def row_checksum(number: int, digest: object, data: object) -> int:
    """Cover the whole row. A damaged file may hold values of any type, which give a sum that never matches."""
    if not isinstance(digest, bytes) or not isinstance(data, bytes):
        return -1
    return zlib.crc32(data, zlib.crc32(digest, zlib.crc32(number.to_bytes(8, signed=True))))


def _open(path: Path) -> sqlite3.Connection:
    # Threads take turns by the journal's own lock, so SQLite's check of the thread is in the way.
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, else it has no effect
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA journal_size_limit = 4194304").fetchall()
        _check_version(database)
        database.execute(
            "CREATE TABLE IF NOT EXISTS manifests ("
            "round INTEGER PRIMARY KEY, digest BLOB NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL)"
        )
        database.execute("CREATE TABLE IF NOT EXISTS breaks (round INTEGER PRIMARY KEY)")
        _check_content(database)
    except BaseException:
        database.close()
        raise
    return database


def _check_version(database: sqlite3.Connection) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    elif version != _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"schema version {version}, this program writes {_SCHEMA_VERSION}")


def _check_content(database: sqlite3.Connection) -> None:
    """Read everything once: SQLite notices a damaged page only when it meets it, and has no checksums."""
    verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(str(verdict))
    for number, digest, data, crc in database.execute("SELECT round, digest, data, crc FROM manifests"):
        if row_checksum(number, digest, data) != crc:
            raise sqlite3.DatabaseError(f"round {number}: its checksum does not match")


def _is_damage(error: sqlite3.Error, path: Path) -> bool:
    """Tell a bad file, which a new one replaces, from a bad disk (full, read-only, I/O errors)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_READONLY:  # a damaged header can claim that too
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return code is None or code in _DAMAGE_CODES


def _failure(operation: str, path: Path, error: sqlite3.Error) -> StorageError:
    cause = str(error)
    hints = {
        "full": "free some space, or set storage.data_dir to another disk",
        "readonly": "mount it writable, or set storage.data_dir to a folder that is",
        "unable to open": "check that the folder exists and is writable",
        "locked": "another process uses it: end that process",
        "disk I/O": "check the disk (dmesg, smartctl)",
    }
    hint = next((step for word, step in hints.items() if word in cause), "restart the peer to begin a new journal")
    return StorageError(f"cannot {operation} {path}: {cause}; {hint}")


def _move_aside(path: Path) -> Path:
    """Rename a damaged journal to `.corrupt-<n>`, and keep only the newest few of those."""
    with storage_errors("move aside", path):
        taken = sorted(
            (int(old.name.rpartition("-")[2]), old)
            for old in path.parent.glob(f"{path.name}.corrupt-*")
            if old.name.rpartition("-")[2].isdecimal()
        )
        target = path.with_name(f"{path.name}.corrupt-{taken[-1][0] + 1 if taken else 1}")
        path.rename(target)
        for side in _SIDE_FILES:  # a stale log must not be replayed into the new file
            path.with_name(path.name + side).unlink(missing_ok=True)
        for _, old in taken[: len(taken) + 1 - MAX_SET_ASIDE]:
            old.unlink(missing_ok=True)
    return target
