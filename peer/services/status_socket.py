"""A Unix socket in the peer's folder that answers every connection with the peer's status, and reads nothing.

Only the user who owns the folder can reach it: the slot's mode is 0700. There is no request to parse, so there is
nothing to attack but the number of connections, which is bounded.
"""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Never

import msgspec
import trio

from peer.services.status_answer import Status
from peer.storage_failures import storage_errors
from peer.types import Seconds

SOCKET_FILE = "status.sock"
_BACKLOG = 8
_MAX_ANSWER_BYTES = 64 * 1024**2
_ANSWER_S: Seconds = 2.0
"""A reader that takes longer is dropped; a status has a few kilobytes and fits the socket's buffer."""

_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED)
_PAUSE_S: Seconds = 0.1
"""Until somebody may have closed something; whoever asks waits in the queue."""


@contextmanager
def status_listener(slot: Path) -> Iterator[trio.socket.SocketType]:
    """Hold the socket at which `serve_status` answers. Raises: StorageError when it cannot be made."""
    path = slot / SOCKET_FILE
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with trio.socket.from_stdlib_socket(plain) as listener:
        with storage_errors("make", path):
            path.unlink(missing_ok=True)  # of an earlier life; the slot is ours alone
            with short_path(path) as name:
                plain.bind(name)
            path.chmod(0o600)
        listener.listen(_BACKLOG)
        try:
            yield listener
        finally:
            with suppress(OSError):  # a disk that is read-only by now: the next life removes it
                path.unlink(missing_ok=True)


async def serve_status(listener: trio.socket.SocketType, status: Callable[[], Status]) -> Never:
    """Answer until cancelled; whoever asks after that waits until the listener is served again, or closed."""
    while True:
        with await _accepted(listener) as connection:
            await _answer(connection, msgspec.json.encode(status()))


def read_status(slot: Path, *, timeout_s: Seconds) -> Status:
    """Ask the peer that holds `slot`.

    Raises: FileNotFoundError, ConnectionRefusedError when no peer runs there; TimeoutError when it does not answer;
    msgspec.DecodeError when what it says is not a status (of another version).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        with short_path(slot / SOCKET_FILE) as name:
            connection.connect(name)
        data = bytearray()
        while chunk := connection.recv(65536):
            data += chunk
            if len(data) > _MAX_ANSWER_BYTES:
                raise msgspec.DecodeError(f"more than {_MAX_ANSWER_BYTES} bytes")
    try:
        return msgspec.json.decode(data, type=Status)
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deep") from error


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield another name of `path`: an address of a Unix socket has at most 107 bytes, and data folders lie deep."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def _accepted(listener: trio.socket.SocketType) -> trio.socket.SocketType:
    """Wait for the next one, and for room for it: strangers who hold all descriptors must not end the peer."""
    while True:
        try:
            connection, _ = await listener.accept()
        except OSError as error:
            if error.errno not in _FULL:
                raise
            await trio.sleep(_PAUSE_S)
        else:
            return connection


async def _answer(connection: trio.socket.SocketType, data: bytes) -> None:
    with trio.move_on_after(_ANSWER_S):
        try:
            await trio.SocketStream(connection).send_all(data)
        except trio.BrokenResourceError:
            return  # the reader has gone
