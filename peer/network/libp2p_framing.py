"""Requests and responses on a libp2p stream: a length of 4 bytes, big endian, then so many bytes.

The length is checked before anything is read or allocated for it.
"""

from typing import Protocol

from peer.errors import ProtocolError
from peer.network.transport import Content

HEADER_BYTES = 4


class ByteStream(Protocol):
    """As much of a stream as framing needs. Reads return at least one byte, or raise at the end."""

    @property
    def has_unread(self) -> bool: ...

    async def read(self, n: int | None = None) -> bytes: ...

    def hold(self, data: bytes) -> None: ...

    async def write(self, data: Content, *, is_last: bool = False) -> None: ...


def header(size: int) -> bytes:
    """Return what comes before `size` bytes."""
    return size.to_bytes(HEADER_BYTES, "big")


async def write_last_frame(stream: ByteStream, data: Content) -> None:
    """Send one frame, and that nothing follows it. Raises whatever the stream raises when it breaks."""
    stream.hold(header(len(data)))
    await stream.write(data, is_last=True)


async def read_frame(stream: ByteStream, *, max_bytes: int) -> bytes:
    """Read one frame.

    Raises: ProtocolError `frame_too_large` before reading more than the header, `frame_truncated` when the
    stream ends early; whatever the stream raises when it breaks.
    """
    return await read_exactly(stream, await read_header(stream, max_bytes=max_bytes))


async def read_header(stream: ByteStream, *, max_bytes: int) -> int:
    """Return how many bytes follow. Raises: as `read_frame`."""
    size = int.from_bytes(await read_exactly(stream, HEADER_BYTES), "big")
    if size > max_bytes:
        raise ProtocolError("frame_too_large", f"at most {max_bytes} bytes, announced {size}")
    return size


async def read_exactly(stream: ByteStream, size: int) -> bytes:
    """Raises: as `read_frame`."""
    first = await stream.read(size) if size else b""
    if len(first) == size:
        return first
    buffer = bytearray(first)
    while len(buffer) < size:
        part = await stream.read(size - len(buffer))
        if not part:
            raise ProtocolError("frame_truncated", f"expected {size} bytes, the stream ended after {len(buffer)}")
        buffer += part
    return bytes(buffer)
