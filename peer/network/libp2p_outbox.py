"""What waits to be written to one neighbour, where its stream does not take everything at once."""

from typing import Never

import trio

from peer.network.libp2p_yamux_stream import YamuxStream

OUTBOUND_FRAMES = 512
OUTBOUND_BYTES = 4 * 1024 * 1024
"""Waiting for one neighbour; then the newest is dropped and counted, and lazy pull or anti-entropy brings it later."""

BATCH_BYTES = 64 * 1024
"""What has been waiting goes out in one write of about this size: a small write costs as much as a large one."""


class Outbox:
    """What waits for one neighbour, in order; nothing does while the stream to it takes everything at once."""

    def __init__(self) -> None:
        self._in, self._out = trio.open_memory_channel[bytes](OUTBOUND_FRAMES)
        self._bytes = 0
        self._stream: YamuxStream | None = None

    def put(self, frame: bytes) -> bool:
        """Return whether it was sent, or there was room."""
        if self._stream is not None and not self._bytes and self._stream.write_now(frame):
            return True
        if self._bytes + len(frame) > OUTBOUND_BYTES:
            return False
        try:
            self._in.send_nowait(frame)
        except trio.WouldBlock:
            return False
        self._bytes += len(frame)
        return True

    async def write_to(self, stream: YamuxStream) -> Never:
        """Write frames as they come. Raises: why the stream broke."""
        self._stream = stream
        try:
            while True:
                batch = await self._take()
                try:
                    await stream.write(batch)
                finally:
                    self._bytes -= len(batch)
        finally:
            self._stream = None

    async def _take(self) -> bytes:
        """Wait for a frame; return it with those that wait behind it, up to about BATCH_BYTES."""
        batch = bytearray(await self._out.receive())
        while len(batch) < BATCH_BYTES:
            try:
                batch += self._out.receive_nowait()
            except trio.WouldBlock:
                break
        return bytes(batch)
