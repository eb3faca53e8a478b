"""Read a journal beside the peer that writes it, or out of a copied folder; nothing is created, changed or repaired."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer.errors import StorageError
from peer.storage.journal_database import row_checksum
from peer.storage_failures import storage_errors

_BUSY_S = 5.0
_COMPLAINTS = 3
_LOG = "-wal"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One row as it stands on disk. intact: whether its checksum holds; digest and data may be anything if not."""

    round: int
    digest: bytes
    data: bytes
    intact: bool


class JournalReader:
    """An open journal, seen as it was when it was opened: a peer may write on meanwhile. Use `open_journal_reader`."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path

    def rounds(self) -> tuple[int, int] | None:
        """Return the first and last round held, None when empty. Raises: StorageError."""
        ((first, last),) = self._rows("SELECT min(round), max(round) FROM manifests")
        return None if first is None else (first, last)

    def rows(self, *, newest_first: bool) -> Iterator[JournalRow]:
        """Yield all rows by round, as they are read. Raises: StorageError when the file is damaged."""
        order = "DESC" if newest_first else "ASC"
        for number, digest, data, crc in self._rows(
            f"SELECT round, digest, data, crc FROM manifests ORDER BY round {order}"
        ):
            intact = row_checksum(number, digest, data) == crc
            yield JournalRow(round=number, digest=_bytes(digest), data=_bytes(data), intact=intact)

    def breaks(self) -> frozenset[int]:
        """Return the rounds before which the peer itself lacked something; see `Journal.replace_from`."""
        tables = self._rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'breaks'")
        if not list(tables):
            return frozenset()  # written before breaks were noted
        return frozenset(number for (number,) in self._rows("SELECT round FROM breaks"))

    def damage(self) -> str | None:
        """Read all of the file; return what SQLite finds wrong with it, None when nothing. Raises: as `rows`."""
        verdict = [str(line) for (line,) in self._rows(f"PRAGMA quick_check({_COMPLAINTS})")]
        return None if verdict == ["ok"] else "; ".join(verdict)

    def _rows(self, query: str) -> Iterator[Any]:  # Any: a tuple of what the query names, of any type if damaged
        try:
            # Not `yield from`: that closes the cursor when this generator is dropped, which may be after the database.
            for row in self._database.execute(query):  # noqa: UP028
                yield row
        except sqlite3.Error as error:
            raise _unreadable(self._path, error) from error


@contextmanager
def open_journal_reader(path: Path) -> Iterator[JournalReader]:
    """Open the journal at `path` for reading, by any user who may read the files.

    Raises: StorageError when there is none, or it is no journal.
    """
    if not path.is_file():
        raise StorageError(f"there is no journal at {path}: give the data folder of a peer, or one of its runs")
    with _database(path) as database:
        database.execute("BEGIN")  # one view of the chain for all queries
        yield JournalReader(database, path)


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    """A log beside the file must be read with it. SQLite needs a writable folder for that, else a copy does."""
    with ExitStack() as stack:
        try:
            try:
                database = _connect(path, alone=not path.with_name(path.name + _LOG).exists())
            except sqlite3.OperationalError:
                database = _connect(stack.enter_context(_copy_of(path)), alone=False)
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
        stack.callback(database.close)
        yield database


@contextmanager
def _copy_of(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="murmur-log-") as folder:
        copy = Path(folder) / path.name
        with storage_errors("copy", path):
            for suffix in ("", _LOG):
                source = path.with_name(path.name + suffix)
                if source.exists():
                    shutil.copyfile(source, copy.with_name(copy.name + suffix))
        yield copy


def _connect(path: Path, *, alone: bool) -> sqlite3.Connection:
    """alone: no writer and no log, so SQLite need not create files to share the journal with others."""
    mode = "immutable=1" if alone else "mode=ro"
    location = f"{path.resolve().as_uri()}?{mode}"
    database = sqlite3.connect(location, uri=True, isolation_level=None, timeout=_BUSY_S)
    try:
        database.execute("SELECT count(*) FROM manifests").fetchone()
    except sqlite3.Error:
        database.close()
        raise
    return database


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _unreadable(path: Path, error: sqlite3.Error) -> StorageError:
    return StorageError(f"{path} cannot be read as a journal: {error}; take the folder from a backup or another peer")
