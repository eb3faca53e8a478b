"""Frames of Yamux on the wire: as they are written, and found again in what comes in, however it is cut.

github.com/hashicorp/yamux/blob/master/spec.md
"""

from collections import deque
from collections.abc import Callable, Iterator
from struct import Struct

from peer.errors import ProtocolError
from peer.network.libp2p_session import MAX_PLAINTEXT_BYTES
from peer.network.libp2p_yamux_stream import FIN, HEADER_BYTES

HEADER = Struct("!BBHII")  # version, type, flags, stream, length
assert HEADER.size == HEADER_BYTES
VERSION = 0
DATA, WINDOW_UPDATE, PING, GO_AWAY = range(4)
NORMAL_TERMINATION = 0
"""Of a goodbye; other codes say what has gone wrong."""

FRAMES_AT_ONCE = 32
"""Of one connection, before others have their turn: thousands of small ones may have come in one piece."""


class FrameReader:
    """Finds the frames in what comes in. What is beyond FRAMES_AT_ONCE in a turn is put off, however much it is."""

    def __init__(
        self, begin: Callable[[int, int, int, int], bool], take_data: Callable[[memoryview, int], None]
    ) -> None:
        """begin: given kind, flags, stream and length of each frame; returns whether so many bytes of data follow.

        take_data: given these as they come, and how many of the frame's are missing then.
        """
        self._begin = begin
        self._take_data = take_data
        self._head = b""  # of a frame whose header is not whole
        self._missing = 0  # bytes of data of the present frame
        self._frames_left = 0
        self.frames = 0
        """Begun so far."""
        self._put_off: deque[memoryview] = deque()

    @property
    def has_put_off(self) -> bool:
        """Whether something has come in that was not looked at; nothing new is before that is."""
        return bool(self._put_off)

    def begin_turn(self) -> None:
        """Take FRAMES_AT_ONCE more: others have had their turn."""
        self._frames_left = FRAMES_AT_ONCE

    def take(self, data: memoryview) -> None:
        """Take what comes next. Raises: ProtocolError; what `begin` and `take_data` raise."""
        if self._put_off:
            self._put_off.append(data)
        else:
            self._take_now(data)

    def take_put_off(self) -> None:
        """Take what was put off, as far as this turn goes. Raises: as `take`."""
        while self._put_off and self._frames_left:
            self._take_now(self._put_off.popleft())

    def _take_now(self, data: memoryview) -> None:
        while data:
            if self._missing:
                part = data[: self._missing]
                self._missing -= len(part)
                self._take_data(part, self._missing)
                data = data[len(part) :]
            elif not self._frames_left:
                self._put_off.appendleft(data)
                return
            else:
                data = self._take_header(data)

    def _take_header(self, data: memoryview) -> memoryview:
        """Return what is behind it; nothing when it is not whole."""
        lacking = HEADER.size - len(self._head)
        if len(data) < lacking:
            self._head += data
            return data[:0]
        version, kind, flags, stream_id, length = HEADER.unpack(self._head + data[:lacking])
        self._head = b""
        self._frames_left -= 1
        self.frames += 1
        if version != VERSION:
            raise ProtocolError("yamux_version", f"frame of version {version}")
        self._missing = length if self._begin(kind, flags, stream_id, length) else 0
        return data[lacking:]


def data_messages(
    stream_id: int, flags: int, before: bytes, data: memoryview, increment: int
) -> Iterator[bytes | memoryview]:
    """Yield what to send, in messages of the session. What is large is not copied to come behind its header."""
    update = b""
    if increment:
        update = HEADER.pack(VERSION, WINDOW_UPDATE, flags & ~FIN, stream_id, increment)
        flags &= FIN
    head = HEADER.pack(VERSION, DATA, flags, stream_id, len(before) + len(data))
    start = MAX_PLAINTEXT_BYTES - len(update) - len(head) - len(before)
    yield b"".join((update, head, before, data[:start]))
    for begin in range(start, len(data), MAX_PLAINTEXT_BYTES):
        yield data[begin : begin + MAX_PLAINTEXT_BYTES]
