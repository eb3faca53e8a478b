"""Read a journal beside the peer that writes it, or out of a copied folder; nothing is created, changed or repaired."""

import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer.errors import StorageError
from peer.storage.journal_database import check_tables, legible_errors, row_checksum
from peer.storage_failures import storage_errors

_BUSY_S = 5.0
_COMPLAINTS = 3
_LOG = "-wal"
_PAGE_ROWS = 32
_MAX_DATA_BYTES = 1 << 22
"""Far above any round: a top manifest and the seals of 64 groups take less than 1 MiB."""

# Of a row that no peer writes, what is of another type or size is left where it is: it could fill the memory.
_COLUMNS = f"""
round,
CASE WHEN typeof(digest) = 'blob' AND length(digest) = 32 THEN digest END,
CASE WHEN typeof(data) = 'blob' AND length(data) <= {_MAX_DATA_BYTES} THEN data END,
CASE WHEN typeof(crc) = 'integer' THEN crc END
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One row as it stands on disk. intact: whether its checksum holds; digest and data may be anything if not."""

    round: int
    digest: bytes
    data: bytes
    intact: bool


class JournalReader:
    """An open journal; a peer may be started or write on meanwhile. Use `open_journal_reader`."""

    def __init__(self, path: Path, opened: ExitStack) -> None:
        """opened: takes what is to be closed."""
        self._path = path
        self._opened = opened
        self._is_held = False
        self._open()

    def hold_still(self) -> None:
        """See the journal from here on as it is now. Not for long: a peer keeps all that it writes meanwhile."""
        self._is_held = True
        self._database.execute("BEGIN")

    def rounds(self) -> tuple[int, int] | None:
        """Return the first and last round held, None when empty. Raises: StorageError."""
        ((first, last),) = self._fetch("SELECT min(round), max(round) FROM manifests")
        return None if first is None else (first, last)

    def rows(self, *, newest_first: bool) -> Iterator[JournalRow]:
        """Yield all rows by round, as they are read. Raises: StorageError when the file is damaged."""
        beyond, order = ("<", "DESC") if newest_first else (">", "ASC")
        query = f"SELECT {_COLUMNS} FROM manifests {{}} ORDER BY round {order} LIMIT {_PAGE_ROWS}"
        page = self._fetch(query.format(""))
        while page:
            yield from itertools.starmap(_row, page)
            last = page[-1][0]
            page = self._fetch(query.format(f"WHERE round {beyond} ?"), last)
            if any(number >= last if newest_first else number <= last for number, *_ in page):  # it would never end
                raise _unreadable(self._path, sqlite3.DatabaseError("its rounds are in no order"))

    def breaks(self) -> frozenset[int]:
        """Return the rounds before which the peer itself lacked something; see `Journal.replace_from`."""
        if not self._fetch("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'breaks'"):
            return frozenset()  # written before breaks were noted
        return frozenset(number for (number,) in self._fetch("SELECT round FROM breaks"))

    def damage(self) -> str | None:
        """Read all of the file; return what SQLite finds wrong with it, None when nothing. Raises: as `rows`."""
        verdict = [str(line) for (line,) in self._fetch(f"PRAGMA quick_check({_COMPLAINTS})")]
        return None if verdict == ["ok"] else "; ".join(verdict)

    def _fetch(self, query: str, *values: int) -> list[Any]:  # Any: a tuple of what the query names
        """Return all rows at once: one that is left open keeps the peer from ever cutting its log."""
        while True:
            try:
                with legible_errors():
                    found = self._database.execute(query, values).fetchall()
            except sqlite3.Error as error:
                if not self._was_written():
                    raise _unreadable(self._path, error) from error
            else:
                if not self._was_written():
                    return found
            self._open()

    def _was_written(self) -> bool:
        """Tell whether the file is another than SQLite was told that it stays: its peer was started meanwhile."""
        return self._alone and _state_of(self._path) != self._seen

    def _open(self) -> None:
        self._opened.close()
        self._seen = _state_of(self._path)
        self._alone = not self._path.with_name(self._path.name + _LOG).exists()
        self._database = self._opened.enter_context(_database(self._path, alone=self._alone))
        if self._is_held:
            self._database.execute("BEGIN")


@contextmanager
def open_journal_reader(path: Path) -> Iterator[JournalReader]:
    """Open the journal at `path` for reading, by any user who may read the files.

    Raises: StorageError when there is none, or it is no journal.
    """
    if not path.is_file():
        raise StorageError(f"there is no journal at {path}: give the data folder of a peer, or one of its runs")
    with ExitStack() as opened:
        yield JournalReader(path, opened)


def _row(number: int, digest: bytes | None, data: bytes | None, crc: int | None) -> JournalRow:
    intact = row_checksum(number, digest, data) == crc
    return JournalRow(round=number, digest=digest or b"", data=data or b"", intact=intact)


def _state_of(path: Path) -> tuple[int, int, int]:
    with storage_errors("read", path):
        found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def _database(path: Path, *, alone: bool) -> Iterator[sqlite3.Connection]:
    """A log beside the file must be read with it. SQLite needs a writable folder for that, else a copy does."""
    with ExitStack() as stack:
        try:
            try:
                database = _connect(path, alone=alone)
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
        with legible_errors():
            check_tables(database)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _unreadable(path: Path, error: sqlite3.Error) -> StorageError:
    return StorageError(f"{path} cannot be read as a journal: {error}; take the folder from a backup or another peer")
