"""One stream of a Yamux connection: two directions, each with its window."""

from collections.abc import Callable
from typing import Protocol

import trio
from libp2p.abc import IMuxedConn, IMuxedStream, INetStream
from libp2p.io.exceptions import IOException
from libp2p.network.stream.net_stream import NetStream
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError, MuxedStreamReset

from peer.network.libp2p_session import MAX_PLAINTEXT_BYTES, MESSAGES_AT_ONCE
from peer.network.libp2p_tcp import STALL_S
from peer.types import Seconds

SYN, ACK, FIN, RST = 1, 2, 4, 8
INITIAL_WINDOW_BYTES = 256 * 1024
"""What either end may send unasked, by the specification."""

HEADER_BYTES = 12
MAX_WRITE_BYTES = MESSAGES_AT_ONCE * MAX_PLAINTEXT_BYTES - 2 * HEADER_BYTES
"""In one frame: together with its header, and a widened window's, it is one piece of the session."""

SMALL_BYTES = 64 * 1024
"""Up to here, who writes leaves what the socket has no room for to the connection, and does not wait for it."""

TURN_BYTES = 1024 * 1024
"""Written before others have their turn, where the socket has room for it."""

LEAST_TAKEN_BYTES = MAX_WRITE_BYTES
"""Of each write, in every `STALL_S`, or the writer gives up: a reader that takes a byte at a time would hold it for
ever."""


class Frames(Protocol):
    """The connection, as far as its streams need it."""

    async def send_data(
        self, stream: "YamuxStream", flags: int, data: memoryview, *, before: bytes, increment: int
    ) -> None: ...

    def send_data_now(
        self, stream: "YamuxStream", flags: int, data: memoryview, *, before: bytes, increment: int
    ) -> bool: ...

    async def send_window(self, stream: "YamuxStream", flags: int, increment: int) -> None: ...

    async def note_closed(self, stream: "YamuxStream") -> None: ...

    def note_taken(self, stream: "YamuxStream", count: int) -> None: ...


class Receiver(Protocol):
    """Takes what comes in on a stream, in the task that reads the connection."""

    @property
    def missing(self) -> int:
        """Return how many bytes may still have to come; 0: it has all that it waits for."""

    def feed(self, data: memoryview) -> None:
        """Take the next bytes; raise to have no more of them."""


