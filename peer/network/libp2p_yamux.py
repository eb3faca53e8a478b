"""Yamux: many streams over one connection, each with a window that bounds what it may leave unread here.

In place of py-libp2p 0.8.1's own. That one takes in more than the window it announced, so a peer can fill the memory.
It looks every 10 ms whether it may go on writing, answers each read with a frame, formats six log lines a frame that
nobody reads, and runs two more tasks for each connection. The wire is that of the specification
(github.com/hashicorp/yamux/blob/master/spec.md), so either may be at the other end.
"""

import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import trio
from libp2p.abc import IMuxedConn, ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamError
from multiaddr import Multiaddr

from peer.errors import ProtocolError
from peer.network.libp2p_session import NoiseSession
from peer.network.libp2p_yamux_frames import (
    DATA,
    GO_AWAY,
    HEADER,
    NORMAL_TERMINATION,
    PING,
    VERSION,
    WINDOW_UPDATE,
    FrameReader,
    data_messages,
)
from peer.network.libp2p_yamux_stream import ACK, FIN, RST, SYN, YamuxStream

PROTOCOL_ID = TProtocol("/yamux/1.0.0")
MAX_HALF_CLOSED = 256
"""Streams that we have closed and the other end has not; beyond it the oldest is reset."""

MAX_UNREAD_BYTES = 4 * 1024 * 1024
"""On streams of the other end, together: 16 windows. Handlers read at once, so an honest peer has little unread."""

PIECES_AT_ONCE = 5
"""Of what is in the socket, taken in before others have their turn: a delta of a million bytes comes in one step."""

STRAY_BYTES = 256 * 1024
"""Of data that nobody reads, charged at a time. What is under way when a pull is given up is 4 MiB at most."""

PIECE_BYTES = 1024
"""Received for each frame, and each message of the session, that is not charged: a small one takes as long to look at
as a large one, and thousands fit into what is read at once."""

PIECES_CHARGED = 256
"""At a time."""

LEAST_INCREMENT = 1024
"""Of a window, without flags; whoever widens by less sends many frames for few bytes."""

_MAX_PINGS = 16
"""That wait for an answer; of more than that the oldest get none."""

_MAX_OWN_STREAMS = 256


