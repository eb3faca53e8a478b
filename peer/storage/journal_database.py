"""The SQLite file of a journal: opened and checked, and moved aside when its content cannot be trusted."""

import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peer.errors import StorageError
from peer.storage_failures import storage_errors

MAX_SET_ASIDE = 2
"""Damaged journals that are kept beside it."""

_SCHEMA_VERSION = 1
_TABLES = {
    "manifests": "(round INTEGER PRIMARY KEY, digest BLOB NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL)",
    "breaks": "(round INTEGER PRIMARY KEY)",
}
_DAMAGE_CODES = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # a table of the right name with other columns
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_IOERR_SHORT_READ,
}
_SIDE_FILES = ("-wal", "-shm")


@contextmanager
def legible_errors() -> Iterator[None]:
    """Let what SQLite says of a damaged file be an error of SQLite, also where it quotes what is no text.

    Raises: sqlite3.Error.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("malformed: names and texts in it are none") from error


def row_checksum(number: object, digest: object, data: object) -> int:
    """Cover the whole row. A damaged file may hold values of any type, which give a sum that never matches."""
    if not isinstance(number, int) or not isinstance(digest, bytes) or not isinstance(data, bytes):
        return -1
    return zlib.crc32(data, zlib.crc32(digest, zlib.crc32(number.to_bytes(8, signed=True))))


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create, and read all of it once. Raises: sqlite3.Error; `is_damage` says whose fault that is."""
    # Threads take turns by the journal's own lock, so SQLite's check of the thread is in the way.
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        with legible_errors():
            _prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, else it has no effect
    database.execute("PRAGMA journal_mode = WAL").fetchall()
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA journal_size_limit = 4194304").fetchall()
    _check_version(database)
    for name, columns in _TABLES.items():
        database.execute(f"CREATE TABLE IF NOT EXISTS {name} {columns}")
    check_tables(database)
    _check_content(database)


def check_tables(database: sqlite3.Connection) -> None:
    """Refuse what only has the name of a table of ours: a view may yield rows without end, a column anything.

    Raises: sqlite3.Error.
    """
    found = dict(database.execute("SELECT lower(name), sql FROM sqlite_master WHERE type <> 'index'"))
    if "manifests" not in found:
        raise sqlite3.DatabaseError("no such table: manifests")
    for name, columns in _TABLES.items():
        if found.get(name, "") not in ("", f"CREATE TABLE {name} {columns}"):
            raise sqlite3.DatabaseError(f"{name} is not the table that a peer writes")


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


def is_damage(error: sqlite3.Error, path: Path) -> bool:
    """Tell a bad file, which a new one replaces, from a bad disk (full, read-only, I/O errors)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_READONLY:  # a damaged header can claim that too, where all may be written
        sides = [side for suffix in _SIDE_FILES if (side := path.with_name(path.name + suffix)).exists()]
        return all(os.access(needed, os.W_OK, effective_ids=True) for needed in (path, path.parent, *sides))
    return code is None or code in _DAMAGE_CODES


def failure(operation: str, path: Path, error: sqlite3.Error) -> StorageError:
    """Return an error that names the file, the cause and what to do. operation: a verb."""
    cause = str(error)
    hints = {
        "full": "free some space, or set storage.data_dir to another disk",
        "readonly": "let this user write it and what is beside it (chown, chmod), mount it writable, or set another"
        " storage.data_dir",
        "unable to open": "check that the folder exists and is writable",
        "locked": "another process uses it: end that process",
        "disk I/O": "check the disk (dmesg, smartctl)",
    }
    hint = next((step for word, step in hints.items() if word in cause), "restart the peer to begin a new journal")
    return StorageError(f"cannot {operation} {path}: {cause}; {hint}")


def move_aside(path: Path) -> Path:
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
