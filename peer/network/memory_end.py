"""One end of the links of a `MemoryNetwork`: a process that may die, and the parts of it that others reach.

All that happens to a peer (deliveries, lost requests, broken connections) is a timed event of the network;
only a request being served costs a task, and that task lives with the server. A crash therefore takes along
everything that was on its way to the peer and everything it was doing, as in life.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from peer.errors import TransportError
from peer.network.counters import new_counters
from peer.network.gate import Gate
from peer.network.memory_downloads import MemoryDownloads
from peer.network.memory_exchanges import MemoryExchanges
from peer.network.memory_gossip import MemoryGossip
from peer.network.memory_links import MemoryLinks
from peer.network.memory_network import MemoryNetwork
from peer.network.memory_requests import MemoryRequests
from peer.network.transport import NO_GOODBYE
from peer.types import PeerId, Seconds, Session


class MemoryEnd:
    """What a `MemoryTransport` stands on. Its parts reach each other, and those of other ends, by way of it."""

    def __init__(
        self, network: MemoryNetwork, peer: PeerId, address: str, *, session: Session, gossip_queue: int
    ) -> None:
        self.network = network
        self.peer = peer
        self.address = address
        self.session = session
        self.alive = True
        self.counters = new_counters()
        self.gate = Gate()
        self.links = MemoryLinks(self)
        self.gossip = MemoryGossip(self, queue=gossip_queue)
        self.exchanges = MemoryExchanges(self)
        self.requests = MemoryRequests(self)
        self.downloads = MemoryDownloads(self)
        self._life = trio.CancelScope()
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Be attached to the network for the length of the block, which `kill` cancels.

        The others are told that this process stops, unless the block is left by an error or a cancellation.
        Raises: TransportError when the address is taken.
        """
        self.network.attach(self.address, self)
        stops = False
        try:
            with self._life:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    nursery.start_soon(self.network.pump)
                    yield
                    stops = True
                    nursery.cancel_scope.cancel()
        finally:
            self._detach(cause=NO_GOODBYE, notice_s=None, goodbye=stops)

    def kill(self, *, notice_s: Seconds) -> None:
        """End this peer without a word; the others notice after `notice_s`."""
        self._detach(cause="connection reset", notice_s=notice_s, goodbye=False)
        self._life.cancel()

    def require_alive(self) -> None:
        if not self.alive:
            raise TransportError("this transport is closed")

    def schedule(self, at: Seconds, act: Callable[[], None]) -> None:
        """Run `act` at time `at`, or never if the peer is gone by then."""
        self.network.schedule(at, self._if_alive, act)

    def start_soon(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Run a task that ends with this peer."""
        assert self._nursery is not None, "only who lives has links"
        self._nursery.start_soon(serve)

    def _if_alive(self, act: Callable[[], None]) -> None:
        if self.alive:
            act()

    def _detach(self, *, cause: str, notice_s: Seconds | None, goodbye: bool) -> None:
        if not self.alive:
            return
        self.alive = False
        self.network.detach(self.address)
        self.links.close_all(cause=cause, notice_s=notice_s, goodbye=goodbye)
        self.gossip.close()