class YamuxConnection(IMuxedConn):
    """Runs in `start`. A breach of the protocol by the other end, or an error of its socket, ends the connection."""

    def __init__(self, secured: ISecureConn, peer_id: ID, *, serve: Callable[[YamuxStream], Awaitable[None]]) -> None:
        """serve: what to do with each stream that the other end opens, in a task of its own; it must not raise."""
        assert isinstance(secured, NoiseSession), "frames are read without copies"
        self._secured = secured
        self._serve = serve
        self.peer_id = peer_id
        self.event_started = trio.Event()
        self.on_close: Callable[[], Awaitable[None] | None] | None = None
        """Called once, at the end; the swarm sets it."""
        self.admits_stray: Callable[[int], bool] = lambda _size: True
        """Asked of frames that bring nothing to a stream, and of so many bytes of theirs; the transport sets it. It
        ends the connection of who goes on."""
        self.admits_pieces: Callable[[int], bool] = lambda _count: True
        """Asked of so many frames and messages that are small; as `admits_stray`."""
        self._charged = 0
        self._stray = 0
        self.heard_goodbye = False
        """Whether the other end has said that it stops."""
        self.breach: str | None = None
        """What we have ended it for, if the other end broke the protocol."""
        self._is_closed = False
        self._streams: dict[int, YamuxStream] = {}
        self._half_closed: dict[int, YamuxStream] = {}
        self._unread = 0
        self._next_id = 1 if secured.is_initiator else 2
        self._own_streams = trio.Semaphore(_MAX_OWN_STREAMS)
        self._closed = trio.Event()
        self._writing = trio.Lock()
        self._nursery: trio.Nursery | None = None
        self._pings: deque[int] = deque(maxlen=_MAX_PINGS)
        self._answering = False
        self._reader = FrameReader(self._begin_frame, self._take_data)
        self._body: tuple[YamuxStream | None, int] = None, 0
        """Of a frame of data that is not whole: its stream, None when that is not kept, and its flags."""

    @property
    def is_initiator(self) -> bool:
        return self._secured.is_initiator

    @property
    def has_room(self) -> bool:
        """Whether `open_stream` need not wait for another stream to end."""
        return self._own_streams.value > 0

    @property
    def is_established(self) -> bool:
        return self.event_started.is_set() and not self._is_closed

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    async def start(self) -> None:
        """Serve the connection until it ends."""
        self.event_started.set()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                await self._take_frames()
            finally:
                self._nursery = None
                await self.close()  # so that whoever serves a stream learns that it is over

    async def say_goodbye(self) -> None:
        """Tell the other end that this process stops, and wait until it has hung up; it may take its time.

        Whoever closes a socket with something unread in it takes back what has not arrived yet.
        """
        try:
            await self._send((HEADER.pack(VERSION, GO_AWAY, 0, 0, NORMAL_TERMINATION),))
        except IOException:
            return  # it is gone
        await self._closed.wait()

    async def close(self) -> None:
        """End the connection at once; what is under way on its streams fails."""
        if self._is_closed:
            return
        self._is_closed = True
        for stream in self._streams.values():
            stream.break_off()
        self._streams.clear()
        self._half_closed.clear()
        self._closed.set()
        with trio.CancelScope(shield=True):  # neither waits for the other end
            await self._secured.close()
            closing = None if self.on_close is None else self.on_close()
            if inspect.isawaitable(closing):
                await closing

    async def open_stream(self) -> YamuxStream:
        """Return a new stream; the other end hears of it by what is first written to it."""
        try:
            self._own_streams.acquire_nowait()  # as in `_send`
        except trio.WouldBlock:
            await self._own_streams.acquire()
        if self._is_closed:
            self._own_streams.release()
            raise MuxedStreamError("the connection is closed")
        stream = YamuxStream(self, self, self._next_id, first_flags=SYN, on_end=self._own_streams.release)
        self._next_id += 2
        self._streams[stream.stream_id] = stream
        return stream

    async def accept_stream(self) -> YamuxStream:
        """Wait for the end: `serve` is told of streams, without the tasks and locks of the layers above.

        Raises: MuxedConnUnavailable when the connection is closed.
        """
        await self._closed.wait()
        raise MuxedConnUnavailable("the connection is closed")

    def get_transport_addresses(self) -> list[Multiaddr]:
        return self._secured.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        return self._secured.get_connection_type()

    def get_remote_address(self) -> tuple[str, int] | None:
        return self._secured.get_remote_address()

    # For its streams

    async def send_data(
        self, stream: YamuxStream, flags: int, data: memoryview, *, before: bytes = b"", increment: int = 0
    ) -> None:
        """Send one frame with `before` and `data`, of MAX_WRITE_BYTES at most together. Raises: ConnectionClosedError.

        increment: of the window; the other end is told first.
        """
        await self._send(data_messages(stream.stream_id, flags, before, data, increment))

    def send_data_now(
        self, stream: YamuxStream, flags: int, data: memoryview, *, before: bytes = b"", increment: int = 0
    ) -> bool:
        """As `send_data`, unless it would have to wait for other writers or a full socket, or the connection is broken.

        Return whether it was sent.
        """
        if self._nursery is None or self._writing.locked() or self._secured.has_unsent:
            return False
        try:
            if not self._secured.write_messages_now(data_messages(stream.stream_id, flags, before, data, increment)):
                self._nursery.start_soon(self._flush)
        except IOException:
            return False  # whoever reads or writes next will find out, too
        return True

    async def send_window(self, stream: YamuxStream, flags: int, increment: int) -> None:
        """Send a window update, or flags alone. Raises: ConnectionClosedError."""
        await self._send((HEADER.pack(VERSION, WINDOW_UPDATE, flags, stream.stream_id, increment),))

    def note_taken(self, stream: YamuxStream, count: int) -> None:
        """So many bytes of a stream have been read, or thrown away."""
        if stream.is_theirs:
            self._unread -= count

    async def note_closed(self, stream: YamuxStream) -> None:
        """Our end is closed: forget the stream if the other's is, too; it is not to keep it open for ever."""
        if stream.is_over:
            self._forget(stream)
        elif self._streams.get(stream.stream_id) is stream:
            self._half_closed[stream.stream_id] = stream
            if len(self._half_closed) > MAX_HALF_CLOSED:
                await next(iter(self._half_closed.values())).reset()

    async def _send(self, messages: Iterable[bytes | memoryview]) -> None:
        try:
            self._writing.acquire_nowait()  # nearly always free; `acquire` would take a turn of the event loop even so
        except trio.WouldBlock:
            await self._writing.acquire()
        try:
            await self._secured.write_messages(messages)
        finally:
            self._writing.release()

    async def _flush(self) -> None:
        """Send what the socket had no room for, whether or not anybody writes after it."""
        async with self._writing:
            try:
                await self._secured.flush()
            except IOException:
                return  # the reader will find out, too

    def _forget(self, stream: YamuxStream) -> None:
        if self._streams.get(stream.stream_id) is stream:
            del self._streams[stream.stream_id]
            self._half_closed.pop(stream.stream_id, None)

    # Reading

    async def _take_frames(self) -> None:
        """Return when the connection is over, whichever end is to blame; the swarm is told by `on_close`."""
        reader = self._reader
        try:
            while True:
                reader.begin_turn()
                may_be_more, pieces = await self._secured.receive(reader.take), 1
                while self._charge() and may_be_more and pieces < PIECES_AT_ONCE and not reader.has_put_off:
                    may_be_more = self._secured.receive_now(reader.take)
                    pieces += 1
                while reader.has_put_off and not self._is_closed:
                    await trio.lowlevel.checkpoint()
                    reader.begin_turn()
                    reader.take_put_off()
                    self._charge()
        except ProtocolError as error:
            self.breach = f"it broke the protocol: {error.detail}"
        except (IOException, _GoneAwayError):
            return

    def _begin_frame(self, kind: int, flags: int, stream_id: int, length: int) -> bool:
        """Take a header; return whether `length` bytes of data follow."""
        if kind in (DATA, WINDOW_UPDATE):
            return self._begin_stream_frame(kind, flags, stream_id, length)
        if kind == PING:
            if self.admits_stray(0) and flags & SYN:
                self._note_ping(length)
        elif kind == GO_AWAY:
            self.heard_goodbye = length == NORMAL_TERMINATION
            raise _GoneAwayError
        else:
            raise ProtocolError("yamux_type", f"frame of type {kind}")
        return False

    def _begin_stream_frame(self, kind: int, flags: int, stream_id: int, length: int) -> bool:
        if flags & SYN:
            self._check_new(stream_id)
            self._streams[stream_id] = YamuxStream(self, self, stream_id, first_flags=ACK)
        stream = self._streams.get(stream_id)  # None: what was under way when we had reset it
        if stream is None or (kind == WINDOW_UPDATE and length < LEAST_INCREMENT and not flags):
            self.admits_stray(0)
        if kind == DATA and stream is not None and length > stream.receivable:
            raise ProtocolError("yamux_window", f"{length} bytes where {stream.receivable} were allowed")
        if kind == DATA and length:
            self._body = stream, flags
            return True
        if kind == WINDOW_UPDATE and stream is not None:
            stream.widen_sending(length)
        self._end_stream_frame(stream, flags)
        return False

    def _take_data(self, part: memoryview, missing: int) -> None:
        """Take some of a frame's data. missing: bytes of it that have not come; 0: the frame is whole."""
        stream, flags = self._body
        if stream is None or stream.is_deaf:
            self._note_stray(len(part))
        if stream is not None and (kept := stream.receive(part)) and stream.is_theirs:
            self._unread += kept
            if self._unread > MAX_UNREAD_BYTES:
                raise ProtocolError("yamux_unread", f"{self._unread} bytes that nobody reads")
        if not missing:
            self._end_stream_frame(stream, flags)

    def _end_stream_frame(self, stream: YamuxStream | None, flags: int) -> None:
        if stream is None:
            return
        if flags & RST:
            if stream.is_theirs:
                self._note_stray(stream.unread_bytes)
            stream.break_off()
            self._forget(stream)
        elif flags & FIN:
            stream.end_receiving()
            if stream.is_over:
                self._forget(stream)
        if flags & SYN:
            self._start(self._serve, stream)

    def _charge(self) -> bool:
        """Have what has come in charged, if it came in small pieces; return whether others need not have their turn."""
        pieces = self._secured.received_messages + self._reader.frames
        surplus = pieces - self._secured.received_bytes // PIECE_BYTES - self._charged
        if surplus < 0:
            self._charged += surplus  # large pieces earn nothing
        admitted = True
        while surplus >= PIECES_CHARGED:
            surplus -= PIECES_CHARGED
            self._charged += PIECES_CHARGED
            admitted = self.admits_pieces(PIECES_CHARGED) and admitted
        return admitted

    def _note_stray(self, count: int) -> None:
        self._stray += count
        while self._stray >= STRAY_BYTES:
            self._stray -= STRAY_BYTES
            self.admits_stray(STRAY_BYTES)

    def _check_new(self, stream_id: int) -> None:
        theirs = stream_id != 0 and (stream_id % 2 == 0) == self._secured.is_initiator
        if not theirs or stream_id in self._streams:
            raise ProtocolError("yamux_stream", f"{stream_id} is no number for a new stream of theirs")

    def _note_ping(self, number: int) -> None:
        self._pings.append(number)
        if not self._answering:
            self._answering = True
            self._start(self._answer_pings)

    def _start(self, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        assert self._nursery is not None, "frames are taken while it is open"
        self._nursery.start_soon(task, *arguments)

    async def _answer_pings(self) -> None:
        """In a task of its own: were it to wait for the socket, the reader would, and both ends for each other."""
        try:
            while self._pings:
                await self._send((HEADER.pack(VERSION, PING, ACK, 0, self._pings.popleft()),))
        except IOException:
            return  # the reader will find out, too
        finally:
            self._answering = False


def muxer_of(conn: SwarmConn) -> YamuxConnection:
    """Return what is under a connection of the swarm: streams of ours need nothing of what that keeps of each."""
    assert isinstance(conn.muxed_conn, YamuxConnection), "there is no other muxer"
    return conn.muxed_conn


class _GoneAwayError(Exception):
    """The other end takes no part in this connection any more."""
