"""The socket under a connection: counted bytes, reads into memory that is there already, and whole writes.

What can be done at once is done without a turn of the event loop, which takes as long as sending 50 KB.
"""

import fcntl
import os
import socket
import sys
import termios

import trio
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream

from peer.types import Seconds, Session

STALL_S: Seconds = 10.0
LEAST_TAKEN_BYTES = 256 * 1024
"""What the other end has to take in so many seconds of waiting for it, or the connection ends. A peer that pulls asks
twice as much of one that holds (`BLOB_PROGRESS_BYTES` in each request's deadline)."""

MAX_HANDSHAKE_BYTES = 128 * 1024
"""Read before the other end has proved who it is, which takes less than 1 KiB. py-libp2p 0.8.1 reads lines as long as
they say that they are, and a hundred times whatever the socket holds."""

MAX_HANDSHAKE_READS = 256
"""In the same time; it takes 7. py-libp2p 0.8.1 reads the length of each line by itself, and answers lines without end:
128 KiB of empty ones took it 6 s of CPU time."""


class CountedTcpStream(TrioTCPStream):
    """A TCP stream that adds its bytes, as they are on the wire, to the transport's counters."""

    def __init__(self, stream: trio.SocketStream, counters: dict[str, int]) -> None:
        super().__init__(stream)
        self._counters = counters
        self._handshake_bytes = self._handshake_reads = 0
        self._unsent = memoryview(b"")
        self._sent = 0
        self._taken = 0  # of what was sent, when it was last asked for
        self._waited_s: Seconds = 0.0  # since then
        self.stalled: str | None = None
        """Why we have ended it, if the other end has not taken what we sent."""
        self.made_at: Seconds = trio.current_time()
        self.heard_at: Seconds = self.made_at
        self.session: Session | None = None  # known after the handshake

    @property
    def has_unsent(self) -> bool:
        """Whether there is something for `flush` to send."""
        return bool(self._unsent)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; one task at a time. It waits for a socket that is full, and else yields to nobody.

        The memory of `data` may be used anew while it waits. Whoever is cancelled in the middle need not wait for a
        peer that does not read. What it leaves is kept, and goes out before anything else: half of an encrypted message
        would make all behind it unreadable. Raises: ConnectionClosedError.
        """
        if self._unsent:
            await self.flush()
        if not self.write_now(data):
            await self.flush()

    def write_now(self, data: bytes | bytearray | memoryview) -> bool:
        """Send what the socket has room for, and return whether that was all; the rest is kept for `flush`.

        To be called only while nothing else is unsent. Raises: ConnectionClosedError.
        """
        self._unsent = memoryview(data)
        if self._send_now():
            return True
        self._unsent = memoryview(bytes(self._unsent))
        return False

    async def flush(self) -> None:
        """Send what a cancelled writer has left.

        Raises: ConnectionClosedError, also when the other end takes next to nothing: a reset of single streams would
        not reach it either, and whoever waits to write would wait for ever.
        """
        while not self._send_now():
            await self._wait_for_room()

    def _send_now(self) -> bool:
        """Send what the socket has room for; return whether that was all. Raises: ConnectionClosedError."""
        while self._unsent:
            try:
                count = os.write(self._descriptor(), self._unsent)
            except BlockingIOError:
                return False
            except OSError as error:
                raise _broken(error) from error
            self._unsent = self._unsent[count:]
            self._sent += count
            self._counters["bytes_sent"] += count
        return True

    async def read(self, n: int | None = None) -> bytes:
        """Return between 1 and `n` bytes of the handshake, nothing at the end; after it there is `read_now`.

        Raises: ConnectionClosedError, also when there were MAX_HANDSHAKE_BYTES of it, or MAX_HANDSHAKE_READS.
        """
        self._handshake_reads += 1
        if self._handshake_reads > MAX_HANDSHAKE_READS:
            raise ConnectionClosedError(f"a handshake of more than {MAX_HANDSHAKE_READS} reads", transport="tcp")
        left = MAX_HANDSHAKE_BYTES - self._handshake_bytes
        if not left:
            raise ConnectionClosedError(f"a handshake of more than {MAX_HANDSHAKE_BYTES} bytes", transport="tcp")
        data = await super().read(left if n is None else min(n, left))
        self._handshake_bytes += len(data)
        self._note(len(data))
        return data

    async def wait_for_bytes(self) -> None:
        """Return when there is something to read, or the end. Raises: ConnectionClosedError."""
        try:
            await trio.lowlevel.wait_readable(self._descriptor())
        except trio.ClosedResourceError as error:
            raise _broken(error) from error

    def read_now(self, buffer: memoryview) -> int | None:
        """Fill the beginning of `buffer`; 0 at the end, None when nothing has come. Raises: ConnectionClosedError."""
        try:
            count = os.readv(self._descriptor(), [buffer])
        except BlockingIOError:
            return None
        except OSError as error:
            raise _broken(error) from error
        self._note(count)
        return count

    async def _wait_for_room(self) -> None:
        start = trio.current_time()
        try:
            with trio.move_on_after(max(0.0, STALL_S - self._waited_s)) as patience:
                await trio.lowlevel.wait_writable(self._descriptor())
        except trio.ClosedResourceError as error:
            raise _broken(error) from error
        finally:
            self._waited_s += trio.current_time() - start
        if patience.cancelled_caught:
            self._check_taken()

    def _check_taken(self) -> None:
        """Raises: ConnectionClosedError, with the socket shut down, when the other end has taken too little."""
        taken = self._sent - _unacknowledged(self._descriptor())
        if taken - self._taken < LEAST_TAKEN_BYTES:
            self.stalled = f"it took only {taken - self._taken} bytes in {self._waited_s:.0f} s"
            try:
                self.stream.socket.shutdown(socket.SHUT_RDWR)  # wakes who reads, who ends the connection
            except OSError as error:
                raise _broken(error) from error
            raise ConnectionClosedError(self.stalled, transport="tcp")
        self._taken, self._waited_s = taken, 0.0

    def _descriptor(self) -> int:
        """Raises: ConnectionClosedError when the socket is closed."""
        descriptor = self.stream.socket.fileno()
        if descriptor < 0:
            raise ConnectionClosedError("the connection is closed", transport="tcp")
        return descriptor

    def _note(self, count: int) -> None:
        self.heard_at = trio.current_time()
        self._counters["bytes_received"] += count


def _broken(error: Exception) -> ConnectionClosedError:
    return ConnectionClosedError(f"the connection broke: {error}", transport="tcp")


def _unacknowledged(descriptor: int) -> int:
    """Return how many of the sent bytes the other end's machine has not taken.

    Whether the socket has room does not tell: it has again when a third of its buffer is free, which can be more than
    a slow way carries in the time given.
    """
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:  # not known of sockets here: then what the socket took has to do
        return 0
