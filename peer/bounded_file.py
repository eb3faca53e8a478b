"""Read a file whole, unless it is larger than it can be: what is damaged, or no file of ours, would fill the memory."""

import os
from pathlib import Path
from typing import BinaryIO

from peer.errors import StorageError

MAX_FILE_BYTES = 4 * 1024**3
"""Of any file of a peer: three times the parameters and the optimizer of the largest model that there can be."""


def read_bounded(path: Path, *, most_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return what `path` holds. Raises: OSError; StorageError, before anything is read, when it is larger."""
    with open_at_once(path) as file:
        return file.read(bounded_size(file, path, most_bytes=most_bytes) + 1)


def open_at_once(path: Path) -> BinaryIO:
    """Open a file to read. A pipe in its place is one without content: to open it as usual is to wait for a writer."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def bounded_size(file: BinaryIO, path: Path, *, most_bytes: int = MAX_FILE_BYTES) -> int:
    """Return the size of an open file. Raises: as above."""
    size = os.fstat(file.fileno()).st_size
    if size > most_bytes:
        raise damaged(path, f"expected at most {most_bytes} bytes, got {size}")
    return size


def damaged(path: Path, cause: str) -> StorageError:
    return StorageError(f"{path} is damaged: {cause}; move it away to start without it")
