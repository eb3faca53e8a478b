"""The transport of real swarms: `Transport` over py-libp2p 0.8.1, with all it gets wrong kept behind this package.

What is worked around, and where:

    libp2p_guard                                  hostile bytes
    libp2p_connector, _dial, _upgrade, _listener  dials and accepts
    libp2p_host                                   a host that acts on its own
    libp2p_gossip                                 GossipSub
    libp2p_health, _ping                          silent peers
    libp2p_connections                            lingering connections
    libp2p_session, _tcp, _yamux, _negotiation    windows, copies and round trips
    libp2p_requests                               deadlines
    libp2p_logging                                log noise

Each has a test that fails without it, so that an upgrade shows which can go: docs/libp2p.md.
"""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Never

import trio
from libp2p.network.connection.swarm_connection import SwarmConn

from peer.addresses import parse_tcp_address
from peer.errors import TransportError
from peer.network.counters import new_counters
from peer.network.gate import Gate
from peer.network.identity import Identity
from peer.network.libp2p_connections import ConnectionTable, peer_of
from peer.network.libp2p_connector import Connector
from peer.network.libp2p_gossip import GossipStreams
from peer.network.libp2p_guard import StreamGuard
from peer.network.libp2p_health import watch_health
from peer.network.libp2p_host import QuietHost, build_host
from peer.network.libp2p_limits import PeerLimits
from peer.network.libp2p_listener import TellingListener, bound_addresses, open_listeners
from peer.network.libp2p_ping import PING, answer_pings
from peer.network.libp2p_requests import RequestStreams
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.libp2p_yamux import muxer_of
from peer.network.transport import (
    MAX_GOSSIP_BYTES,
    MAX_MESSAGE_BYTES,
    AcceptFailed,
    Content,
    DownloadHandler,
    GossipMessage,
    Origin,
    RequestHandler,
    TransportEvent,
)
from peer.types import PeerId, Seconds, Session

