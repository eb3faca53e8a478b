"""Replace a file so that a reader, a crash or a full disk meets the old content or the new one, never a part of it."""

import errno
import os
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"
"""Begins the name of what a killed process may leave beside the file that it was writing."""

_WITHOUT_FOLDER_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
_WITHOUT_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def replace_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data`, durably: a temporary file beside it, fsync, rename, fsync of the folder.

    mode: of the new file. Raises: OSError; unless it was the last fsync that failed, the old file is as it was.
    """
    temporary = temporary_beside(path)
    try:
        _write_durably(temporary, data, mode)
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        _discard(temporary)
        raise


def temporary_beside(path: Path) -> Path:
    """Return the name under which this process writes what becomes `path`."""
    return path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")


def create_file(path: Path, data: bytes, *, mode: int) -> bool:
    """Write a new file, durably; return False, and change nothing, where there is one, even if made only meanwhile.

    On a file system without hard links, one that is made in the last moment is replaced. Raises: OSError.
    """
    # By chance, as in another container the process that makes the same file may have our id.
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{int.from_bytes(os.urandom(8))}-{path.name}")
    try:
        _write_durably(temporary, data, mode)
        _name_new(temporary, path)
        _sync_folder(path.parent)
    except FileExistsError:
        return False
    finally:
        _discard(temporary)
    return True


def _name_new(temporary: Path, path: Path) -> None:
    """Give a file its name. Raises: FileExistsError, which a rename would not."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        temporary.replace(path)


def _write_durably(path: Path, data: bytes, mode: int) -> None:
    """Write a new file. Whatever has its name goes first: a link there could lead a secret to another's file."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut, where the file system can be asked to: some shared folders cannot."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _WITHOUT_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the disk is in trouble already; the leftover goes at the next start, or the next write
