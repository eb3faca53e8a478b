"""What a request or a download on the in-memory network waits for."""

from collections import deque
from collections.abc import Callable

import trio

from peer.errors import TransportError
from peer.network.memory_network import Link
from peer.network.transport import Content
from peer.types import PeerId


class Reply:
    """The one answer that a request waits for; whoever settles it first wins."""

    __slots__ = ("_settled", "link", "outcome", "peer")

    def __init__(self, peer: PeerId, link: Link) -> None:
        self.peer = peer
        self.link = link
        self.outcome: bytes | TransportError | None = None
        self._settled = trio.Event()

    def settle(self, outcome: bytes | TransportError) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self._settled.set()

    async def wait(self) -> bytes:
        await self._settled.wait()
        if isinstance(self.outcome, bytes):
            return self.outcome
        assert self.outcome is not None, "a reply is settled with an outcome"
        raise self.outcome


class Download(Reply):
    """A response under way in parts. max_bytes: refused above it."""

    __slots__ = ("_came", "_missing", "_parts", "max_bytes")

    def __init__(self, peer: PeerId, link: Link, *, max_bytes: int) -> None:
        super().__init__(peer, link)
        self.max_bytes = max_bytes
        self._parts: deque[Content] = deque()
        self._missing: int | None = None
        self._came = trio.Event()

    def settle(self, outcome: bytes | TransportError) -> None:
        super().settle(outcome)
        self._came.set()

    def add(self, part: Content, total: int) -> None:
        self._parts.append(part)
        self._missing = (total if self._missing is None else self._missing) - len(part)
        self._came.set()

    async def drain(self, take: Callable[[Content], object]) -> None:
        """Hand all parts to `take`. Raises: TransportError when it was broken off."""
        while True:
            await self._came.wait()
            self._came = trio.Event()
            while self._parts:
                take(self._parts.popleft())
            if self._missing == 0:
                return
            if isinstance(self.outcome, TransportError):
                raise self.outcome
