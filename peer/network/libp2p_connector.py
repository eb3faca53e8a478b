"""Making connections: dials and accepts, each bounded in time, each ending in the connection table or nowhere."""

from collections.abc import Callable

import trio
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.swarm import Swarm

from peer.addresses import TcpAddress, parse_tcp_address
from peer.errors import IdentityInUseError, SelfDialError, TransportError
from peer.network.dial_lanes import Place, dial_lanes
from peer.network.handshakes import Handshakes
from peer.network.host_key import host_key
from peer.network.libp2p_connections import ConnectionTable, peer_of
from peer.network.libp2p_dial import open_socket
from peer.network.libp2p_health import answers
from peer.network.libp2p_limits import PeerLimits
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.libp2p_upgrade import SecuredSocket, join_swarm, secure
from peer.network.libp2p_yamux import muxer_of
from peer.network.places import Stranger, first_to_go
from peer.network.transport import ConnectionsTaken, Origin
from peer.types import PeerId, Seconds, Session

TCP_TIMEOUT_S = 5.0
"""For a machine to take the connection: time for two repeats of a lost first packet. An address that is gone holds a
dial up for so long."""

PROMPT_S: Seconds = 0.5
"""In which a machine that is there takes a connection, however busy its peer is; then others may dial."""

MAX_HANDSHAKES = 256
"""Strangers between connecting and having proved who they are. As many as one host may begin at once, which a swarm of
64 peers on one machine does when it starts."""

MAX_OF_ONE_PEER = 3
"""Connections that it made. One is enough; who comes back from behind a cut cable leaves one behind until our pings
have found out, and who knows several addresses dials them all."""


