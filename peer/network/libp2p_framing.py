"""Requests and responses on a libp2p stream: a length of 4 bytes, big endian, then so many bytes.

The length is checked before anything is read or allocated for it. The read loop is our own: py-libp2p's
`read_exactly` gives up after 100 partial reads, which a megabyte in small segments exceeds.
"""

from typing import Protocol

from peer.errors import ProtocolError

HEADER_BYTES = 4
CHUNK_BYTES = 256 * 1024
"""One write; the window of a Yamux stream, beyond which a writer waits for the reader anyway."""


class ByteStream(Protocol):
    """As much of a libp2p stream as framing needs. `read` returns b"" or raises at the end."""

    async def read(self, n: int | None = None) -> bytes: ...

    async def write(self, data: bytes) -> None: ...


async def write_frame(stream: ByteStream, data: bytes) -> None:
    """Send one frame. Raises whatever the stream raises when it breaks."""
    head = len(data).to_bytes(HEADER_BYTES, "big")
    if len(data) <= CHUNK_BYTES:
        await stream.write(head + data)
        return
    await stream.write(head)
    view = memoryview(data)
    for start in range(0, len(data), CHUNK_BYTES):
        await stream.write(bytes(view[start : start + CHUNK_BYTES]))


async def read_frame(stream: ByteStream, *, max_bytes: int) -> bytes:
    """Read one frame.

    Raises: ProtocolError `frame_too_large` before reading more than the header, `frame_truncated` when the
    stream ends early; whatever the stream raises when it breaks.
    """
    size = int.from_bytes(await _read_exactly(stream, HEADER_BYTES), "big")
    if size > max_bytes:
        raise ProtocolError("frame_too_large", f"at most {max_bytes} bytes, announced {size}")
    return await _read_exactly(stream, size)


async def _read_exactly(stream: ByteStream, size: int) -> bytes:
    buffer = bytearray()
    while len(buffer) < size:
        chunk = await stream.read(min(size - len(buffer), CHUNK_BYTES))
        if not chunk:
            raise ProtocolError("frame_truncated", f"expected {size} bytes, the stream ended after {len(buffer)}")
        buffer += chunk
    return bytes(buffer)
