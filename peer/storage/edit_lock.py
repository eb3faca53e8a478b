"""A file that people change by commands, one change at a time: of two at once the second would undo the first."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peer.errors import StorageError
from peer.storage.file_lock import WITHOUT_LOCKS, lock_file, noted_holder, try_lock, unlock
from peer.storage_failures import describe
from peer.types import Seconds

_PATIENCE_S: Seconds = 10.0
"""A change takes some milliseconds, and so do a dozen of them."""

_LOOK_S: Seconds = 0.01


@contextmanager
def sole_editor(file: Path, *, patience_s: Seconds = _PATIENCE_S) -> Iterator[None]:
    """Be the only one that reads and replaces `file` in this block: wait until the others have done.

    On a file system that has no locks nobody can be kept from it, and in a folder that is missing there is nothing to
    lock. Raises: StorageError naming the process that still holds `file` after `patience_s`.
    """
    lock = lock_file(file)
    try:
        descriptor = _wait_for(file, patience_s)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS and not isinstance(error, FileNotFoundError):
            raise StorageError(describe("lock", lock, error)) from error
        yield
        return
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: who has opened it meanwhile finds that it is no longer there
        unlock(descriptor)


def _wait_for(file: Path, patience_s: Seconds) -> int:
    """Return a descriptor that holds the lock. Raises: OSError; StorageError."""
    until = time.monotonic() + patience_s
    while (descriptor := try_lock(lock_file(file))) is None:
        if time.monotonic() >= until:
            holder = noted_holder(lock_file(file)) or "unknown"
            raise StorageError(f"another command, process {holder}, is changing {file}: stop it, or try again later")
        time.sleep(_LOOK_S)
    return descriptor
