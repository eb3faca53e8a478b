"""The frames of gossip: a length of 4 bytes, big endian, a kind of 1 byte, and what the kind says.

MESSAGE   a published message, at most MAX_GOSSIP_BYTES
HAVE      names of messages that the sender can hand over, 16 bytes each
WANT      names of messages that the sender asks for
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NewType

from peer.errors import ProtocolError
from peer.network.transport import MAX_GOSSIP_BYTES, Content

__all__ = [
    "MAX_NAMES",
    "MAX_WANTED",
    "Frame",
    "FrameReader",
    "Kind",
    "MessageId",
    "encode_message",
    "encode_names",
    "message_id",
]

HEADER_BYTES = 5
NAME_BYTES = 16
MAX_NAMES = 1024
"""In a HAVE: a large swarm's round, told at once."""

MAX_WANTED = 64
"""In a WANT: what they name is answered with one message each."""

MessageId = NewType("MessageId", bytes)
"""The first 16 bytes of the message's SHA-256: equal bytes are one message, whoever publishes them."""


class Kind(IntEnum):
    MESSAGE = 1
    HAVE = 2
    WANT = 3


_MAX_BYTES = {Kind.MESSAGE: MAX_GOSSIP_BYTES, Kind.HAVE: NAME_BYTES * MAX_NAMES, Kind.WANT: NAME_BYTES * MAX_WANTED}


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    body: bytes

    def charged(self) -> list[int]:
        """Return the sizes of the messages that it counts as.

        A HAVE counts as one for each MAX_WANTED names: each is looked up.
        """
        if self.kind is not Kind.HAVE:
            return [len(self.body)]
        most = NAME_BYTES * MAX_WANTED
        return [min(most, len(self.body) - start) for start in range(0, len(self.body), most)]

    def names(self) -> list[MessageId]:
        """Return the names in a HAVE or WANT."""
        return [MessageId(self.body[i : i + NAME_BYTES]) for i in range(0, len(self.body), NAME_BYTES)]


def message_id(data: bytes) -> MessageId:
    return MessageId(hashlib.sha256(data).digest()[:NAME_BYTES])


def encode_message(data: bytes) -> bytes:
    return _encode(Kind.MESSAGE, data)


def encode_names(kind: Kind, names: Sequence[MessageId]) -> bytes:
    """Return a HAVE or WANT; the caller keeps to MAX_NAMES and MAX_WANTED."""
    return _encode(kind, b"".join(names))


class FrameReader:
    """Cuts a stream of bytes into frames, whatever pieces it comes in; holds less than one frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: Content) -> Iterator[Frame]:
        """Yield the frames that `data` completes.

        Raises: ProtocolError `frame_too_large` once a length says so, before its bytes are kept, and `frame_malformed`.
        """
        self._buffer += data
        start = 0
        try:
            while (end := self._end_of_frame(start)) <= len(self._buffer):
                kind = Kind(self._buffer[start + HEADER_BYTES - 1])
                yield Frame(kind, bytes(self._buffer[start + HEADER_BYTES : end]))
                start = end
        finally:
            del self._buffer[:start]

    def _end_of_frame(self, start: int) -> int:
        """Return where the frame at `start` ends, or would if its header were whole."""
        if len(self._buffer) < start + HEADER_BYTES:
            return start + HEADER_BYTES
        size = int.from_bytes(self._buffer[start : start + 4], "big")
        try:
            kind = Kind(self._buffer[start + 4])
        except ValueError as error:
            raise ProtocolError("frame_malformed", f"no gossip has kind {self._buffer[start + 4]}") from error
        if size > _MAX_BYTES[kind]:
            raise ProtocolError("frame_too_large", f"{kind.name}: at most {_MAX_BYTES[kind]} bytes, announced {size}")
        if kind is not Kind.MESSAGE and (size == 0 or size % NAME_BYTES):
            raise ProtocolError("frame_malformed", f"{kind.name}: {size} bytes are no whole names of {NAME_BYTES}")
        return start + HEADER_BYTES + size


def _encode(kind: Kind, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + bytes((kind,)) + body