class Connector:
    """Dials and accepts on behalf of `local_peer`, into `connections`."""

    def __init__(
        self,
        swarm: Swarm,
        connections: ConnectionTable,
        settings: Libp2pSettings,
        counters: dict[str, int],
        *,
        local_peer: PeerId,
        session: Session,
        limits: PeerLimits,
        is_admitted: Callable[[PeerId], bool],
    ) -> None:
        self._limits = limits
        self._is_admitted = is_admitted
        self._swarm = swarm
        self._connections = connections
        self._settings = settings
        self._counters = counters
        self._local_peer = local_peer
        self._session = session
        self._handshakes = Handshakes(most=MAX_HANDSHAKES)
        self._lanes = dial_lanes()

    async def connect(self, address: str, *, origin: Origin) -> PeerId:
        """Dial, and return who answered; a second connection to a live peer is not kept."""
        try:
            return await self._dial_address(address, origin)
        except TransportError:
            self._counters["dials_failed"] += 1
            raise

    async def accept(self, stream: trio.SocketStream) -> None:
        """Take one inbound connection, and stay until it ends. Strangers that misbehave are dropped and counted."""
        host = _host_of(stream)
        if not self._limits.admits_connection(host):
            self._counters["frames_refused"] += 1
            return
        conn = None
        with self._handshakes.under_way(host) as handshake:
            conn = await self._accepted(stream)
        if handshake.cancelled_caught:  # it made room for another host's
            self._counters["frames_refused"] += 1
        if conn is not None:
            await conn.event_closed.wait()

    async def _accepted(self, stream: trio.SocketStream) -> SwarmConn | None:
        """Return the connection that `stream` has become, None when it came to nothing, which is counted."""
        secured = None
        try:
            with trio.fail_after(self._settings.dial_timeout_s):
                secured = await secure(self._swarm, stream, self._counters, is_initiator=False)
                await self._turn_away_banned(secured.peer, stream)
                return await self._join(secured)
        except (TransportError, trio.TooSlowError):
            pass
        if secured is None:  # a peer that leaves after the handshake knows us already, or is looking for another
            self._counters["frames_refused"] += 1
        return None

    async def _dial_address(self, address: str, origin: Origin) -> PeerId:
        try:
            target = parse_tcp_address(address)
        except ValueError as error:
            raise TransportError(f"cannot dial {address!r}: {error}") from error
        async with self._lanes[origin].place() as place:
            return await self._dial(target, place)

    async def _dial(self, target: TcpAddress, place: Place) -> PeerId:
        limit_s, window = self._settings.dial_timeout_s, place.window
        stream = await self._open(target, place)
        try:
            await place.take()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        try:
            with trio.fail_after(limit_s):
                peer = await self._shake_hands(target, stream)
        except trio.TooSlowError as error:
            window.timed_out()
            raise TransportError(f"dial of {target} timed out: no handshake within {limit_s:g} s") from error
        window.finished()
        return peer

    async def _open(self, target: TcpAddress, place: Place) -> trio.SocketStream:
        """Open the socket; where that takes long, others have our place meanwhile. Raises: TransportError."""
        opened: trio.SocketStream | TransportError | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(place.leave_after, PROMPT_S)
                try:
                    opened = await self._reach(target, place.lookups)
                except TransportError as error:  # raised below: out of the nursery it would come in a group
                    opened = error
                nursery.cancel_scope.cancel()
        except BaseException:
            if isinstance(opened, trio.SocketStream):
                await trio.aclose_forcefully(opened)
            raise
        if isinstance(opened, TransportError):
            raise opened
        return opened

    async def _reach(self, target: TcpAddress, lookups: trio.CapacityLimiter) -> trio.SocketStream:
        """Raises: TransportError, also at the deadline."""
        try:
            with trio.fail_after(min(self._settings.dial_timeout_s, TCP_TIMEOUT_S)):
                return await open_socket(target, lookups=lookups)
        except trio.TooSlowError as error:
            raise TransportError(f"dial of {target} timed out: nothing answers there") from error

    async def _shake_hands(self, target: TcpAddress, stream: trio.SocketStream) -> PeerId:
        answer = await secure(self._swarm, stream, self._counters, is_initiator=True)
        try:
            self._check_identity(target, answer)
            await self._turn_away_banned(answer.peer, stream)
            if await self._has_live_connection(answer.peer, answer.session):
                await trio.aclose_forcefully(stream)
            else:
                await self._join(answer)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return answer.peer

    async def _turn_away_banned(self, peer: PeerId, stream: trio.SocketStream) -> None:
        """Raises: TransportError, with the socket closed, when `peer` has flooded us lately."""
        why = self._limits.banned(peer)
        if why is not None:
            await trio.aclose_forcefully(stream)
            raise TransportError(f"{peer} is refused for a while: it {why}")

    def _check_identity(self, target: TcpAddress, answer: SecuredSocket) -> None:
        if answer.peer == self._local_peer and answer.session == self._session:
            raise SelfDialError(f"dialled ourselves at {target}")
        if answer.peer == self._local_peer:
            raise IdentityInUseError(f"another process answers at {target} with our own identity")
        if target.peer is not None and target.peer != answer.peer:
            raise TransportError(f"identity differs at {target}: {answer.peer} answered")

    async def _has_live_connection(self, peer: PeerId, session: Session) -> bool:
        """Return whether we are connected already, and end connections that are dead without our knowing.

        A peer that came back from behind a cut cable must not wait for our pings to time out. Another process with the
        same identity, be it that peer started anew, is another matter: which of the two is served is decided by their
        cards.
        """
        for conn in self._connections.of_session(peer, session):
            if await answers(conn, timeout_s=self._settings.ping_timeout_s):
                return True
            self._connections.close(conn, cause="no answer to pings")
        return False

    async def _join(self, secured: SecuredSocket) -> SwarmConn:
        if not secured.is_initiator:
            self._limit(secured.peer)
        self._make_room()
        try:
            return await join_swarm(self._swarm, secured, self._connections.note_socket)
        except BaseException:
            self._connections.forget_socket(secured.tcp)
            raise

    def _limit(self, peer: PeerId) -> None:
        """Have a peer that connects again end its oldest connection: it would have the places of all.

        Only of those that it made itself: two peers that dial each other at all their addresses at once would each end
        what the other keeps.
        """
        made = [conn for conn in self._connections.of_peer(peer) if not muxer_of(conn).is_initiator]
        for conn in made[: 1 - MAX_OF_ONE_PEER]:  # the oldest come first
            self._end(conn, cause="it has newer ones")

    def _make_room(self) -> None:
        """Keep one connection free, besides the one about to be made, as long as strangers hold some.

        Without a free one this peer would seem full, and dial nobody.
        """
        connections, most = self._connections, self._settings.max_connections
        if len(connections.all()) < most - 1:
            return
        strangers = {
            conn: Stranger(host=host_key(connections.host_of(conn) or "gone"), since=connections.made_at(conn))
            for conn in connections.all()
            if not self._is_admitted(peer_of(conn))
        }
        if 4 * len(strangers) >= most:
            connections.tell(ConnectionsTaken(connections=most, strangers=len(strangers)))
        while len(connections.all()) >= most - 1:
            leaving = first_to_go(strangers, trio.current_time())
            if leaving is None:
                return
            del strangers[leaving]
            self._end(leaving, cause="it was not admitted, and others wait")

    def _end(self, conn: SwarmConn, *, cause: str) -> None:
        self._connections.close(conn, cause=cause)
        self._swarm.remove_conn(conn)  # its place is free at once: its end takes a moment


def _host_of(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:  # it has hung up already
        return "gone"
