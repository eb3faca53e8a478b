"""Files that are either the old content or the new one, whatever happens in between, and that prove it when read.

Layout of a framed file (all integers big-endian): magic "MRMR", format version u16, kind 4 bytes, payload length u64,
SHA-256 of everything before it and of the payload, then the payload.
"""

import hashlib
import re
import struct
from contextlib import suppress
from pathlib import Path

from peer.atomic_write import TEMPORARY_PREFIX, replace_file
from peer.bounded_file import MAX_FILE_BYTES, bounded_size, damaged, open_at_once
from peer.errors import StorageError
from peer.storage_failures import check_replaceable, describe, storage_errors

FRAME_BYTES = 50

_MAGIC = b"MRMR"
_VERSION = 1
_HEAD = struct.Struct(">4sH4sQ")


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data`, durably. A failure leaves the old file as it was.

    Raises: StorageError naming file, cause and next step.
    """
    check_replaceable("write", path)
    with storage_errors("write", path):
        replace_file(path, data, mode=mode)


def write_framed(path: Path, payload: bytes, *, kind: bytes) -> None:
    """Write `payload` with magic, version, kind, length and checksum. kind: 4 bytes that name the content."""
    write_atomic(path, frame(payload, kind=kind))


def read_framed(path: Path, *, kind: bytes, most_bytes: int = MAX_FILE_BYTES - FRAME_BYTES) -> bytes:
    """Return the payload that `write_framed` wrote. most_bytes: that it can have.

    Raises: FileNotFoundError when there is no file; StorageError when it cannot be read, or is damaged, of
    another kind, or of another version.
    """
    return unframe(_read_frame(path, kind=kind, most_bytes=most_bytes), kind=kind, source=path)


def frame(payload: bytes, *, kind: bytes) -> bytes:
    if len(kind) != 4:
        raise ValueError(f"kind must be 4 bytes, got {kind!r}")
    head = _HEAD.pack(_MAGIC, _VERSION, kind, len(payload))
    return head + hashlib.sha256(head + payload).digest() + payload


def unframe(data: bytes, *, kind: bytes, source: Path) -> bytes:
    """Return the payload of a frame. Raises: StorageError saying what is wrong with it."""
    _check_head(data, kind=kind, size=len(data), source=source)
    payload = data[FRAME_BYTES:]
    if hashlib.sha256(data[: _HEAD.size] + payload).digest() != data[_HEAD.size : FRAME_BYTES]:
        raise damaged(source, "its checksum does not match")
    return payload


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files that a killed process left behind. Only the owner of the folder may call this."""
    with storage_errors("clean up", folder):
        for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
            path.unlink(missing_ok=True)


def remove_leftovers_of(file: Path) -> None:
    """Delete what killed processes were writing to become `file`. Only its sole writer may call this.

    What cannot be deleted stays, such as that of another user in a folder for all: it takes space and does no harm.
    """
    leftover = re.compile(rf"{re.escape(TEMPORARY_PREFIX)}\d+-{re.escape(file.name)}")
    with suppress(OSError):
        for path in [path for path in file.parent.iterdir() if leftover.fullmatch(path.name)]:
            path.unlink(missing_ok=True)


def _read_frame(path: Path, *, kind: bytes, most_bytes: int) -> bytes:
    """Return all bytes of a frame, whose head was looked at before: a file full of holes has none."""
    try:
        with open_at_once(path) as file:
            size = bounded_size(file, path, most_bytes=FRAME_BYTES + most_bytes)
            _check_head(file.read(FRAME_BYTES), kind=kind, size=size, source=path)
            file.seek(0)
            return file.read(size + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(describe("read", path, error)) from error


def _check_head(data: bytes, *, kind: bytes, size: int, source: Path) -> None:
    """data: of a frame, at least its beginning. size: of all of it. Raises: StorageError."""
    if len(data) < FRAME_BYTES:
        raise damaged(source, f"expected at least {FRAME_BYTES} bytes, got {len(data)}")
    magic, version, found_kind, length = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise damaged(source, "it does not begin as a file of this program")
    if version != _VERSION:
        raise StorageError(
            f"{source} has format version {version}, this program reads {_VERSION}: use the program that wrote it,"
            " or move the file away"
        )
    if found_kind != kind:
        raise damaged(source, f"expected a file of kind {kind!r}, got {found_kind!r}")
    if length != size - FRAME_BYTES:
        raise damaged(source, f"expected {length} bytes of payload, got {size - FRAME_BYTES}")