class YamuxStream(IMuxedStream):
    """One stream of a `YamuxConnection`.

    first_flags: SYN or ACK, for whatever is sent first. on_end: called once, when it is closed or reset.

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
        self._held = b""
        self._increment = 0
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()
        self._sending_closed = self._receiving_closed = self._is_reset = self._is_left = self._is_deaf = False

    @property
    def is_over(self) -> bool:
        """Whether neither end will send anything any more."""
        return self._sending_closed and self._receiving_closed

    @property
    def is_deaf(self) -> bool:
        """Whether nobody reads what still comes: it was closed or reset here, or has stopped listening."""
        return self._is_deaf

    @property
    def has_unread(self) -> bool:
        return bool(self._unread)

    @property
    def unread_bytes(self) -> int:
        return len(self._unread)

    def peek(self, most: int) -> bytes:
        """Return what is here, at most so many bytes of it, and leave it."""
        return bytes(self._unread[:most])

    def take(self, most: int) -> bytes:
        """Return what is here, at most so many bytes of it, without waiting."""
        if most >= len(self._unread):
            part, self._unread = bytes(self._unread), bytearray()
        else:
            part = bytes(self._unread[:most])
            del self._unread[:most]
        self._frames.note_taken(self, len(part))
        return part

    async def read(self, n: int | None = None) -> bytes:
        """Return between 1 and `n` bytes. Raises: MuxedStreamEOF at the end, MuxedStreamReset."""
        if n == 0:
            return b""
        while not self._unread:
            await self._wait_for_more()
        part = self.take(len(self._unread) if n is None or n < 0 else n)
        if self._grantable():
            await self._grant()
        return part

    async def feed(self, receiver: Receiver) -> None:
        """Have all that comes handed to `receiver`, until it misses nothing more: without copies, and without waking us
        for each part. Raises: as `read`, when the stream ends before; what the receiver raises.
        """
        self._sink = sink = _Sink(receiver)
        here, self._unread = self._unread, bytearray()
        if here:
            self._frames.note_taken(self, len(here))
            sink.feed(memoryview(here))
        try:
            while not sink.is_done:
                await self._wait_for_more()
        finally:
            self._sink = None
        if sink.error is not None:
            raise sink.error

    async def write(self, data: bytes | bytearray | memoryview, *, is_last: bool = False) -> None:
        """Send everything. It waits for the other end to take it, and else yields to nobody.

        is_last: and close our direction with its end; the stream is left by `close` all the same.
        Raises: MuxedStreamError when the stream is closed, and when the other end takes too little of it.
        """
        if 0 < len(data) <= SMALL_BYTES and self.write_now(data, is_last=is_last):
            return
        rest, turn = memoryview(data), TURN_BYTES
        taken, due = 0, trio.current_time() + STALL_S
        while rest or self._held:
            least = len(self._held) + bool(rest)
            if self._sendable < least or self._sending_closed:
                await self._wait_for_window(least, due)
            before, increment = self._take_held(), self._take_increment()
            part = rest[: min(self._sendable, MAX_WRITE_BYTES) - len(before)]
            rest = rest[len(part) :]
            self._sendable -= len(before) + len(part)
            turn -= len(part)
            flags = self._take_flags() | (FIN if is_last and not rest else 0)
            await self._frames.send_data(self, flags, part, before=before, increment=increment)
            taken += len(before) + len(part)
            if taken >= LEAST_TAKEN_BYTES:
                taken, due = 0, trio.current_time() + STALL_S
            elif rest and trio.current_time() >= due:
                raise _too_slow()
            if rest and turn <= 0:
                turn = TURN_BYTES
                await trio.lowlevel.checkpoint()
        if is_last:
            self._end_sending()

    def write_now(self, data: bytes | bytearray | memoryview, *, is_last: bool = False) -> bool:
        """Send everything, if nothing has to be waited for; return whether it was so. If not, nothing has been sent."""
        part, size = memoryview(data), len(self._held) + len(data)
        if self._sending_closed or size > min(self._sendable, MAX_WRITE_BYTES):
            return False
        flags = self._flags | (FIN if is_last else 0)
        if not self._frames.send_data_now(self, flags, part, before=self._held, increment=self._increment):
            return False
        self._sendable -= size
        self._flags, self._increment, self._held = 0, 0, b""
        if is_last:
            self._end_sending()
        return True

    def hold(self, data: bytes) -> None:
        """Send a little with what is written next, or before we wait for what the other end sends; see `release`."""
        self._held += data

    def release(self) -> None:
        """Send what is held, unless that would have to wait: then it goes out with what is written next."""
        if self._held:
            self.write_now(b"")

    def widen(self, window_bytes: int) -> None:
        """Let the other end send so many bytes ahead of us from now on: a small window makes a long way slow.

        It is told with what is written next.
        """
        increment = max(0, window_bytes - self._window)
        self._window += increment
        self.receivable += increment
        self._increment += increment

    def stop_listening(self) -> None:
        """Keep nothing more of what the other end sends."""
        self._is_deaf = True
        self._frames.note_taken(self, len(self._unread))
        self._unread.clear()

    async def close(self) -> None:
        """End our direction; the other may go on, with nobody to read it: nothing of it is kept."""
        if self._is_left:
            return
        self._leave()
        if not self._sending_closed:
            try:
                if self._held:
                    await self.write(b"")
                self._end_sending()
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
        if self._is_deaf:
            return 0
        if (sink := self._sink) is None:
            self._unread += data
            _wake(self._readers)
            return len(data)
        sink.feed(data)
        if sink.is_done or self._grantable():
            _wake(self._readers)
        return 0

    def widen_sending(self, increment: int) -> None:
        self._sendable += increment
        _wake(self._writers)

    def end_receiving(self) -> None:
        self._receiving_closed = True
        _wake(self._readers)

    def break_off(self) -> None:
        """Fail everything that is under way on it."""
        self._is_reset = True
        self._end_sending()
        self.end_receiving()
        self._leave()

    def _end_sending(self) -> None:
        self._sending_closed = True
        _wake(self._writers)

    def _leave(self) -> None:
        if not self._is_left:
            self._is_left = True
            self.stop_listening()
            self._on_end()

    async def _wait_for_more(self) -> None:
        """Return when something has changed; before that, what the other end may wait for has been sent."""
        self._check_receiving()
        if self._held:
            await self.write(b"")
        elif self._grantable():
            await self._grant()
        else:
            await self._readers.park()

    def _check_receiving(self) -> None:
        if self._is_reset:
            raise MuxedStreamReset("the stream was reset")
        if self._receiving_closed:
            raise MuxedStreamEOF("the other end has closed the stream")

    async def _wait_for_window(self, least: int, due: Seconds) -> None:
        with trio.move_on_at(due):
            while self._sendable < least and not self._sending_closed:
                await self._writers.park()
        if self._is_reset:
            raise MuxedStreamReset("the stream was reset")
        if self._sending_closed:
            raise MuxedStreamError("the stream is closed for sending")
        if self._sendable < least:
            raise _too_slow()

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
        if 2 * taken < self._window or self._receiving_closed:
            return 0
        return 0 if self._sink is not None and self._sink.missing <= self.receivable else taken

    def _take_flags(self) -> int:
        flags, self._flags = self._flags, 0
        return flags

    def _take_held(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def _take_increment(self) -> int:
        increment, self._increment = self._increment, 0
        return increment


class _Sink:
    """A receiver whose errors end neither the connection nor the task that reads it.

    error: what it has raised; from then on it gets no more.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.error: Exception | None = None
        self._receiver = receiver

    @property
    def missing(self) -> int:
        return self._receiver.missing

    @property
    def is_done(self) -> bool:
        return self.error is not None or not self._receiver.missing

    def feed(self, data: memoryview) -> None:
        if self.error is None:
            try:
                self._receiver.feed(data)
            except Exception as error:  # it is not to end the connection that brings the bytes
                self.error = error


def _too_slow() -> MuxedStreamError:
    return MuxedStreamError(f"the other end has taken less than {LEAST_TAKEN_BYTES} bytes in {STALL_S:g} s")


def _wake(waiting: trio.lowlevel.ParkingLot) -> None:
    """Mostly nobody waits, which is quicker to see than to act on."""
    if waiting:
        waiting.unpark_all()


def muxed_stream(stream: INetStream) -> YamuxStream:
    """Return what is under a stream of the swarm: it reads without copies, and without the locks of the layer above."""
    assert isinstance(stream, NetStream), "the swarm makes such streams"
    assert isinstance(stream.muxed_stream, YamuxStream), "there is no other muxer"
    return stream.muxed_stream
