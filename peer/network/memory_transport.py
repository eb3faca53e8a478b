"""The transport of virtual-time swarms: `Transport` over a `MemoryNetwork`.

What each part of it does: what lives and dies (memory_end), who is connected (memory_links, _dial), gossip
(memory_gossip), requests and downloads (memory_requests, _downloads) on what they share (memory_exchanges, _replies).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from peer.errors import TransportError
from peer.network.memory_dial import dial
from peer.network.memory_end import MemoryEnd
from peer.network.memory_network import MemoryNetwork
from peer.network.transport import (
    MAX_GOSSIP_BYTES,
    MAX_MESSAGE_BYTES,
    Content,
    DownloadHandler,
    GossipMessage,
    Origin,
    RequestHandler,
    TransportEvent,
)
from peer.types import PeerId, Seconds, Session

__all__ = ["MemoryNetwork", "MemoryTransport", "open_memory_transport"]

GOSSIP_QUEUE = 1024


class MemoryTransport:
    """One peer's attachment to a `MemoryNetwork`; open it with `open_memory_transport`."""

    def __init__(self, end: MemoryEnd) -> None:
        self._end = end

    @property
    def local_peer(self) -> PeerId:
        return self._end.peer

    @property
    def session(self) -> Session:
        return self._end.session

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        return (self._end.address,)

    @property
    def gossip(self) -> trio.MemoryReceiveChannel[GossipMessage]:
        return self._end.gossip.messages

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        return self._end.links.events

    def connected_peers(self) -> frozenset[PeerId]:
        return frozenset(self._end.links.by_peer)

    def sessions_of(self, peer: PeerId) -> frozenset[Session]:
        return self._end.links.sessions_of(peer)

    def keep_session(self, peer: PeerId, session: Session) -> None:
        self._end.links.keep_session(peer, session)

    def heard_at(self, peer: PeerId) -> Seconds:
        return self._end.links.heard_at(peer)

    def remote_host(self, peer: PeerId) -> str | None:  # noqa: ARG002  # the contract's signature
        return None  # there are no IP addresses here

    def handle(self, protocol: str, handler: RequestHandler, *, strangers: bool = False) -> None:
        self._end.requests.handle(protocol, handler, strangers=strangers)

    def admit(self, peers: frozenset[PeerId]) -> None:
        self._end.gate.admit(peers)

    def counters(self) -> dict[str, int]:
        return dict(self._end.counters)

    async def connect(self, address: str, *, origin: Origin = Origin.NAMED) -> PeerId:
        del origin  # dials do not wait for each other here
        try:
            return await dial(self._end, address)
        except TransportError:
            self._end.counters["dials_failed"] += 1
            raise

    async def disconnect(self, peer: PeerId) -> None:
        self._end.links.close_peer(peer)
        await trio.lowlevel.checkpoint()

    async def publish(self, data: bytes) -> None:
        if len(data) > MAX_GOSSIP_BYTES:
            raise ValueError(f"gossip is bounded at {MAX_GOSSIP_BYTES} bytes, got {len(data)}")
        self._end.require_alive()
        self._end.gossip.publish(bytes(data))
        await trio.lowlevel.checkpoint()

    async def request(self, peer: PeerId, protocol: str, data: bytes, *, session: Session | None = None) -> bytes:
        if len(data) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a request is bounded at {MAX_MESSAGE_BYTES} bytes, got {len(data)}")
        self._end.require_alive()
        return await self._end.requests.request(peer, protocol, bytes(data), session=session)

    def handle_download(self, protocol: str, handler: DownloadHandler) -> None:
        self._end.downloads.handle(protocol, handler)

    async def download(
        self, peer: PeerId, protocol: str, data: bytes, *, max_bytes: int, take: Callable[[Content], object]
    ) -> None:
        self._end.require_alive()
        await self._end.downloads.download(peer, protocol, bytes(data), max_bytes=max_bytes, take=take)


@asynccontextmanager
async def open_memory_transport(
    network: MemoryNetwork,
    peer: PeerId,
    address: str,
    *,
    session: Session | None = None,
    gossip_queue: int = GOSSIP_QUEUE,
) -> AsyncIterator[MemoryTransport]:
    """Attach `peer` to `network` at `address` ("/memory/<name>") for the length of the block.

    session: of this life; one of its own if None.
    `network.crash(peer)` cancels the block's body. Raises: TransportError when the address is taken.
    """
    if not address.startswith("/memory/") or len(address) == len("/memory/"):
        raise ValueError(f"expected an address /memory/<name>, got {address!r}")
    if session is None:
        session = Session(network.next_number().to_bytes(16, "big"))
    end = MemoryEnd(network, peer, address, session=session, gossip_queue=gossip_queue)
    async with end.live():
        yield MemoryTransport(end)
