"""The seam between the swarm's services and a network: gossip, requests, and who is connected.

Two implementations: `memory_transport` (virtual time, faults on demand) and `libp2p_transport`. Both pass
`tests/contract/transport/`. No type of a networking library crosses this seam.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import trio

from peer.types import PeerId, Seconds, Session

RequestHandler = Callable[[PeerId, bytes], Awaitable[bytes]]
"""Answer one request of an authenticated peer. `ProtocolError` refuses it: stream reset, cause counted."""

Content = bytes | bytearray | memoryview
"""Bytes, wherever they are."""

DownloadHandler = Callable[[PeerId, bytes], AbstractAsyncContextManager[Content]]
"""Open what one request of an authenticated peer asks for, of whatever size. It is left as soon as the peer has it all
or will not get it: what it reserves for a download is free then. A `TransportError` in the block says that the peer
did not take it. `ProtocolError` refuses, as in a `RequestHandler`."""

MAX_GOSSIP_BYTES = 64 * 1024
"""py-libp2p loses gossip of 1 MiB and above without a word; announcements stay far below, bulk is pulled."""

MAX_MESSAGE_BYTES = 1024 * 1024
"""Bound on one request and on one response, checked before the bytes are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipMessage:
    """Bytes published by some peer. `forwarder` handed them to us, and need not have written them: verify."""

    forwarder: PeerId
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConnected:
    peer: PeerId


STOPPED = "it has stopped"
"""The cause where the other end said goodbye."""

NO_GOODBYE = "the connection ended without a goodbye"
"""The cause where it ended the connection, or its machine did, and said nothing: it may have crashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDisconnected:
    """stopped: it said goodbye, as a transport does whose block is left without an error; else nobody knows.

    It is what that peer says of itself: nothing but words may depend on it.
    """

    peer: PeerId
    cause: str
    stopped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipFailing:
    """A connected peer gets none of our gossip: so many streams to it in a row did not open, or broke at once."""

    peer: PeerId
    failures: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsTaken:
    """No more can connect, and so many of those who are have not been admitted; one of these gave way if it could."""

    connections: int
    strangers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptFailed:
    """The operating system gives no more connections to whoever dials us; it is asked again all the time."""

    cause: str
    """What it says, and what to do."""


TransportEvent = PeerConnected | PeerDisconnected | GossipFailing | ConnectionsTaken | AcceptFailed


class Origin(Enum):
    """How an address is known. Dials of one kind do not wait for those of another."""

    NAMED = auto()
    """By the configuration, DNS or mDNS."""
    MET = auto()
    """A peer has answered there before."""
    HEARSAY = auto()
    """Others say so, and nobody has answered there yet."""
    ASKED = auto()
    """Who wants to be dialled back says so of itself."""


class Transport(Protocol):
    """A running attachment to the network; implementations are opened by an async context manager."""

    @property
    def local_peer(self) -> PeerId: ...

    @property
    def session(self) -> Session:
        """Of this process; whoever is connected knows it for sure."""

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """Multiaddrs with the ports really bound, without `/p2p/...`."""

    @property
    def gossip(self) -> trio.MemoryReceiveChannel[GossipMessage]:
        """What others have published, each message at most once.

        Bounded: when it is full the newest is dropped and counted, because anti-entropy brings it later.
        """

    @property
    def events(self) -> trio.MemoryReceiveChannel[TransportEvent]:
        """Connections that came and went, in order. Bounded at 1024: `connected_peers` repairs a lost one. Gossip that
        fails is told at the 4th failure in a row, and whenever their number has doubled."""

    def connected_peers(self) -> frozenset[PeerId]: ...

    def sessions_of(self, peer: PeerId) -> frozenset[Session]:
        """Return which processes are connected as `peer`: several when its identity runs more than once. That makes no
        event; which of them an unaddressed request or gossip reaches is open until `keep_session` says."""

    def keep_session(self, peer: PeerId, session: Session) -> None:
        """Close the connections of all other processes that are connected as `peer`."""

    def heard_at(self, peer: PeerId) -> Seconds:
        """Return when the last bytes of `peer` came in (trio's clock), minus infinity when it is not connected."""

    def remote_host(self, peer: PeerId) -> str | None:
        """Return the IP address that `peer` is connected from, None when that is unknown or it is not connected."""

    def handle(self, protocol: str, handler: RequestHandler, *, strangers: bool = False) -> None:
        """Serve `protocol` ("sync/1") with `handler`; an exception in it never ends the process.

        strangers: serve it to peers that are not admitted too, as the handshake itself must be.
        """

    def admit(self, peers: frozenset[PeerId]) -> None:
        """Take part with these connected peers alone from now on; before the first call, with everybody.

        Others get no gossip, theirs is dropped unread, and their requests fail, after a short wait to be admitted.
        """

    async def connect(self, address: str, *, origin: Origin = Origin.NAMED) -> PeerId:
        """Dial a multiaddr, with or without `/p2p/<id>`, and return who answered.

        Raises: TransportError with the cause (refused, timed out, identity differs, self-dial); IdentityInUseError when
        another process answers with our own identity.
        """

    async def disconnect(self, peer: PeerId) -> None: ...

    async def publish(self, data: bytes) -> None:
        """Gossip to the run's topic. Best effort. Raises: ValueError above MAX_GOSSIP_BYTES."""

    async def request(self, peer: PeerId, protocol: str, data: bytes, *, session: Session | None = None) -> bytes:
        """Send one request, return the one response; the caller sets the deadline by a cancel scope.

        session: which of the processes that are connected as `peer` to ask.
        Raises: TransportError when the peer is not connected, refuses, resets, or answers above
        MAX_MESSAGE_BYTES.
        """

    def handle_download(self, protocol: str, handler: DownloadHandler) -> None:
        """Serve `protocol` to admitted peers with responses of any size."""

    async def download(
        self, peer: PeerId, protocol: str, data: bytes, *, max_bytes: int, take: Callable[[Content], object]
    ) -> None:
        """Send one request, and hand the response to `take` in parts, in order, as they come; no part is kept here.

        max_bytes: a larger response is refused before any of it is read. The caller sets the deadline, and may move it
        on in `take`. Raises: TransportError when the peer is not connected, refuses, or resets, also in the middle;
        what `take` raises, with nothing more handed to it.
        """

    def counters(self) -> dict[str, int]:
        """Totals since the start: bytes_sent, bytes_received, gossip_dropped, gossip_interrupted, handler_errors,
        protocol_errors, dials_failed, frames_refused, floods_refused, flooders_banned."""