__all__ = ["Libp2pSettings", "Libp2pTransport", "open_libp2p_transport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workings:
    """What carries out all that a transport is asked for. gossip: what `speakers` have heard."""

    host: QuietHost
    gate: Gate
    connections: ConnectionTable
    connector: Connector
    requests: RequestStreams
    speakers: GossipStreams
    gossip: trio.MemoryReceiveChannel[GossipMessage]
    counters: dict[str, int]


class Libp2pTransport:
    """One peer's attachment to the network; open it with `open_libp2p_transport`."""

    def __init__(self, identity: Identity, listen_addresses: tuple[str, ...], workings: _Workings) -> None:
        self._local_peer = identity.peer_id
        self._session = identity.session
        self._listen_addresses = listen_addresses
        self._connections = workings.connections
        self._connector = workings.connector
        self._requests = workings.requests
        self._speakers = workings.speakers
        self._gossip = workings.gossip
        self._counters = workings.counters
        self._gate = workings.gate
        self._is_open = True

    @property
    def local_peer(self) -> PeerId:
        return self._local_peer

    @property
    def session(self) -> Session:
        return self._session

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        return self._listen_addresses

    @property
    def gossip(self) -> trio.MemoryReceiveChannel[GossipMessage]:
        return self._gossip

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        return self._connections.events

    def connected_peers(self) -> frozenset[PeerId]:
        return self._connections.peers()

    def sessions_of(self, peer: PeerId) -> frozenset[Session]:
        found = map(self._connections.session_of, self._connections.of_peer(peer))
        return frozenset(session for session in found if session is not None)

    def keep_session(self, peer: PeerId, session: Session) -> None:
        if self._connections.of_session(peer, session):
            for conn in self._connections.of_peer(peer):
                if self._connections.session_of(conn) != session:
                    self._connections.close(conn, cause="another process of this identity is served")

    def heard_at(self, peer: PeerId) -> Seconds:
        return max(map(self._connections.heard_at, self._connections.of_peer(peer)), default=-math.inf)

    def remote_host(self, peer: PeerId) -> str | None:
        return self._connections.host_of_peer(peer)

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    def handle(self, protocol: str, handler: RequestHandler, *, strangers: bool = False) -> None:
        self._requests.handle(protocol, handler, strangers=strangers)

    def admit(self, peers: frozenset[PeerId]) -> None:
        self._gate.admit(peers)
        self._speakers.refresh()

    async def connect(self, address: str, *, origin: Origin = Origin.NAMED) -> PeerId:
        self._require_open()
        return await self._connector.connect(address, origin=origin)

    async def disconnect(self, peer: PeerId) -> None:
        self._connections.close_peer(peer, "closed by us")
        await trio.lowlevel.checkpoint()

    async def publish(self, data: bytes) -> None:
        if len(data) > MAX_GOSSIP_BYTES:
            raise ValueError(f"gossip is bounded at {MAX_GOSSIP_BYTES} bytes, got {len(data)}")
        self._require_open()
        self._speakers.publish(bytes(data))
        await trio.lowlevel.checkpoint()

    async def request(self, peer: PeerId, protocol: str, data: bytes, *, session: Session | None = None) -> bytes:
        if len(data) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a request is bounded at {MAX_MESSAGE_BYTES} bytes, got {len(data)}")
        conn = self._connection_to(peer)
        if session is not None:
            found = self._connections.of_session(peer, session)
            if not found:
                raise TransportError(f"not connected to that process of {peer}")
            conn = found[-1]
        return await self._requests.request(conn, protocol, data)

    def handle_download(self, protocol: str, handler: DownloadHandler) -> None:
        self._requests.handle_download(protocol, handler)

    async def download(
        self, peer: PeerId, protocol: str, data: bytes, *, max_bytes: int, take: Callable[[Content], object]
    ) -> None:
        await self._requests.download(self._connection_to(peer), protocol, data, max_bytes=max_bytes, take=take)

    def close(self) -> None:
        """Refuse further use; the context manager that made this does the rest."""
        self._is_open = False

    def _connection_to(self, peer: PeerId) -> SwarmConn:
        """Raises: TransportError when there is none."""
        self._require_open()
        return self._connections.newest_to(peer)

    def _require_open(self) -> None:
        if not self._is_open:
            raise TransportError("this transport is closed")


@asynccontextmanager
async def open_libp2p_transport(settings: Libp2pSettings, identity: Identity) -> AsyncIterator[Libp2pTransport]:
    """Listen, and be part of the run's network for the length of the block.

    On leaving it every socket is closed and every task has ended. Unless it is left by an error or a cancellation, the
    others are told that this process stops, which takes GOODBYE_S at most.
    Raises: ValueError on a malformed `listen_address`; TransportError when it cannot be bound.
    """
    listeners = await open_listeners(parse_tcp_address(settings.listen_address))
    async with trio.open_nursery() as nursery:
        workings = _build(settings, identity, nursery)
        connections, host = workings.connections, workings.host
        transport = Libp2pTransport(identity, bound_addresses(listeners), workings)
        async with host.run([]):
            listening = trio.CancelScope()
            nursery.start_soon(_listen, listeners, workings.connector, connections.tell, listening, nursery)
            nursery.start_soon(workings.speakers.tell_forever)
            nursery.start_soon(_watch_health, connections, settings)
            stops = False
            try:
                yield transport
                stops = True
            finally:
                transport.close()
                listening.cancel()  # first: who hears a goodbye may dial again at once
                with trio.CancelScope(shield=True):
                    await connections.close_all(cause="closed by us", goodbye=stops)
                    await host.close()  # inside run(): outside it, its connections would leak
        nursery.cancel_scope.cancel()


def _build(settings: Libp2pSettings, identity: Identity, nursery: trio.Nursery) -> _Workings:
    """Make the workings and tie them together. nursery: of what they do in the background."""
    counters = new_counters()
    gate = Gate()
    connections = ConnectionTable(nursery)
    limits = PeerLimits(
        settings, counters, close=connections.close_peer, stranger_host=partial(_stranger_host, connections, gate)
    )
    guard = StreamGuard(counters, max_peer_streams=settings.max_peer_streams, admits=limits.admits_stream)
    host = build_host(settings, identity, guard, partial(_add, connections, limits))
    host.set_stream_handler(PING, partial(answer_pings, admits=limits.admits_message, idle_s=settings.stream_idle_s))
    connector = Connector(
        host.swarm,
        connections,
        settings,
        counters,
        local_peer=identity.peer_id,
        session=identity.session,
        limits=limits,
        is_admitted=gate.is_open_to,
    )
    gossip_in, gossip_out = trio.open_memory_channel[GossipMessage](settings.gossip_queue)
    speakers = GossipStreams(
        host,
        connections,
        gate,
        settings,
        deliver=partial(_deliver, gossip_in, counters),
        admits=limits.admits_message,
        counters=counters,
        nursery=nursery,
    )
    connections.changed = speakers.refresh
    return _Workings(
        host=host,
        gate=gate,
        connections=connections,
        connector=connector,
        requests=RequestStreams(
            host,
            counters,
            idle_s=settings.stream_idle_s,
            gate=gate,
            admits=limits.admits_request,
            admits_answer=limits.admits_answer,
        ),
        speakers=speakers,
        gossip=gossip_out,
        counters=counters,
    )


async def _listen(
    listeners: list[trio.SocketListener],
    connector: Connector,
    tell: Callable[[AcceptFailed], None],
    scope: trio.CancelScope,
    nursery: trio.Nursery,
) -> None:
    """Accept until `scope` is cancelled; connections stay in `nursery`."""
    with scope:
        telling = [TellingListener(listener, tell) for listener in listeners]
        await trio.serve_listeners(connector.accept, telling, handler_nursery=nursery)


async def _watch_health(connections: ConnectionTable, settings: Libp2pSettings) -> Never:
    await watch_health(
        connections.all,
        connections.heard_at,
        partial(connections.close, cause="no answer to pings"),
        interval_s=settings.ping_interval_s,
        timeout_s=settings.ping_timeout_s,
    )


def _stranger_host(connections: ConnectionTable, gate: Gate, peer: PeerId) -> str | None:
    """Return where a peer that was not admitted is connected from, None for one that was."""
    return None if gate.is_open_to(peer) else connections.host_of_peer(peer) or "gone"


def _add(connections: ConnectionTable, limits: PeerLimits, conn: SwarmConn) -> None:
    muxer, peer = muxer_of(conn), peer_of(conn)
    muxer.admits_stray = partial(limits.admits_message, peer)
    muxer.admits_pieces = partial(limits.admits_pieces, peer)
    connections.add(conn)
    why = limits.banned(peer)
    if why is not None:  # since it was let in, by what came on another connection
        connections.close(conn, cause=f"it {why}")


def _deliver(
    queue: trio.MemorySendChannel[GossipMessage], counters: dict[str, int], forwarder: PeerId, data: bytes
) -> None:
    try:
        queue.send_nowait(GossipMessage(forwarder=forwarder, data=data))
    except (trio.WouldBlock, trio.BrokenResourceError):
        counters["gossip_dropped"] += 1
