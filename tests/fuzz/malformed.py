"""Bytes that are almost right, and bytes that are nothing: seeded, so that what was found can be sent again."""

import random
from collections.abc import Callable, Sequence

from peer.errors import ProtocolError
from peer.network.libp2p_framing import header
from peer.network.libp2p_yamux_frames import DATA, GO_AWAY, HEADER, PING, WINDOW_UPDATE
from peer.network.libp2p_yamux_stream import ACK, FIN, RST, SYN
from peer.network.transport import MAX_GOSSIP_BYTES, MAX_MESSAGE_BYTES

_LONG = 4096
_HUGE = (b"\xc6", b"\xdb", b"\xdd", b"\xdf")
"""MessagePack's marks of a byte string, a text, an array and a map with a length of 32 bits behind them."""

_FOREIGN_STREAM = 1 << 30


class Malformer:
    """Draws malformed frames of every layer."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._anything,
            self._cut,
            self._flipped,
            self._flipped,
            self._spliced,
            self._oversized,
            self._nested,
        )

    def damaged(self, example: bytes) -> bytes:
        """Return a damaged `example`, or something that has nothing to do with it."""
        return self._rng.choice(self._ways)(example)

    def refused(self, examples: Sequence[bytes], decode: Callable[[bytes], object]) -> bytes:
        """Return bytes that `decode` takes for malformed: damage alone may hit where any value will do."""
        while True:
            data = self.damaged(self._rng.choice(examples))
            try:
                decode(data)
            except ProtocolError:
                return data

    def request(self, body: bytes) -> bytes:
        """Return a request with a malformed `body`, now and then in a frame that lies about its length."""
        match self._rng.randrange(8):
            case 0:
                return header(self._rng.randrange(MAX_MESSAGE_BYTES + 1, 1 << 32)) + body
            case 1:
                return header(len(body) + self._rng.randrange(1, _LONG)) + body
            case 2:
                return (header(len(body)) + body)[: self._rng.randrange(4)]
            case _:
                return header(len(body)) + body

    def gossip_frame(self) -> bytes:
        """Return a frame of gossip whose head makes no sense."""
        match self._rng.randrange(4):
            case 0:
                size = self._rng.randrange(MAX_GOSSIP_BYTES + 1, 1 << 32)
                return header(size) + b"\x01" + self._rng.randbytes(64)
            case 1:
                return header(self._rng.randrange(64)) + bytes((self._rng.randrange(4, 256),)) + self._rng.randbytes(64)
            case 2:
                return header(16 * self._rng.randrange(64) + self._rng.randrange(1, 16)) + b"\x02"
            case _:
                return header(16 * self._rng.randrange(65, 1 << 16)) + b"\x03"

    def negotiation(self) -> bytes:
        """Return what is no proposal of a protocol."""
        rng = self._rng
        match rng.randrange(4):
            case 0:
                return bytes((rng.randrange(128, 256),)) * rng.randrange(1, 11) + rng.randbytes(16)
            case 1:
                return b"\x00" + rng.randbytes(8)
            case 2:
                line = rng.randbytes(rng.randrange(1, 100)) + b"\xff"
                return bytes((len(line),)) + line
            case _:
                line = b"/murmur/" + rng.randbytes(8).hex().encode() + b"\n"
                return b"".join((b"\x13/multistream/1.0.0\n", *[bytes((len(line),)) + line] * 16))

    def stray_muxer_frame(self) -> bytes:
        """Return a frame of the muxer that speaks of what there is not: of a stream that is not open, of an answer."""
        rng = self._rng
        stream = _FOREIGN_STREAM + 2 * rng.randrange(1 << 20)
        flags = rng.choice((0, ACK, FIN, RST, ACK | FIN, 0x40, 0x8000))
        kind = rng.choice((DATA, WINDOW_UPDATE, PING))
        if kind == DATA:
            data = rng.randbytes(rng.randrange(512))
            return HEADER.pack(0, DATA, flags, stream, len(data)) + data
        return HEADER.pack(0, kind, flags, stream if kind == WINDOW_UPDATE else 0, rng.randrange(1 << 32))

    def fatal_muxer_frame(self) -> bytes:
        """Return a breach of the muxer's protocol, which ends the connection."""
        rng = self._rng
        return rng.choice(
            (
                HEADER.pack(rng.randrange(1, 256), DATA, 0, 1, 0),
                HEADER.pack(0, rng.randrange(GO_AWAY + 1, 256), 0, 1, 0),
                HEADER.pack(0, DATA, SYN, _FOREIGN_STREAM + 1, rng.randrange(1 << 19, 1 << 32)),
                HEADER.pack(0, DATA, SYN, 2 * rng.randrange(1 << 20), 0),
                b"\xff" + rng.randbytes(HEADER.size - 1),
            )
        )

    def raw(self) -> bytes:
        """Return what somebody may send to the port who does not know what is behind it."""
        return self.damaged(b"\x13/multistream/1.0.0\n\x07/noise\n")

    def noise(self) -> bytes:
        """Return what is no message of a Noise handshake, with its length of 2 bytes before it."""
        rng = self._rng
        body = rng.randbytes(rng.choice((0, 1, 31, 32, 33, 48, 96, rng.randrange(1024))))
        size = rng.choice((len(body), len(body), len(body) + rng.randrange(1, 64), 0xFFFF))
        return size.to_bytes(2, "big") + body

    # Ways of damage

    def _anything(self, _example: bytes) -> bytes:
        return self._rng.randbytes(self._rng.choice((self._rng.randrange(64), self._rng.randrange(_LONG))))

    def _cut(self, example: bytes) -> bytes:
        return example[: self._rng.randrange(len(example) + 1)]

    def _flipped(self, example: bytes) -> bytes:
        data = bytearray(example)
        for _ in range(self._rng.randrange(1, 9) if data else 0):
            data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return bytes(data)

    def _spliced(self, example: bytes) -> bytes:
        at, end = sorted(self._rng.randrange(len(example) + 1) for _ in range(2))
        return example[:end] + self._rng.randbytes(self._rng.randrange(16)) + example[at:]

    def _oversized(self, example: bytes) -> bytes:
        """Announce up to 4 GiB that never come, as MessagePack or as a varint."""
        at = self._rng.randrange(len(example) + 1)
        size = self._rng.choice(_HUGE) + self._rng.randbytes(4) if self._rng.random() < 0.7 else b"\xff" * 10
        return example[:at] + size + example[at + 1 :]

    def _nested(self, example: bytes) -> bytes:
        return b"\x91" * self._rng.randrange(1, _LONG) + example
