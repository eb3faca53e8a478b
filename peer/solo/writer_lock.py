"""One `murmur train` at a time writes a file: two at once would take it from each other, and spoil both's work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from peer.errors import StorageError
from peer.storage.atomic_file import remove_leftovers_of
from peer.storage.file_lock import WITHOUT_LOCKS, lock_file, noted_holder, try_lock, unlock
from peer.storage_failures import describe


@contextmanager
def sole_writer(file: Path, *, option: str, beside: Sequence[Path] = ()) -> Iterator[None]:
    """Be the only one that writes `file` in this block. On a file system that has no locks nobody can be kept from it.

    What killed writers have left behind is removed: each may leave a file as large as the model.

    option: what names the file on the command line. beside: what else only its writer writes. Raises: StorageError
    naming the process that writes it.
    """
    lock = lock_file(file)
    try:
        descriptor = try_lock(lock)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise StorageError(describe("lock", lock, error)) from error
        yield
        return
    if descriptor is None:
        raise StorageError(f"{_who_writes(file)}: wait for its end, or stop it, or name another file ({option})")
    try:
        for written in (file, *beside):
            remove_leftovers_of(written)
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: who has opened it meanwhile finds that it is no longer there
        unlock(descriptor)


def require_no_writer(file: Path) -> None:
    """Raises: StorageError naming the process that writes `file`."""
    lock = lock_file(file)
    try:
        descriptor = try_lock(lock) if lock.exists() else -1
    except OSError:
        return
    if descriptor is None:
        raise StorageError(f"{_who_writes(file)}: wait for its end, or stop it")
    if descriptor >= 0:
        unlock(descriptor)


def _who_writes(file: Path) -> str:
    holder = noted_holder(lock_file(file)) or "unknown"  # a full disk holds no note
    return f"another murmur train, process {holder}, is writing {file}"
