"""A transport that does what a test says: who is connected, who answers what, what a dial leads to."""

import math
from collections.abc import Awaitable, Callable

import trio

from peer.errors import TransportError
from peer.network.transport import (
    STOPPED,
    Content,
    DownloadHandler,
    GossipMessage,
    Origin,
    PeerConnected,
    PeerDisconnected,
    RequestHandler,
    TransportEvent,
)
from peer.types import PeerId, Session

Answer = Callable[[str, bytes], Awaitable[bytes]]
"""(protocol, request) -> response, or TransportError."""

Holder = Callable[[bytes, Callable[[Content], object]], Awaitable[None]]
"""(request, take): hands `take` what a download brings, or raises TransportError, before or in the middle."""


async def is_silent(protocol: str, data: bytes) -> bytes:
    await trio.sleep_forever()
    raise AssertionError("unreachable")


async def is_broken(protocol: str, data: bytes) -> bytes:
    await trio.lowlevel.checkpoint()
    raise TransportError("reset")


class ScriptedTransport:
    """Implements `Transport`. answers, holders: by peer. dials: where each address leads; others are refused."""

    def __init__(self, local_peer: str = "me", *, events: int = 1024) -> None:
        self._local_peer = PeerId(local_peer)
        self.answers: dict[PeerId, Answer] = {}
        self.holders: dict[PeerId, Holder] = {}
        self.downloads: list[tuple[PeerId, bytes, int]] = []
        self.dials: dict[str, Callable[[], Awaitable[PeerId]]] = {}
        self.hosts: dict[PeerId, str] = {}
        self.requests: list[tuple[float, PeerId, str, bytes]] = []
        self.dialled: list[tuple[float, str]] = []
        self.origins: dict[str, Origin] = {}
        self.disconnected: list[PeerId] = []
        self.handlers: dict[str, RequestHandler] = {}
        self.download_handlers: dict[str, DownloadHandler] = {}
        self.open_handlers: set[str] = set()
        self.admitted: frozenset[PeerId] | None = None
        self.sessions: dict[PeerId, list[Session]] = {}
        self._connected: set[PeerId] = set()
        self._gossip_in, self._gossip_out = trio.open_memory_channel[GossipMessage](16)
        self._events_in, self._events_out = trio.open_memory_channel[TransportEvent](events)

    @property
    def local_peer(self) -> PeerId:
        return self._local_peer

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        return ("/memory/me",)

    @property
    def gossip(self) -> trio.MemoryReceiveChannel[GossipMessage]:
        return self._gossip_out

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        return self._events_out

    @property
    def session(self) -> Session:
        return Session(b"m" * 16)

    def sessions_of(self, peer: PeerId) -> frozenset[Session]:
        return frozenset(self.sessions.get(peer, ()))

    def keep_session(self, peer: PeerId, session: Session) -> None:
        self.sessions[peer] = [session]

    def heard_at(self, peer: PeerId) -> float:
        return trio.current_time() if peer in self._connected else -math.inf

    def connected_peers(self) -> frozenset[PeerId]:
        return frozenset(self._connected)

    def remote_host(self, peer: PeerId) -> str | None:
        return self.hosts.get(peer)

    def handle(self, protocol: str, handler: RequestHandler, *, strangers: bool = False) -> None:
        self.handlers[protocol] = handler
        if strangers:
            self.open_handlers.add(protocol)

    def admit(self, peers: frozenset[PeerId]) -> None:
        self.admitted = peers

    def counters(self) -> dict[str, int]:
        return {}

    async def publish(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def connect(self, address: str, *, origin: Origin = Origin.NAMED) -> PeerId:
        self.dialled.append((trio.current_time(), address))
        self.origins[address] = origin
        await trio.lowlevel.checkpoint()
        if address not in self.dials:
            raise TransportError("refused")
        peer = await self.dials[address]()
        self.joins(peer)
        return peer

    async def disconnect(self, peer: PeerId) -> None:
        await trio.lowlevel.checkpoint()
        self.disconnected.append(peer)
        self.leaves(peer, "closed by us")

    async def request(self, peer: PeerId, protocol: str, data: bytes, *, session: Session | None = None) -> bytes:
        self.requests.append((trio.current_time(), peer, protocol, data))
        if peer not in self._connected:
            raise TransportError(f"not connected to {peer}")
        return await self.answers[peer](protocol, data)

    def handle_download(self, protocol: str, handler: DownloadHandler) -> None:
        self.download_handlers[protocol] = handler

    async def download(
        self, peer: PeerId, protocol: str, data: bytes, *, max_bytes: int, take: Callable[[Content], object]
    ) -> None:
        self.downloads.append((peer, data, max_bytes))
        if peer not in self._connected or peer not in self.holders:
            raise TransportError(f"{peer} serves no {protocol}")
        await self.holders[peer](data, take)

    # What a test makes happen

    def joins(self, peer: PeerId, *, tell: bool = True, session: Session | None = None) -> None:
        """Connect a peer; without `tell` the event is lost."""
        self.sessions[peer] = [Session(b"s" * 16) if session is None else session]
        self._connected.add(peer)
        if tell:
            self._events_in.send_nowait(PeerConnected(peer=peer))

    def happens(self, event: TransportEvent) -> None:
        self._events_in.send_nowait(event)

    def hears(self, message: GossipMessage) -> None:
        self._gossip_in.send_nowait(message)

    def stops(self, peer: PeerId) -> None:
        """Have a peer leave with a goodbye."""
        self.leaves(peer, tell=False)
        self._events_in.send_nowait(PeerDisconnected(peer=peer, cause=STOPPED, stopped=True))

    def leaves(self, peer: PeerId, cause: str = "reset", *, tell: bool = True) -> None:
        self._connected.discard(peer)
        self.sessions.pop(peer, None)
        if tell:
            self._events_in.send_nowait(PeerDisconnected(peer=peer, cause=cause))
