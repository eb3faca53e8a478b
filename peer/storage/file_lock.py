"""A file that one process holds a lock on while it lives: the kernel drops it with the process, however that ends.

A child that it forks, such as a simulator of an environment in Python, would hold it, too, and on when the process is
killed: so it closes its copy at once. The process's id stands in the file, for people who look.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peer.errors import StorageError

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What the kernel says on a file system that has no locks, as some network and FUSE ones."""

_MAX_NOTE_BYTES = 32
_held: set[int] = set()


def lock_file(file: Path) -> Path:
    """Return what is locked in the stead of `file`, which is replaced by another one whenever it is written."""
    return file.parent / f".{file.name}.lock"


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock until `unlock`; None when another process holds it.

    path: made when it is missing. Raises: OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            _note_holder(descriptor)
            _held.add(descriptor)
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # held by another process, or deleted under our hands
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextmanager
def lockable(folder: Path) -> Iterator[None]:
    """Say of a file system without locks, met in this block, what a peer wants them for. Raises: StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        raise StorageError(
            f"cannot lock {folder}: its file system has no locks ({(error.strerror or str(error)).lower()}), without"
            " which two processes could be one peer; set storage.data_dir to a folder on a local disk"
        ) from error


def unlock(descriptor: int) -> None:
    """Close what `try_lock` has returned, and so drop the lock."""
    _held.discard(descriptor)
    os.close(descriptor)


def noted_holder(path: Path) -> int | None:
    """Return the id of the process that has last locked `path`; None where it does not say so."""
    try:
        with path.open("rb") as file:
            note = file.read(_MAX_NOTE_BYTES).strip()
    except OSError:
        return None
    return int(note) if note.isdigit() else None


def _note_holder(descriptor: int) -> None:
    """Leave the process id for people who look; a full disk must not cost us the lock."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        return


def _leave_to_parent() -> None:
    while _held:
        os.close(_held.pop())  # the parent's copy keeps the lock


os.register_at_fork(after_in_child=_leave_to_parent)
