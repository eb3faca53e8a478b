"""The socket under a connection: counted bytes, reads into memory that is there already, and whole writes."""

import trio
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream

from peer.types import Seconds, Session


class CountedTcpStream(TrioTCPStream):
    """A TCP stream that adds its bytes, as they are on the wire, to the transport's counters."""

    def __init__(self, stream: trio.SocketStream, counters: dict[str, int]) -> None:
        super().__init__(stream)
        self._counters = counters
        self._unsent = memoryview(b"")
        self.heard_at: Seconds = trio.current_time()
        self.session: Session | None = None  # known after the handshake

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; one task at a time. Raises: ConnectionClosedError.

        Whoever is cancelled in the middle need not wait for a peer that does not read. What it leaves is kept, and goes
        out before anything else: half of an encrypted message would make all behind it unreadable.
        """
        await self.flush()
        self._unsent = memoryview(data)
        await self.flush()

    async def flush(self) -> None:
        """Send what a cancelled writer has left. Raises: ConnectionClosedError."""
        while self._unsent:
            try:
                count = await self.stream.socket.send(self._unsent)
            except (OSError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError(f"the connection broke: {error}", transport="tcp") from error
            self._unsent = self._unsent[count:]
            self._counters["bytes_sent"] += count

    async def read(self, n: int | None = None) -> bytes:
        data = await super().read(n)
        self._note(len(data))
        return data

    async def read_into(self, buffer: memoryview) -> int:
        """Fill the beginning of `buffer`; 0 at the end. Raises: ConnectionClosedError."""
        try:
            count = await self.stream.socket.recv_into(buffer)
        except (OSError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError(f"the connection broke: {error}", transport="tcp") from error
        self._note(count)
        return count

    def _note(self, count: int) -> None:
        self.heard_at = trio.current_time()
        self._counters["bytes_received"] += count
