"""Turn what the operating system says into an error that names the file, the cause and the next step."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peer.atomic_write import temporary_beside
from peer.errors import StorageError

_MAX_LINKS = 40
"""Linux follows no more of them, one after the other, either."""

_FREE_SPACE = "free some space, or set storage.data_dir to another disk"
_PERMISSION = "let this user read and write it (chown, chmod), or set storage.data_dir to a folder that it may use"
_NEXT_STEPS = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: _FREE_SPACE,
    errno.EROFS: "mount it writable, or set storage.data_dir to a folder that is",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EIO: "check the disk (dmesg, smartctl)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files (ulimit -n)",
    errno.EEXIST: "a file stands where a folder is needed: move it away",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away",
    errno.EISDIR: "a folder stands where a file is needed: move it away",
    errno.ENOENT: "check that the folder still exists",
}


@contextmanager
def storage_errors(operation: str, path: Path) -> Iterator[None]:
    """Raise `StorageError` for any OSError inside. operation: a verb, as in "write"."""
    try:
        yield
    except OSError as error:
        raise StorageError(describe(operation, path, error)) from error


def check_writable_file(operation: str, path: Path) -> None:
    """Find out early whether a file can be written at `path` later, by writing one beside it. Makes its folder.

    operation: a verb, for the message. Raises: StorageError naming what is in the way.
    """
    with storage_errors(operation, path):
        if path.is_dir():
            raise StorageError(f"cannot {operation} {path}: is a directory; name a file in it")
    check_replaceable(operation, path)
    with storage_errors(f"{operation} in", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = temporary_beside(path)  # which a file system may find too long a name
        probe.touch()
        probe.unlink(missing_ok=True)


def check_replaceable(operation: str, path: Path) -> None:
    """Refuse a device, pipe or socket: to rename a file over it, such as /dev/null, would take it from all programs.

    So would one over /dev/stdout, whatever that leads to. Raises: StorageError.
    """
    with storage_errors(operation, path):
        if _leads_to_an_open_file(path):
            raise StorageError(
                f"cannot {operation} {path}: it stands for what a program has open; name an ordinary file"
            )
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StorageError(f"cannot {operation} {path}: it is a device, pipe or socket; name an ordinary file")


def _leads_to_an_open_file(path: Path) -> bool:
    """Tell whether `path` is in /proc, or a link that leads there."""
    for _ in range(_MAX_LINKS):
        if Path(os.path.realpath(path.parent)).is_relative_to("/proc"):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return False


def describe(operation: str, path: Path, error: OSError) -> str:
    return f"cannot {operation} {path}: {cause_and_step(error)}"


def cause_and_step(error: OSError) -> str:
    """Return what the operating system says, and what the user can do about it where that is known."""
    cause = (error.strerror or str(error)).lower()
    hint = _NEXT_STEPS.get(error.errno or 0)
    return cause + (f"; {hint}" if hint else "")
