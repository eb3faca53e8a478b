"""Yamux: many streams over one connection, each with a window that bounds what it may leave unread here.

In place of py-libp2p 0.8.1's own, which takes in more than the window it announced (a peer can fill the memory), looks
every 10 ms whether it may go on writing, answers each read with a frame, formats six log lines a frame that nobody
reads, and runs two more tasks for each connection. The wire is that of the specification
(github.com/hashicorp/yamux/blob/master/spec.md), so either may be at the other end.
"""

import inspect
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from struct import Struct

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
from peer.network.libp2p_yamux_stream import ACK, FIN, MAX_FRAME_BYTES, RST, SYN, YamuxStream

PROTOCOL_ID = TProtocol("/yamux/1.0.0")
HEADER = Struct("!BBHII")  # version, type, flags, stream, length
VERSION = 0
DATA, WINDOW_UPDATE, PING, GO_AWAY = range(4)

MAX_HALF_CLOSED = 256
"""Streams that we have closed and the other end has not; beyond it the oldest is reset."""

MAX_UNREAD_BYTES = 4 * 1024 * 1024
"""On streams of the other end, together: 16 windows. Handlers read at once, so an honest peer has little unread."""

FRAMES_AT_ONCE = 32
"""Of one connection, before others have their turn: thousands of small ones may have come in one piece."""

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
        self._is_closed = False
        self._streams: dict[int, YamuxStream] = {}
        self._half_closed: dict[int, YamuxStream] = {}
        self._unread = 0
        self._next_id = 1 if secured.is_initiator else 2
        self._own_streams = trio.Semaphore(_MAX_OWN_STREAMS)
        self._closed = trio.Event()
        self._writing = trio.Lock()
        self._pings: deque[int] = deque(maxlen=_MAX_PINGS)
        self._answering = False

    @property
    def is_initiator(self) -> bool:
        return self._secured.is_initiator

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
            try:
                await self._take_frames(nursery)
            finally:
                await self.close()  # so that whoever serves a stream learns that it is over

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

    async def send_data(self, stream: YamuxStream, flags: int, data: memoryview, *, last_flags: int) -> None:
        """Send as many frames as `data` takes. Raises: ConnectionClosedError.

        flags: for the first frame. last_flags: for the last one.
        """
        await self._send(_data_frames(stream.stream_id, flags, data, last_flags))

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

    async def _send(self, frames: Iterable[bytes]) -> None:
        try:
            self._writing.acquire_nowait()  # nearly always free; `acquire` would take a turn of the event loop even so
        except trio.WouldBlock:
            await self._writing.acquire()
        try:
            await self._secured.write_messages(frames)
        finally:
            self._writing.release()

    def _forget(self, stream: YamuxStream) -> None:
        if self._streams.get(stream.stream_id) is stream:
            del self._streams[stream.stream_id]
            self._half_closed.pop(stream.stream_id, None)

    # Reading

    async def _take_frames(self, nursery: trio.Nursery) -> None:
        """Return when the connection is over, whichever end is to blame; the swarm is told by `on_close`."""
        try:
            for taken in itertools.count(1):
                await self._take_frame(nursery)
                if taken % FRAMES_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
        except (IOException, ProtocolError, _GoneAwayError):
            return

    async def _take_frame(self, nursery: trio.Nursery) -> None:
        version, kind, flags, stream_id, length = HEADER.unpack(await self._secured.read_exactly(HEADER.size))
        if version != VERSION:
            raise ProtocolError("yamux_version", f"frame of version {version}")
        if kind in (DATA, WINDOW_UPDATE):
            await self._take_stream_frame(nursery, kind, flags, stream_id, length)
        elif kind == PING:
            if flags & SYN:
                self._pings.append(length)
                if not self._answering:
                    self._answering = True
                    nursery.start_soon(self._answer_pings)
        elif kind == GO_AWAY:
            raise _GoneAwayError
        else:
            raise ProtocolError("yamux_type", f"frame of type {kind}")

    async def _take_stream_frame(
        self, nursery: trio.Nursery, kind: int, flags: int, stream_id: int, length: int
    ) -> None:
        if flags & SYN:
            self._check_new(stream_id)
            self._streams[stream_id] = YamuxStream(self, self, stream_id, first_flags=ACK)
        stream = self._streams.get(stream_id)
        if kind == DATA:
            await self._take_data(stream, length)
        elif stream is not None:
            stream.widen_sending(length)
        if stream is None:
            return  # what was under way when we had reset it
        if flags & RST:
            stream.break_off()
            self._forget(stream)
        elif flags & FIN:
            stream.end_receiving()
            if stream.is_over:
                self._forget(stream)
        if flags & SYN:
            nursery.start_soon(self._serve, stream)

    def _check_new(self, stream_id: int) -> None:
        theirs = stream_id != 0 and (stream_id % 2 == 0) == self._secured.is_initiator
        if not theirs or stream_id in self._streams:
            raise ProtocolError("yamux_stream", f"{stream_id} is no number for a new stream of theirs")

    async def _take_data(self, stream: YamuxStream | None, length: int) -> None:
        if stream is not None and length > stream.receivable:
            raise ProtocolError("yamux_window", f"{length} bytes where {stream.receivable} were allowed")
        while length:
            part = await self._secured.read_some(length)
            length -= len(part)
            if stream is not None:
                self._keep(stream, part)

    def _keep(self, stream: YamuxStream, part: memoryview) -> None:
        kept = stream.receive(part)
        if stream.is_theirs:
            self._unread += kept
            if self._unread > MAX_UNREAD_BYTES:
                raise ProtocolError("yamux_unread", f"{self._unread} bytes that nobody reads")

    async def _answer_pings(self) -> None:
        """In a task of its own: were it to wait for the socket, the reader would, and both ends for each other."""
        try:
            while self._pings:
                await self._send((HEADER.pack(VERSION, PING, ACK, 0, self._pings.popleft()),))
        except IOException:
            return  # the reader will find out, too
        finally:
            self._answering = False


def _data_frames(stream_id: int, flags: int, data: memoryview, last_flags: int) -> Iterator[bytes]:
    for start in range(0, len(data), MAX_FRAME_BYTES):
        part = data[start : start + MAX_FRAME_BYTES]
        if start + len(part) == len(data):
            flags |= last_flags
        yield b"".join((HEADER.pack(VERSION, DATA, flags, stream_id, len(part)), part))
        flags = 0


def muxer_of(conn: SwarmConn) -> YamuxConnection:
    """Return what is under a connection of the swarm: streams of ours need nothing of what that keeps of each."""
    assert isinstance(conn.muxed_conn, YamuxConnection), "there is no other muxer"
    return conn.muxed_conn


class _GoneAwayError(Exception):
    """The other end has said goodbye."""
