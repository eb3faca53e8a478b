"""New files that nobody but their owner may read, such as keys."""

import os
from pathlib import Path

from peer.atomic_write import create_file
from peer.errors import StorageError
from peer.storage_failures import storage_errors

_MODE = 0o600


def create_secret(path: Path, data: bytes, *, operation: str = "write") -> bool:
    """Write a new file, durably; return False, and change nothing, where there is one, or a link that leads nowhere.

    operation: a verb, for the message. Raises: StorageError, saying what to do, when it cannot be written, or when all
    can read it, since the file system keeps no modes; then it is gone again.
    """
    with storage_errors(operation, path):
        if os.path.lexists(path) or not create_file(path, data, mode=_MODE):
            return False
        is_open_to_others = bool(path.stat().st_mode & 0o077)
        if is_open_to_others:
            path.unlink()
    if is_open_to_others:
        raise StorageError(
            f"cannot {operation} {path}: the file system there keeps no modes, so that others could read the key; take"
            " a folder on another one (of a peer by storage.data_dir), in WSL one that is not below /mnt"
        )
    return True
