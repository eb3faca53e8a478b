"""One stream of a Yamux connection: two directions, each with its window."""

from collections.abc import Callable
from typing import Protocol

import trio
from libp2p.abc import IMuxedConn, IMuxedStream, INetStream
from libp2p.io.exceptions import IOException
from libp2p.network.stream.net_stream import NetStream
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError, MuxedStreamReset

from peer.network.libp2p_session import MAX_PLAINTEXT_BYTES
from peer.network.transport import Content
from peer.types import Seconds

SYN, ACK, FIN, RST = 1, 2, 4, 8
INITIAL_WINDOW_BYTES = 256 * 1024
"""What either end may send unasked, by the specification."""

HEADER_BYTES = 12
MAX_FRAME_BYTES = MAX_PLAINTEXT_BYTES - HEADER_BYTES
"""One frame in one Noise message; py-libp2p's are 17 bytes longer, and so take two."""

MAX_WRITE_BYTES = 4 * MAX_FRAME_BYTES
"""Written before others have their turn, where the socket has room for it: one piece of the session."""

STALL_S: Seconds = 10.0
"""How long a writer waits for a reader that takes nothing."""


class Frames(Protocol):
    """The connection, as far as its streams need it."""

    async def send_data(self, stream: "YamuxStream", flags: int, data: memoryview, *, last_flags: int) -> None: ...

    async def send_window(self, stream: "YamuxStream", flags: int, increment: int) -> None: ...

    async def note_closed(self, stream: "YamuxStream") -> None: ...

    def note_taken(self, stream: "YamuxStream", count: int) -> None: ...


class YamuxStream(IMuxedStream):
    """first_flags: SYN or ACK, for whatever is sent first. on_end: called once, when it is closed or reset.

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
        self._sink: _Sink | None = None
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()
        self._sending_closed = self._receiving_closed = self._is_reset = self._is_left = False

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

    async def pour(self, size: int, take: Callable[[Content], object]) -> None:
        """Hand the next `size` bytes to `take`, as they come: without copies, and without waking us for each part.

        Raises: as `read`, when they do not come; what `take` raises.
        """
        self._sink = sink = _Sink(size, take)
        here = self._unread
        self._unread = bytearray(sink.pour(memoryview(here)))
        self._frames.note_taken(self, len(here) - len(self._unread))
        try:
            while not sink.is_done:
                self._check_receiving()
                await self._grant()
                await self._readers.park()
        finally:
            self._sink = None
        if sink.error is not None:
            raise sink.error

    async def write(self, data: bytes | bytearray | memoryview, *, is_last: bool = False) -> None:
        """Send everything. It waits for the other end to take it, and else yields to nobody.

        is_last: and close our direction with its end; the stream is left by `close` all the same.
        Raises: MuxedStreamError when the stream is closed, and when the other end takes nothing.
        """
        rest = memoryview(data)
        while rest:
            if not self._sendable or self._sending_closed:
                await self._wait_for_window()
            part = rest[: min(self._sendable, MAX_WRITE_BYTES)]
            rest = rest[len(part) :]
            self._sendable -= len(part)
            last_flags = FIN if is_last and not rest else 0
            await self._frames.send_data(self, self._take_flags(), part, last_flags=last_flags)
            if rest:
                await trio.lowlevel.checkpoint()
        if is_last:
            self._end_sending()

    async def widen(self, window_bytes: int) -> None:
        """Let the other end be so far ahead of us, from now on: a small window makes a long way slow."""
        increment = window_bytes - self._window
        if increment > 0:
            self._window += increment
            self.receivable += increment
            await self._frames.send_window(self, self._take_flags(), increment)

    async def close(self) -> None:
        """End our direction; the other may go on, with nobody to read it."""
        if self._is_left:
            return
        self._leave()
        if not self._sending_closed:
            self._end_sending()
            try:
                await self._frames.send_window(self, self._take_flags() | FIN, 0)
            except IOException:  # the connection is gone, and the stream with it
                self.break_off()
        await self._frames.note_closed(self)

    async def reset(self) -> None:
        """End both directions at once, and say so to the other end."""
        if self.is_over:
            self._leave()
            await self._frames.note_closed(self)
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
        if self._sink is not None:
            data = self._sink.pour(data)
        self._unread += data
        if self._sink is None or self._sink.is_done or self._grantable():
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
        self._leave()

    def _end_sending(self) -> None:
        self._sending_closed = True
        self._writers.unpark_all()

    def _leave(self) -> None:
        if not self._is_left:
            self._is_left = True
            self._on_end()

    async def _wait_for_data(self) -> None:
        while not self._unread:
            self._check_receiving()
            await self._readers.park()

    def _check_receiving(self) -> None:
        if self._is_reset:
            raise MuxedStreamReset("the stream was reset")
        if self._receiving_closed:
            raise MuxedStreamEOF("the other end has closed the stream")

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
        taken = self._grantable()
        if not taken:
            return
        self.receivable += taken
        try:
            await self._frames.send_window(self, self._take_flags(), taken)
        except IOException:
            return  # the connection is gone; what was read before is good

    def _grantable(self) -> int:
        """Return by how much to widen the window now; 0: there is time, or nothing more to come."""
        taken = self._window - self.receivable - len(self._unread)
        is_enough = self._sink is not None and self._sink.missing <= self.receivable
        return 0 if 2 * taken < self._window or self._receiving_closed or is_enough else taken

    def _take_flags(self) -> int:
        flags, self._flags = self._flags, 0
        return flags


class _Sink:
    """Where the next bytes of a stream go. missing: how many have not come. error: what `take` has raised; it gets no
    more then."""

    def __init__(self, size: int, take: Callable[[Content], object]) -> None:
        self.missing = size
        self.error: Exception | None = None
        self._take = take

    @property
    def is_done(self) -> bool:
        return not self.missing or self.error is not None

    def pour(self, data: memoryview) -> memoryview:
        """Take what is missing, and return the rest."""
        part, rest = data[: self.missing], data[self.missing :]
        self.missing -= len(part)
        if part and self.error is None:
            try:
                self._take(part)
            except Exception as error:  # it is not to end the connection that brings the bytes
                self.error = error
        return rest


def muxed_stream(stream: INetStream) -> YamuxStream:
    """Return what is under a stream of the swarm: it reads without copies, and without the locks of the layer above."""
    assert isinstance(stream, NetStream), "the swarm makes such streams"
    assert isinstance(stream.muxed_stream, YamuxStream), "there is no other muxer"
    return stream.muxed_stream
