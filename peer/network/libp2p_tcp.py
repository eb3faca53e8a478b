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
        self.heard_at: Seconds = trio.current_time()
        self.session: Session | None = None  # known after the handshake

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, even when cancelled: half of an encrypted message would make the rest unreadable.

        That waits for a peer that does not read until its silence is noticed (`libp2p_health`) or we close the socket.
        Raises: ConnectionClosedError.
        """
        with trio.CancelScope(shield=True):
            try:
                await self.stream.send_all(memoryview(data))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError(f"the connection broke: {error}", transport="tcp") from error
        self._counters["bytes_sent"] += len(data)

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
