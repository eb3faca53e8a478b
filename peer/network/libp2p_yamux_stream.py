"""One stream of a Yamux connection: two directions, each with its window."""

from collections.abc import Callable
from typing import Protocol

import trio
from libp2p.abc import IMuxedConn, IMuxedStream, INetStream
from libp2p.io.exceptions import IOException
from libp2p.network.stream.net_stream import NetStream
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError, MuxedStreamReset

from peer.types import Seconds

SYN, ACK, FIN, RST = 1, 2, 4, 8
INITIAL_WINDOW_BYTES = 256 * 1024
"""What either end may send unasked, by the specification."""

MAX_WRITE_BYTES = 256 * 1024
"""Written as one piece, while which others that write to the same connection wait."""

STALL_S: Seconds = 10.0
"""How long a writer waits for a reader that takes nothing."""


class Frames(Protocol):
    """The connection, as far as its streams need it."""

    async def send_data(self, stream: "YamuxStream", flags: int, data: memoryview) -> None: ...

    async def send_window(self, stream: "YamuxStream", flags: int, increment: int) -> None: ...

    async def note_closed(self, stream: "YamuxStream") -> None: ...

    def note_taken(self, stream: "YamuxStream", count: int) -> None: ...


class YamuxStream(IMuxedStream):
    """first_flags: SYN or ACK, for whatever is sent first. on_end: called once, when our end is closed or reset.

    receivable: bytes that the other end may still send before we grant it more. is_theirs: the other end opened it.
    """

    def __init__(
        self,
        muxed_conn: IMuxedConn,
        frames: Frames,
        stream_id: int,
        *,
        first_flags: int,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.muxed_conn = muxed_conn
        self.stream_id = stream_id
        self.receivable = INITIAL_WINDOW_BYTES
        self.is_theirs = first_flags == ACK
        self._frames = frames
        self._flags = first_flags
        self._on_end = on_end
        self._window = INITIAL_WINDOW_BYTES
        self._sendable = INITIAL_WINDOW_BYTES
        self._unread = bytearray()
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()
        self._sending_closed = self._receiving_closed = self._is_reset = False

    @property
    def is_over(self) -> bool:
        """Whether neither end will send anything any more."""
        return self._sending_closed and self._receiving_closed

    @property
    def has_unread(self) -> bool:
        return bool(self._unread)

    async def read(self, n: int | None = None) -> bytes:
        """Return between 1 and `n` bytes. Raises: MuxedStreamEOF at the end, MuxedStreamReset."""
        if n == 0:
            return b""
        await self._wait_for_data()
        if n is None or n < 0 or n >= len(self._unread):
            return bytes(await self.read_all())
        part = bytes(memoryview(self._unread)[:n])
        del self._unread[:n]
        self._frames.note_taken(self, n)
        await self._grant()
        return part

    async def read_all(self) -> bytearray:
        """Return at least 1 byte, all that is here, without a copy. Raises: as `read`."""
        await self._wait_for_data()
        part, self._unread = self._unread, bytearray()
        self._frames.note_taken(self, len(part))
        await self._grant()
        return part

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises: MuxedStreamError when the stream is closed, and when the other end takes nothing."""
        rest = memoryview(data)
        while rest:
            await self._wait_for_window()
            part = rest[: min(self._sendable, MAX_WRITE_BYTES)]
            rest = rest[len(part) :]
            self._sendable -= len(part)
            await self._frames.send_data(self, self._take_flags(), part)

    async def widen(self, window_bytes: int) -> None:
        """Let the other end be so far ahead of us, from now on: a small window makes a long way slow."""
        increment = window_bytes - self._window
        if increment > 0:
            self._window += increment
            self.receivable += increment
            await self._frames.send_window(self, self._take_flags(), increment)

    async def close(self) -> None:
        """End our direction; the other may go on."""
        if self._sending_closed:
            return
        self._end_sending()
        try:
            await self._frames.send_window(self, self._take_flags() | FIN, 0)
        except IOException:  # the connection is gone, and the stream with it
            self.break_off()
        await self._frames.note_closed(self)

    async def reset(self) -> None:
        """End both directions at once, and say so to the other end."""
        if self.is_over:
            return
        unknown = self._flags == SYN  # the other end has not heard of it
        self.break_off()
        try:
            if not unknown:
                await self._frames.send_window(self, self._take_flags() | RST, 0)
        except IOException:  # as in `close`
            return
        finally:
            await self._frames.note_closed(self)

    def set_deadline(self, ttl: int) -> None:
        raise NotImplementedError("the caller sets deadlines by a cancel scope")

    async def __aenter__(self) -> "YamuxStream":
        return self

    def get_remote_address(self) -> tuple[str, int] | None:
        return None

    # For the connection

    def receive(self, data: memoryview) -> int:
        """Keep what came in, and return how much of it; the connection has compared it with `receivable`."""
        self.receivable -= len(data)
        if self._is_reset:
            return 0
        self._unread += data
        self._readers.unpark_all()
        return len(data)

    def widen_sending(self, increment: int) -> None:
        self._sendable += increment
        self._writers.unpark_all()

    def end_receiving(self) -> None:
        self._receiving_closed = True
        self._readers.unpark_all()

    def break_off(self) -> None:
        """Fail everything that is under way on it."""
        self._is_reset = True
        self._frames.note_taken(self, len(self._unread))
        self._unread.clear()
        self._end_sending()
        self.end_receiving()

    def _end_sending(self) -> None:
        if not self._sending_closed:
            self._sending_closed = True
            self._writers.unpark_all()
            self._on_end()

    async def _wait_for_data(self) -> None:
        while not self._unread:
            if self._is_reset:
                raise MuxedStreamReset("the stream was reset")
            if self._receiving_closed:
                raise MuxedStreamEOF("the other end has closed the stream")
            await self._readers.park()

    async def _wait_for_window(self) -> None:
        with trio.move_on_after(STALL_S):
            while not self._sendable and not self._sending_closed:
                await self._writers.park()
        if self._is_reset:
            raise MuxedStreamReset("the stream was reset")
        if self._sending_closed:
            raise MuxedStreamError("the stream is closed for sending")
        if not self._sendable:
            raise MuxedStreamError(f"the other end has taken nothing for {STALL_S:g} s")

    async def _grant(self) -> None:
        """Let the other end send as much again as was read, once that is half of the window."""
        taken = self._window - self.receivable - len(self._unread)
        if 2 * taken < self._window or self._receiving_closed:
            return
        self.receivable += taken
        try:
            await self._frames.send_window(self, self._take_flags(), taken)
        except IOException:
            return  # the connection is gone; what was read before is good

    def _take_flags(self) -> int:
        flags, self._flags = self._flags, 0
        return flags


def muxed_stream(stream: INetStream) -> YamuxStream:
    """Return what is under a stream of the swarm: it reads without copies, and without the locks of the layer above."""
    assert isinstance(stream, NetStream), "the swarm makes such streams"
    assert isinstance(stream.muxed_stream, YamuxStream), "there is no other muxer"
    return stream.muxed_stream
